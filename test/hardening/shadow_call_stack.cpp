// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// AArch64, built with -fsanitize=shadow-call-stack and without exceptions: the C library of a plain Linux gives a
// program no such stack, and its unwinder keeps x18 for nobody. So main() makes one and points x18 at it, and no
// function of the C library may be called that uses x18 as scratch.
//
// A function that calls others takes its return address from there alone. So it returns to where it was called from
// even if the copy on the ordinary stack is overwritten; and with another flow's shadow call stack it returns to where
// that one was called from.

#include <weft/fiber.hpp>
#include <weft/fiber_context.hpp>
#include <weft/generator.hpp>
#include <weft/switch.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#if !WEFT_SHADOW_CALL_STACK
#    error "compile this with -fsanitize=shadow-call-stack -ffixed-x18, and GCC with -DWEFT_SHADOW_CALL_STACK=1 as well"
#endif

namespace {

[[noreturn]] void fail(const char* sentence) {
    std::fputs(sentence, stderr);
    std::fputs("\n", stderr);
    std::_Exit(1);
}

void expect(bool right, const char* sentence) {
    if (!right) fail(sentence);
}

std::uintptr_t shadow_pointer() {
    std::uintptr_t x18;
    asm volatile("mov %0, x18" : "=r"(x18));
    return x18;
}

// The caller's copy of its return address on the ordinary stack leads nowhere from now on.
[[gnu::noinline]] void overwrite_return_address_of(void* frame) {
    static_cast<volatile std::uintptr_t*>(frame)[1] = 0x10;
}

std::uint32_t random_number() {
    static std::uint32_t state = 1;
    state = state * 1664525 + 1013904223;
    return state >> 16;
}

// Suspends at every depth, on the way down and up.
template <class Suspend>
[[gnu::noinline]] int descend(int depth, const Suspend& suspend) { // NOLINT(misc-no-recursion): to stack return addresses
    overwrite_return_address_of(__builtin_frame_address(0));
    suspend();
    const int below = depth > 0 ? descend(depth - 1, suspend) : 0;
    suspend();
    return below + 1;
}

// Flows at random depths take turns.
void fibers() {
    struct one {
        weft::fiber body;
        int depth = 0, result = -1;
    };
    static std::array<one, 40> all;
    for (one& o : all) {
        o.depth = static_cast<int>(random_number() % 30);
        o.body = weft::fiber{[&o](weft::fiber_ref self) { o.result = descend(o.depth, [self] { self.suspend(); }); }};
    }
    for (int left = 1; left > 0;) {
        left = 0;
        for (std::size_t i = 0; i < 40; ++i) {
            one& o = all[random_number() % all.size()];
            if (!o.body.done()) o.body.resume();
        }
        for (const one& o : all) left += !o.body.done();
    }
    for (const one& o : all) expect(o.result == o.depth + 1, "a fiber returned to the wrong place");
}

void nested() {
    int result = 0;
    weft::fiber outer{[&](weft::fiber_ref self) {
        weft::fiber inner{[&] { result += descend(5, [self] { self.suspend(); }); }}; // suspends both
        while (!inner.done()) inner.resume();
        result += descend(3, [self] { self.suspend(); });
    }};
    while (!outer.done()) outer.resume();
    expect(result == 10, "nested fibers returned to the wrong place");
}

void generators() {
    int sum = 0;
    for (const int each : weft::generator<int>{[](auto& out) { descend(9, [&out] { out.yield(1); }); }}) sum += each;
    expect(sum == 20, "a generator's body returned to the wrong place");
}

void contexts() {
    int result = 0;
    weft::fiber_context flow{[&](weft::fiber_context&& caller) {
        result = descend(7, [&caller] { caller = std::move(caller).resume(); });
        return std::move(caller);
    }};
    while (flow) flow = std::move(flow).resume();
    expect(result == 8, "a fiber_context returned to the wrong place");
}

alignas(16) std::byte stack[64 * 1024];

weft::transfer on_top(weft::transfer arrived) {
    const int depth = descend(4, [] {});
    expect(depth == 5, "a call on top returned to the wrong place");
    return arrived;
}

void bare_contexts() {
    static int result = 0;
    weft::transfer t{weft::make_context(stack + sizeof stack, sizeof stack,
                                        [](weft::transfer arrived) {
                                            result = descend(6, [&arrived] {
                                                arrived = weft::jump_context(arrived.from, arrived.data);
                                            });
                                            weft::jump_context(arrived.from, nullptr);
                                            fail("an ended context went on");
                                        }),
                     &result};
    for (int turn = 0; t.data || turn == 0; ++turn)
        t = turn % 2 ? weft::ontop_context(t.from, &result, &on_top) : weft::jump_context(t.from, &result);
    expect(result == 7, "a bare context returned to the wrong place");
}

// The shadow call stack lies on the fiber's memory, apart from its frames, and has room for as many as these can be.
[[gnu::noinline]] int to_the_end(std::uintptr_t lowest) { // NOLINT(misc-no-recursion)
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    expect(shadow_pointer() > here, "the shadow call stack begins below the frames");
    if (here - lowest < 4096) return 1;
    const int below = to_the_end(lowest);
    asm volatile("" ::: "memory"); // no loop
    return below + 1;
}

void as_deep_as_it_goes() {
    constexpr std::size_t size = 64 * 1024;
    static std::array<std::byte, size + 64> memory; // and what lies behind it
    struct allocator {
        weft::stack allocate() { return {.size = size, .sp = memory.data() + size}; }
        void deallocate(weft::stack) noexcept {}
    };
    static_assert(weft::stack_allocator<allocator>);
    memory.fill(std::byte{0x5a});
    int depth = 0;
    weft::fiber f{std::allocator_arg, allocator{},
                  [&] { depth = to_the_end(reinterpret_cast<std::uintptr_t>(memory.data())); }};
    f.resume();
    expect(depth > 500, "the fiber's frames ended too early");
    for (std::size_t i = size; i < memory.size(); ++i)
        expect(memory[i] == std::byte{0x5a}, "the shadow call stack went over its end");
}

[[gnu::noinline]] void everything() {
    const std::uintptr_t before = shadow_pointer();
    fibers();
    nested();
    generators();
    contexts();
    bare_contexts();
    as_deep_as_it_goes();
    expect(shadow_pointer() == before, "the thread has another shadow call stack than before");
}

void* shadow_of_main[4096];

// Before the other constructors, which return by it, too.
__attribute__((constructor(101), no_sanitize("shadow-call-stack"))) void begin() {
    asm volatile("mov x18, %0" : : "r"(shadow_of_main));
}

} // namespace

__attribute__((no_sanitize("shadow-call-stack"))) int main() {
    asm volatile("mov x18, %0" : : "r"(shadow_of_main)); // once more: the C library has run meanwhile
    everything();
    std::fputs("every flow of control returned on its own shadow call stack\n", stdout);
    std::fflush(stdout);
    std::_Exit(0);
}
