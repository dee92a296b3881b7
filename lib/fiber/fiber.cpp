// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <weft/fiber.hpp>

#include "debugger.h"
#include "migration.h"
#include "stack_overflow.h"

#include <cstdio>
#include <cstdlib>
#include <string>

namespace {
// What a thread_state refers to until the first resume on its thread: something is in it, so that resume() takes the
// careful way, which asks for the thread's own.
constinit weft::detail::exception_state not_asked_for{nullptr, 1};
} // namespace

extern "C" {

// Named by the assembly in weft/detail/thread_state.hpp, where no compiler sees that it is used.
extern WEFT_API constinit thread_local weft::detail::thread_state weft_thread_state;
[[gnu::used]] constinit thread_local weft::detail::thread_state weft_thread_state{nullptr, &not_asked_for, nullptr, 0};

#if !WEFT_THREAD_STATE_INLINE
[[gnu::noinline]] weft::detail::thread_state* weft_this_thread() noexcept {
    asm volatile("" ::: "memory"); // not a pure function of nothing: the thread may have changed since the last call
    return &weft_thread_state;
}
#endif

} // extern "C"

namespace weft {
namespace {

// So that debugger.cpp is part of every program with fibers.
WEFT_FOR_DEBUGGERS constinit const detail::debugger_layout* const for_debuggers = &weft_debugger_layout;

[[noreturn]] void fatal(const char* sentence) noexcept {
    std::fprintf(stderr, "%s\n", sentence);
    std::abort();
}

// The first function on a fiber's stack. It ends by the switch that never comes back.
void fiber_main(void* argument) noexcept {
    auto& fiber = *static_cast<detail::fiber_record*>(argument);
    fiber.started = true;
    detail::departure{}.back_in_fiber(fiber.sanitizer);
    try {
        fiber.operations->run(fiber);
    } catch (const forced_unwind& unwind) {
        if (!unwind.unwinds(fiber)) fiber.failure = detail::exception_in_hand(); // of an outer fiber: on to our resumer
    } catch (...) {
        fiber.failure = detail::exception_in_hand();
    }
    fiber.state = detail::done;
    detail::departure{}.to_resumer(fiber.sanitizer, true);
    detail::switch_to_resumer(fiber.context);
    fatal("weft: a fiber that had ended was resumed: its control block was overwritten");
}

} // namespace

fiber_error::~fiber_error() = default;
not_in_fiber::~not_in_fiber() = default;

namespace detail {

inline namespace WEFT_CONTEXT_ABI {
void prepare(fiber_record& fiber, void* stack_top, const void* lowest, const fiber_operations& operations) noexcept {
    const auto size = static_cast<std::size_t>(static_cast<std::byte*>(stack_top) - static_cast<const std::byte*>(lowest));
    fiber.operations = &operations;
    fiber.sanitizer.create(lowest, size);
    make_control_block(fiber.context, stack_top, size, &fiber_main, &fiber);
}
} // namespace WEFT_CONTEXT_ABI

namespace {

fiber_record& innermost(fiber_record& fiber) noexcept {
    fiber_record* last = &fiber;
    while (last->inner) last = last->inner;
    return *last;
}

// Runs a suspended fiber, whatever it or its resumer has beside registers.
void run(fiber_record& fiber, std::uint32_t and_unwinding = 0) noexcept {
    thread_state& thread = this_thread();
    if (thread.exceptions == &not_asked_for) watch_this_thread();
    thread.exceptions = &thread_exceptions();
    fiber_record* const outer = thread.current;
    fiber_record& last = innermost(fiber); // where it was suspended: itself, or a fiber it had resumed
    check_migration(fiber);
    if (outer) {
        outer->inner = &fiber;
        outer->state |= has_inner;
    }
    fiber.outer = outer;
    fiber.state = running | and_unwinding | (fiber.inner ? has_inner : 0U);
    thread.current = &last;

    const exception_state mine = *thread.exceptions;
    *thread.exceptions = std::exchange(fiber.exceptions, {});
    fp_state my_fp{};
    if (fiber.own_fp) {
        my_fp = fp_state::read();
        fiber.fp.write();
    }

    departure d;
    d.to_fiber(fiber.sanitizer, last.sanitizer);
    switch_to_fiber(fiber.context);
    d.back_in_resumer();

    thread_state& now = this_thread();
    if (fiber.own_fp) {
        fiber.fp = fp_state::read();
        my_fp.write();
    }
    fiber.exceptions = std::exchange(*now.exceptions, mine);
    now.current = outer;
    fiber.outer = nullptr;
    if (outer) {
        outer->inner = nullptr;
        outer->state &= ~std::uint32_t{has_inner};
    }
    if (fiber.state == done) return;
    const bool not_plainly = fiber.inner || fiber.own_fp || fiber.bindings || fiber.exceptions.any();
    note_thread(fiber);
    fiber.state = suspended | (not_plainly ? 0U : plainly);
}

void rethrow_failure(fiber_record& fiber) {
    if (fiber.failure) std::rethrow_exception(std::exchange(fiber.failure, nullptr));
}

} // namespace

void resume_from_fiber(fiber_record& fiber) {
    thread_state& thread = this_thread();
    fiber_record& outer = *thread.current;
    outer.inner = &fiber;
    outer.state |= has_inner;
    fiber.outer = &outer;
    thread.current = &fiber;
    fiber.state = running;

    departure d;
    d.to_fiber(fiber.sanitizer, fiber.sanitizer);
    switch_to_fiber(fiber.context);
    d.back_in_resumer();

    thread_state& now = this_thread();
    now.current = &outer;
    outer.inner = nullptr;
    outer.state &= ~std::uint32_t{has_inner};
    fiber.outer = nullptr;
    if (fiber.state != running || now.exceptions->any()) [[unlikely]]
        return came_back_with_care(fiber);
    fiber.state = suspended | plainly;
}

void resume_with_care(fiber_record& fiber) {
    if (!(fiber.state & suspended)) throw_not_resumable(&fiber);
    run(fiber);
    rethrow_failure(fiber);
}

void came_back_with_care(fiber_record& fiber) {
    if (fiber.state == done) return rethrow_failure(fiber);
    fiber.exceptions = std::exchange(*this_thread().exceptions, {});
    note_thread(fiber);
    fiber.state = suspended; // and not plainly: it holds an exception, another fiber, or what belongs to this thread
}

void check_suspend(const fiber_record& fiber) {
    if (fiber.state & (suspended | done | set_aside))
        throw fiber_error("weft: suspend() of a fiber that is not running: only the fiber itself, or one it has resumed, can "
                          "suspend it");
    if (fiber.state & unwinding) throw forced_unwind{fiber};
}

void destroy(fiber_record& fiber) noexcept {
    if (fiber.state & suspended) {
        if (fiber.started)
            run(fiber, unwinding); // to the end: then no suspension gives control back
        else
            fiber.operations->destroy_body(fiber);
    } else if (fiber.state != done) {
        fatal("weft: a running fiber was destroyed: destroy it from outside, after it has suspended or ended");
    }
    fiber.sanitizer.destroy();
    // Debuggers know a record by the stack it names. Volatile, as nobody else reads what is about to be destroyed.
    *const_cast<const void* volatile*>(&fiber.sanitizer.own.lowest) = nullptr;
    fiber.operations->release(fiber);
}

void throw_not_resumable(const fiber_record* fiber) {
    if (!fiber) throw fiber_error("weft: resume() of an empty fiber: it was moved from or never given a body");
    if (fiber->state == done)
        throw fiber_error("weft: resume() of a fiber that has ended: ask done() before resuming");
    throw fiber_error("weft: resume() of a running fiber: only a suspended one can be resumed, by one thread at a time");
}

void throw_stack_too_small(std::size_t size, std::size_t needed) {
    throw std::invalid_argument("weft: a stack of " + std::to_string(size) + " bytes cannot hold this fiber's body; give it " +
                                std::to_string(needed) + " bytes or more, or capture less");
}

} // namespace detail

namespace this_fiber {

void suspend() {
    fiber_ref fiber = get();
    fiber.suspend();
}

fiber_ref get() {
    if (detail::fiber_record* const current = detail::this_thread().current) return fiber_ref{*current};
    throw not_in_fiber("weft: this_fiber is used outside of a fiber: call it from a fiber's body or below it");
}

} // namespace this_fiber

} // namespace weft
