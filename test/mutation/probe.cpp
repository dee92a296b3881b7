// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// The first test that a changed switch meets: small, so that it is compiled, linked and run in a moment. It uses the
// register probes of test/equivalence for one walk over each kind of switch and checks all that the contract promises:
// registers, stack pointers, what is passed, and the memory around a new stack.

#include "../equivalence/registers.hpp"

#include <weft/detail/switch/control_block.hpp>
#include <weft/detail/switch/inline_switch.hpp>
#include <weft/switch.hpp>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <type_traits>
#include <utility>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using weft::context;
using weft::transfer;

[[noreturn]] void fail(const char* what, std::uint64_t found, std::uint64_t expected) {
    std::fprintf(stderr, "%s is %llx and should be %llx\n", what, static_cast<unsigned long long>(found),
                 static_cast<unsigned long long>(expected));
    std::_Exit(1);
}

std::uint64_t number(const void* p) { return reinterpret_cast<std::uint64_t>(p); }
template <class T>
    requires(!std::is_pointer_v<T>)
std::uint64_t number(T n) { return static_cast<std::uint64_t>(n); }

template <class T>
void expect(const char* what, T found, T expected) {
    if (found != expected) fail(what, number(found), number(expected));
}

std::uint64_t random_word() {
    static std::uint64_t state = 0x853c49e6748fea9b;
    state = state * 6364136223846793005 + 1442695040888963407;
    return state ^ (state >> 31);
}

// What this test promises of the registers found after a switch back.
#if defined(__aarch64__)
constexpr std::uint64_t call_pushes = 0;

void randomize(registers& r) {
    r.x18 = 0x1818181818181818;
    for (auto& x : r.x19_to_x29) x = random_word();
    r.fpcr = random_word() & (3 << 22);
    for (auto& v : r.v8_to_v15) v = {random_word(), random_word()};
}
void expect_preserved(const registers& found, const registers& own) {
    for (int i = 0; i != 11; ++i) expect("x19...", found.x19_to_x29[i], own.x19_to_x29[i]);
    for (int i = 0; i != 8; ++i) expect("d8...", found.v8_to_v15[i].low, own.v8_to_v15[i].low);
}
// The thread's, so the last one's.
void expect_control(const registers& found, const registers&, const registers& last, bool) {
    expect("FPCR", found.fpcr, last.fpcr);
}
void expect_untouched(const registers& found) { expect("x18", found.x18, std::uint64_t{0x1818181818181818}); }
std::uint64_t frame_pointer(const registers& r) { return r.x19_to_x29[10]; }
#else
constexpr std::uint64_t call_pushes = 8;

void randomize(registers& r) {
    r.rbx = random_word();
    r.rbp = random_word();
    for (auto& x : r.r12_to_r15) x = random_word();
    r.mxcsr = 0x1f80 | (static_cast<std::uint32_t>(random_word()) & 0x6000);
    r.x87_control = static_cast<std::uint16_t>(0x037f | (random_word() & 0x0c00));
}
void expect_preserved(const registers& found, const registers& own) {
    expect("rbx", found.rbx, own.rbx);
    expect("rbp", found.rbp, own.rbp);
    for (int i = 0; i != 4; ++i) expect("r12...", found.r12_to_r15[i], own.r12_to_r15[i]);
}
// The context's own, but the inline switch leaves them the thread's.
void expect_control(const registers& found, const registers& own, const registers& last, bool inlined) {
    const registers& right = inlined ? last : own;
    expect("MXCSR", found.mxcsr & 0x6000, right.mxcsr & 0x6000);
    expect("x87 control word", found.x87_control, right.x87_control);
}
void expect_untouched(const registers&) {}
std::uint64_t frame_pointer(const registers& r) { return r.rbp; }
#endif

constexpr std::size_t stack_size = 16 * 1024;
struct memory {
    alignas(16) std::byte stack[stack_size];
    std::byte above[64];
} memory_of_context;

// What both sides know of each other.
struct side {
    probe registers;
    void* sent;
};
side outside;
side inside;
bool inlined = false;
weft::detail::control_block block;
registers creator; // control words in force when the context was made

// What a switch carries beside the registers; the inline switch carries nothing.
void* mailbox;

// The function that switches inline may use its own frame pointer afterwards; its callers' are in its frame.
[[gnu::always_inline]] inline std::uint64_t frame_pointer_now() {
    std::uint64_t value;
#if defined(__aarch64__)
    asm volatile("mov %0, x29" : "=r"(value));
#else
    asm volatile("movq %%rbp, %0" : "=r"(value));
#endif
    return value;
}

// The register of the block's address is not changed: compilers fetch the address from there afterwards.
[[gnu::always_inline]] inline void* block_address_now() {
    void* value;
#if defined(__aarch64__)
    asm volatile("mov %0, x0" : "=r"(value));
#else
    asm volatile("movq %%rdi, %0" : "=r"(value));
#endif
    return value;
}

struct to_fiber {
    [[gnu::always_inline]] static void run(weft::detail::control_block& b) { weft::detail::switch_to_fiber(b); }
};
struct to_resumer {
    [[gnu::always_inline]] static void run(weft::detail::control_block& b) { weft::detail::switch_to_resumer(b); }
};
struct to_resumer_not_resumable {
    [[gnu::always_inline]] static void run(weft::detail::control_block& b) {
        weft::detail::switch_to_resumer_not_resumable(b);
    }
};
struct to_resumer_if_marked {
    [[gnu::always_inline]] static void run(weft::detail::control_block& b) {
        if constexpr (!weft::detail::switch_tests_tag)
            weft::detail::switch_to_resumer(b);
        else if (!weft::detail::try_switch_to_resumer(b))
            expect("whether the resumer may be switched to", false, true);
    }
};

// Does as little as it can: a register that is used here is saved here, whatever the switch says of it.
template <class Direction>
[[gnu::noinline]] transfer inline_jump(context to, void* data) {
    mailbox = data;
    const volatile std::uint64_t own = frame_pointer_now();
    Direction::run(*static_cast<weft::detail::control_block*>(to));
    void* const address = block_address_now();
    expect("the frame pointer after the inline switch", frame_pointer_now(), std::uint64_t{own});
    return {address, mailbox};
}

// Switches with random registers and checks that they are back when control is. `arrives`: what the other side gets.
transfer go(side& own, const side& other, void* function, context to, void* data, transfer (*call)(transfer),
            void* arrives) {
    randomize(own.registers.loaded);
    for (auto& word : own.registers.scratch) word = random_word();
    own.registers.function = function;
    own.registers.to = to;
    own.registers.data = data;
    own.registers.call = call;
    own.sent = arrives;
    const transfer arrived = registers_switch(&own.registers);
    const registers& found = own.registers.found;
    expect("sp", found.stack_pointer, own.registers.loaded.stack_pointer);
    expect_preserved(found, own.registers.loaded);
    expect_control(found, own.registers.loaded, other.registers.loaded, inlined);
    if (inlined)
        expect("the block's address after the inline switch", arrived.from, static_cast<context>(&block));
    else
        expect_untouched(found);
    expect("what arrived", arrived.data, other.sent);
    return arrived;
}

transfer jump(side& own, const side& other, context to, void* data) {
    using weft::detail::resumable_tag, weft::detail::suspendable_tag;
    static unsigned turn = 0; // the fiber leaves in each of the three ways
    transfer (*const ways[])(context, void*){&inline_jump<to_resumer>, &inline_jump<to_resumer_if_marked>,
                                             &inline_jump<to_resumer_not_resumable>};
    static std::uintptr_t fiber_leaves{resumable_tag};
    const bool from_outside = &own == &outside;
    if (inlined) {
        expect("the tags of the block", weft::detail::tags_of(block), from_outside ? fiber_leaves : suspendable_tag);
        if (from_outside) weft::detail::set_tags(block, resumable_tag);
    }
    if (!from_outside) {
        turn = (turn + 1) % 3;
        fiber_leaves = turn == 2 ? weft::detail::no_tag : resumable_tag;
    }
    transfer (*const inline_function)(context, void*) = from_outside ? &inline_jump<to_fiber> : ways[turn];
    void* const function =
        inlined ? reinterpret_cast<void*>(inline_function) : reinterpret_cast<void*>(&weft_jump_context);
    return go(own, other, function, to, data, nullptr, data);
}

transfer ontop(context to, message& called_with) {
    for (auto& word : called_with.more) word = random_word();
    return go(outside, inside, reinterpret_cast<void*>(&weft_ontop_context), to, &called_with, &registers_ontop,
              called_with.reply);
}

std::uint64_t top = 0; // of the context's stack, aligned

void expect_first(const message& seen) {
    expect("sp at entry", seen.found.stack_pointer, top - call_pushes);
    expect("frame pointer at entry", frame_pointer(seen.found), std::uint64_t{0});
    expect_control(seen.found, creator, outside.registers.loaded, inlined);
    if (!inlined) expect_untouched(seen.found);
}

} // namespace

extern "C" [[noreturn]] void registers_first_entry(context from, message* first) {
    expect("what arrived first", static_cast<void*>(first), outside.sent);
    expect_first(*first);
    context to = inlined ? static_cast<context>(&block) : from;
    for (int i = 0;; ++i) to = jump(inside, outside, to, &memory_of_context.above[i]).from;
}

namespace {

void* new_stack(std::size_t cut) {
    std::memset(&memory_of_context, 0xa5, sizeof memory_of_context);
    std::byte* const given = memory_of_context.stack + stack_size - cut;
    top = reinterpret_cast<std::uint64_t>(given) & ~std::uint64_t{15};
    return given;
}

void expect_memory_above() {
    for (auto* b = reinterpret_cast<std::byte*>(top); b != std::end(memory_of_context.above); ++b)
        expect("memory above the stack", *b, std::byte{0xa5});
}

[[maybe_unused]] constexpr std::uint16_t usual_x87 = 0x037f;

context make(std::size_t cut, void (*entry)(transfer) = &registers_entry) {
    void* const given = new_stack(cut);
#if defined(__x86_64__)
    // other modes than the default while the context is made
    const std::uint32_t mxcsr = 0x1f80 | 0x2000;
    const std::uint16_t x87 = 0x037f | 0x0800;
    const std::uint32_t usual_mxcsr = 0x1f80;
    creator.mxcsr = mxcsr;
    creator.x87_control = x87;
    asm volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(mxcsr), "m"(x87) : "memory");
    const context made = weft_make_context(given, stack_size - cut, entry);
    asm volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(usual_mxcsr), "m"(usual_x87) : "memory");
    return made;
#else
    return weft_make_context(given, stack_size - cut, entry);
#endif
}

void walk_out_of_line(std::size_t cut) {
    inlined = false;
    message first{};
    message second{};
    second.reply = &first;
    context c = make(cut);
    for (int i = 0; i != 4; ++i) c = jump(outside, inside, c, &first).from;
    for (int i = 0; i != 3; ++i) {
        const registers left = inside.registers.loaded;
        c = ontop(c, second).from;
        expect("sp on top", second.found.stack_pointer, left.stack_pointer - call_pushes);
        expect_preserved(second.found, left);
        expect_control(second.found, left, outside.registers.loaded, false);
        expect_untouched(second.found);
    }
    expect_memory_above();
}

void begin_with_ontop() {
    inlined = false;
    message first{};
    message second{};
    second.reply = &first;
    ontop(make(0), second);
    expect_first(second);
    expect_memory_above();
}

void walk_inline(std::size_t cut) {
    inlined = true;
    message first{};
    weft::detail::make_control_block(block, new_stack(cut), stack_size - cut,
                                     reinterpret_cast<void (*)(void*)>(&registers_inline_entry), &first);
    creator = {};
    for (int i = 0; i != 5; ++i) jump(outside, inside, &block, &first);
    if constexpr (weft::detail::switch_tests_tag) { // the fiber waits there, and not a resumer
        const weft::detail::control_block before = block;
        expect("a switch to the resumer that is not there", weft::detail::try_switch_to_resumer(block), false);
        expect("the block after it", std::memcmp(&before, &block, sizeof block), 0);
    }
    expect_memory_above();
}

#if defined(__x86_64__)
// The x87 control word is written only if the two contexts disagree about it, and whether they do has to come from the
// two words in their frames. So here they disagree, and everything else that could be taken for one of the words says
// that they agree: the flags, ecx, the other registers in the frames, the memory below, what the argument points to.
extern "C" transfer registers_mislead(context to, void* data, transfer (*call)(transfer), std::uint64_t words);
asm(R"(
    .text
registers_mislead:
    pushq   %rbx
    pushq   %rbp
    pushq   %r12
    pushq   %r13
    pushq   %r14
    pushq   %r15
    subq    $8, %rsp
    movq    %rcx, %rbx
    movq    %rcx, %rbp
    movq    %rcx, %r12
    movq    %rcx, %r13
    movq    %rcx, %r14
    movq    %rcx, %r15
    leaq    -256(%rsp), %rax
1:  movq    %rcx, (%rax)
    addq    $8, %rax
    cmpq    %rsp, %rax
    jne     1b
    testq   %rdx, %rdx
    jne     2f
    cmpq    %rsp, %rsp
    call    weft_jump_context
    jmp     3f
2:  cmpq    %rsp, %rsp
    call    weft_ontop_context
3:  addq    $8, %rsp
    popq    %r15
    popq    %r14
    popq    %r13
    popq    %r12
    popq    %rbp
    popq    %rbx
    ret
)");

std::uint16_t x87_now() {
    std::uint16_t now;
    asm volatile("fnstcw %0" : "=m"(now));
    return now;
}

constexpr std::uint64_t four_times(std::uint16_t word) {
    return word * 0x0001'0001'0001'0001U;
}

std::uint16_t x87_seen;
void note_x87(transfer t) {
    for (;;) {
        x87_seen = x87_now();
        t = registers_mislead(t.from, nullptr, nullptr, four_times(usual_x87));
    }
}

void only_x87_differs() {
    context to = make(0, &note_x87);
    const std::uint16_t other = creator.x87_control;
    std::uint64_t misleading[8];
    for (std::uint64_t& words : misleading) words = four_times(other);
    for (int i = 0; i != 6; ++i) {
        transfer (*const call)(transfer) = i % 2 == 0 ? nullptr : +[](transfer t) { return t; };
        to = registers_mislead(to, misleading, call, four_times(other)).from;
        expect("x87 control word of a context that disagrees", x87_seen, other);
        expect("x87 control word afterwards", x87_now(), usual_x87);
    }
}
#endif

// A context whose function returns has nowhere to go: the process aborts.
void entry_that_returns() {
    const pid_t child = ::fork();
    if (child == 0) {
        const rlimit none{0, 0};
        ::setrlimit(RLIMIT_CORE, &none);
        weft_jump_context(make(0, [](transfer) {}), nullptr);
        std::_Exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    expect("the signal an entry that returns ends in", WIFSIGNALED(status) ? WTERMSIG(status) : 0, SIGABRT);
}

} // namespace

int main() {
#if defined(__x86_64__)
    only_x87_differs();
#endif
    for (const std::size_t cut : {0, 1, 8, 15}) {
        walk_out_of_line(cut);
        walk_inline(cut);
    }
    begin_with_ontop();
    entry_that_returns();
}
