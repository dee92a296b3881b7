// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/config.hpp>
#include <weft/detail/exception_state.hpp>

#include <cstddef>
#include <cstdint>

namespace weft::detail {

struct fiber_record;
struct stack_bounds;

/// What weft knows of a thread.
struct thread_state {
    fiber_record* current;       // the innermost running fiber
    exception_state* exceptions; // the thread's; until it is asked for: one that always has something in it
    const stack_bounds* context; // the stack of the running fiber_context, if one runs; lies on that stack
    std::uint64_t number;        // no other thread's, ever; 0 until it is asked for
};

} // namespace weft::detail

#if defined(__linux__) && defined(__ELF__) && defined(__LP64__) && (defined(__x86_64__) || defined(__aarch64__))
#    define WEFT_THREAD_STATE_INLINE 1
#else
#    define WEFT_THREAD_STATE_INLINE 0
extern "C" WEFT_API weft::detail::thread_state* weft_this_thread() noexcept;
#endif

namespace weft::detail {

/// The state of the thread that runs this very statement. Compilers take the address of a thread_local for constant
/// within a function; but after a switch the thread may be another one, so here it is asked for each time.
///
/// Inline it is what a compiler emits for the initial-exec model of ELF (thread-local storage that exists before the
/// program starts): the thread pointer and, from the linker, the variable's distance to it.
WEFT_ALWAYS_INLINE thread_state& this_thread() noexcept {
#if !WEFT_THREAD_STATE_INLINE
    return *weft_this_thread();
#elif defined(__x86_64__)
    thread_state* state;
    asm volatile("movq  %%fs:0, %0\n\t"
                 "addq  weft_thread_state@gottpoff(%%rip), %0"
                 : "=r"(state)
                 :
                 : "cc");
    return *state;
#else
    thread_state* state;
    std::ptrdiff_t distance;
    asm volatile("mrs   %0, tpidr_el0\n\t"
                 "adrp  %1, :gottprel:weft_thread_state\n\t"
                 "ldr   %1, [%1, :gottprel_lo12:weft_thread_state]\n\t"
                 "add   %0, %0, %1"
                 : "=&r"(state), "=&r"(distance));
    return *state;
#endif
}

/// The state of the running thread, which was `before` when no fiber ran it, and is so again. Which is cheaper, to ask
/// anew or to fetch the address from the stack (whose own address has just come out of memory)?
WEFT_ALWAYS_INLINE thread_state& still_this_thread([[maybe_unused]] thread_state& before) noexcept {
#if defined(__x86_64__)
    return this_thread();
#else
    return before;
#endif
}

} // namespace weft::detail
