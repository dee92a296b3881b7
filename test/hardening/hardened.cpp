// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// AArch64, built with -mbranch-protection=standard, on a processor (or emulator) that enforces it.
//
//   hardened bti      Every kind of switch runs while the kernel enforces landing pads in weft's text and this file's.
//                     A static program is not mapped that way at its start, so it asks for it itself; the C library's
//                     own text is left as it is.
//   hardened pac      Each saved code address is overwritten in turn, in a process of its own. That must fault where
//                     the address is checked and never run what the forged one points to.
//   hardened          both

#include "../../lib/switch/frame.h"

#include <weft/detail/switch/control_block.hpp>
#include <weft/detail/switch/inline_switch.hpp>
#include <weft/fiber.hpp>
#include <weft/switch.hpp>

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string_view>

#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#if !defined(__ARM_FEATURE_BTI_DEFAULT)
#    error "compile this with -mbranch-protection=standard (or bti, for landing pads alone)"
#endif

extern "C" {
extern const char guarded_text_begin[]; // pages that hold weft's text and this file's: guarded_text_*.S
extern const char guarded_text_end[];
void without_landing_pad(); // one of them
}

namespace {

using weft::context;
using weft::transfer;
using weft::detail::control_block;

[[noreturn]] void fail(const char* sentence) {
    std::fprintf(stderr, "FAILED: %s\n", sentence);
    std::_Exit(1);
}

// The stacks lie apart by no power of two, so that the stack pointers on them differ in many bits.
constexpr std::size_t stack_size = 64 * 1024 + 4096 + 208;
alignas(16) std::byte stacks[9][stack_size];

void* top_of(int index) {
    return stacks[index] + stack_size;
}

// Called through these, so that the compiler cannot make a direct call of it, which needs no landing pad.
context (*volatile make)(void*, std::size_t, void (*)(transfer)) noexcept = &weft_make_context;
transfer (*volatile jump)(context, void*) = &weft_jump_context;
transfer (*volatile ontop)(context, void*, transfer (*)(transfer)) = &weft_ontop_context;

int turns = 0;

void echo(transfer arrived) {
    for (;;) {
        ++turns;
        arrived = jump(arrived.from, arrived.data);
    }
}

transfer pass_on(transfer arrived) {
    ++turns;
    return arrived;
}

[[gnu::noinline]] void resume(control_block& block) {
    weft::detail::switch_to_fiber(block);
}

[[gnu::noinline]] void suspend(control_block& block) {
    weft::detail::switch_to_resumer(block);
}

void echo_block(void* block) {
    for (;;) {
        ++turns;
        suspend(*static_cast<control_block*>(block));
    }
}

[[gnu::noinline]] void run_every_switch() {
    turns = 0;
    int message = 0;
    transfer arrived = jump(make(top_of(0), stack_size, &echo), &message);
    arrived = jump(arrived.from, &message);
    arrived = ontop(arrived.from, &message, &pass_on);                         // 2 turns: on top, and echo
    ontop(make(top_of(1), stack_size, &echo), &message, &pass_on);             // likewise, of one that never ran
    if (turns != 6 || arrived.data != &message) fail("the out-of-line switch does not work");

    control_block block;
    weft::detail::make_control_block(block, top_of(2), stack_size, &echo_block, &block);
    for (int i = 0; i != 3; ++i) resume(block);
    if (turns != 9) fail("the inline switch does not work");

    weft::fiber fiber{[](weft::fiber_ref self) {
        self.suspend();
        try {
            self.suspend();
            throw std::runtime_error("inside");
        } catch (const std::runtime_error&) {
            self.suspend();
        }
        throw std::runtime_error("outside");
    }};
    for (int i = 0; i != 3; ++i) fiber.resume();
    try {
        fiber.resume();
        fail("no exception left the fiber");
    } catch (const std::runtime_error& error) {
        if (error.what() != std::string_view{"outside"}) fail("a wrong exception left the fiber");
    }
}

// --- faults -------------------------------------------------------------------------------------------------------

volatile sig_atomic_t expected_signal = 0; // of two that an authentication may end in, SIGSEGV stands for both

void on_fault(int signal, siginfo_t*, void* machine) {
    const auto pc = static_cast<const ucontext_t*>(machine)->uc_mcontext.pc;
    const bool authentication = signal == SIGILL || pc >> 48 != 0; // at the check itself, or at the address it spoiled
    if (expected_signal == SIGILL && signal == SIGILL) std::_Exit(0);
    if (expected_signal == SIGSEGV && authentication) std::_Exit(0);
    std::_Exit(2);
}

alignas(16) std::byte signal_stack[64 * 1024];

void catch_faults() {
    stack_t alternative{};
    alternative.ss_sp = signal_stack;
    alternative.ss_size = sizeof signal_stack;
    ::sigaltstack(&alternative, nullptr);
    struct sigaction action {};
    action.sa_sigaction = &on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    for (const int signal : {SIGSEGV, SIGILL, SIGBUS}) ::sigaction(signal, &action, nullptr);
}

// Runs `attempt` in a process of its own, which must end with the expected fault.
void must_fault(const char* what, int signal, void (*attempt)()) {
    std::fflush(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
        catch_faults();
        expected_signal = signal;
        attempt();
        std::_Exit(3);
    }
    int status = 0;
    if (child < 0 || ::waitpid(child, &status, 0) != child) fail("a process could not be started");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        std::fprintf(stderr, "FAILED: %s: %s (status %d, %d)\n", what,
                     WIFEXITED(status) && WEXITSTATUS(status) == 1   ? "the forged address ran"
                     : WIFEXITED(status) && WEXITSTATUS(status) == 3 ? "nothing noticed it"
                                                                     : "it ended in another way",
                     WIFEXITED(status) ? WEXITSTATUS(status) : -1, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
        std::exit(1);
    }
    std::printf("%s: faults\n", what);
}

// --- BTI ----------------------------------------------------------------------------------------------------------

bool guarded(const void* address) {
    return address >= guarded_text_begin && address < guarded_text_end;
}

template <class Function>
bool guarded_function(Function* function) {
    return guarded(reinterpret_cast<const void*>(function));
}

void enforce_landing_pads() {
    constexpr int with_landing_pads = 0x10; // PROT_BTI
    void* const begin = const_cast<char*>(guarded_text_begin);
    const auto size = static_cast<std::size_t>(guarded_text_end - guarded_text_begin);
    if (::mprotect(begin, size, PROT_READ | PROT_EXEC | with_landing_pads) != 0) fail("the kernel refuses PROT_BTI");
    control_block block;
    weft::detail::make_control_block(block, top_of(0), stack_size, &echo_block, &block);
    if (!guarded_function(&weft_make_context) || !guarded_function(&weft_jump_context) ||
        !guarded_function(&weft_ontop_context) || !guarded_function(&resume) || !guarded_function(&suspend) ||
        !guarded_function(&weft::detail::make_control_block) ||
        !guarded(reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(block.program_counter) & 0xffffffffffff)))
        fail("the switch lies outside of the guarded text");
}

void call_without_landing_pad() {
    void (*volatile function)() = &without_landing_pad;
    function();
}

void test_bti() {
    enforce_landing_pads();
    must_fault("an indirect call of a function without landing pad", SIGILL, &call_without_landing_pad);
    run_every_switch();
    std::printf("every switch lands on landing pads\n");
}

#if defined(__ARM_FEATURE_PAC_DEFAULT)
// --- PAC ----------------------------------------------------------------------------------------------------------

void* sign(void* address, const void* sp) {
    register void* x17 asm("x17") = address;
    register const void* x16 asm("x16") = sp;
    asm("hint #8" : "+r"(x17) : "r"(x16)); // pacia1716
    return x17;
}

template <int>
void forged(void*) {
    fail("the forged address ran");
}

// A signature has few bits; in one case of 128 the right one is that of a plain address. So: a target where it is not.
void* unsigned_address(const void* sp) {
    void* const candidates[]{reinterpret_cast<void*>(&forged<0>), reinterpret_cast<void*>(&forged<1>),
                             reinterpret_cast<void*>(&forged<2>), reinterpret_cast<void*>(&forged<3>),
                             reinterpret_cast<void*>(&forged<4>), reinterpret_cast<void*>(&forged<5>)};
    for (void* const candidate : candidates)
        if (sign(candidate, sp) != candidate) return candidate;
    fail("the processor does not sign addresses");
}

void*& slot(context c, std::size_t offset) {
    return *reinterpret_cast<void**>(static_cast<std::byte*>(c) + offset);
}
constexpr std::size_t pc_slot = WEFT_AARCH64_X29_X30 + 8;
constexpr std::size_t entry_slot = WEFT_AARCH64_X19_X20;

const void* sp_of(context c) {
    return static_cast<std::byte*>(c) + WEFT_AARCH64_FRAME;
}

context suspended(int stack) {
    return weft_jump_context(weft_make_context(top_of(stack), stack_size, &echo), nullptr).from;
}

void suspend_block(control_block& block, int stack) {
    weft::detail::make_control_block(block, top_of(stack), stack_size, &echo_block, &block);
    resume(block);
}

void jump_to_unsigned_pc() {
    const context c = suspended(0);
    slot(c, pc_slot) = unsigned_address(sp_of(c));
    weft_jump_context(c, nullptr);
}

void ontop_of_unsigned_pc() {
    const context c = suspended(0);
    slot(c, pc_slot) = unsigned_address(sp_of(c));
    weft_ontop_context(c, nullptr, &pass_on);
}

// A valid signature, of the same address, made on another stack.
void jump_to_pc_of_another_stack() {
    const context one = suspended(0);
    for (int stack = 1; stack != 9; ++stack) {
        const context other = suspended(stack);
        if (slot(one, pc_slot) == slot(other, pc_slot)) continue;
        slot(other, pc_slot) = slot(one, pc_slot);
        weft_jump_context(other, nullptr);
        return;
    }
}

void jump_to_new_context_with_unsigned_pc() {
    const context c = weft_make_context(top_of(0), stack_size, &echo);
    slot(c, pc_slot) = unsigned_address(sp_of(c));
    weft_jump_context(c, nullptr);
}

void jump_to_new_context_with_unsigned_entry() {
    const context c = weft_make_context(top_of(0), stack_size, &echo);
    slot(c, entry_slot) = unsigned_address(sp_of(c));
    weft_jump_context(c, nullptr);
}

void switch_to_unsigned_pc() {
    control_block block;
    suspend_block(block, 0);
    block.program_counter = unsigned_address(block.stack_pointer);
    resume(block);
}

void switch_to_pc_of_another_stack() {
    control_block one;
    control_block other;
    suspend_block(one, 0);
    for (int stack = 1; stack != 9; ++stack) {
        suspend_block(other, stack);
        if (one.program_counter == other.program_counter) continue;
        other.program_counter = one.program_counter;
        resume(other);
        return;
    }
}

void switch_to_new_block_with_unsigned_pc() {
    control_block block;
    weft::detail::make_control_block(block, top_of(0), stack_size, &echo_block, &block);
    block.program_counter = unsigned_address(block.stack_pointer);
    resume(block);
}

void switch_to_new_block_with_unsigned_entry() {
    control_block block;
    weft::detail::make_control_block(block, top_of(0), stack_size, &echo_block, &block);
    block.fiber_frame_pointer = unsigned_address(block.stack_pointer);
    resume(block);
}

void test_pac() {
    must_fault("jump to an unsigned pc", SIGSEGV, &jump_to_unsigned_pc);
    must_fault("ontop of an unsigned pc", SIGSEGV, &ontop_of_unsigned_pc);
    must_fault("jump to a pc signed for another stack", SIGSEGV, &jump_to_pc_of_another_stack);
    must_fault("jump to a new context with an unsigned pc", SIGSEGV, &jump_to_new_context_with_unsigned_pc);
    must_fault("jump to a new context with an unsigned entry", SIGSEGV, &jump_to_new_context_with_unsigned_entry);
    must_fault("inline switch to an unsigned pc", SIGSEGV, &switch_to_unsigned_pc);
    must_fault("inline switch to a pc signed for another stack", SIGSEGV, &switch_to_pc_of_another_stack);
    must_fault("inline switch to a new block with an unsigned pc", SIGSEGV, &switch_to_new_block_with_unsigned_pc);
    must_fault("inline switch to a new block with an unsigned entry", SIGSEGV, &switch_to_new_block_with_unsigned_entry);
}

#endif

} // namespace

int main(int argc, char** argv) {
    const std::string_view mode = argc > 1 ? argv[1] : "";
    if (mode.empty() || mode == "bti") test_bti();
#if defined(__ARM_FEATURE_PAC_DEFAULT)
    if (mode.empty() || mode == "pac") test_pac();
#endif
}
