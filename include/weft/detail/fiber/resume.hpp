// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/base/config.hpp>
#include <weft/detail/fiber/current_fiber.hpp>
#include <weft/detail/fiber/fiber_record.hpp>
#include <weft/detail/fiber/fiber_state.hpp>
#include <weft/detail/fiber/sanitizer_switch.hpp>
#include <weft/detail/switch/inline_switch.hpp>
#include <weft/detail/thread/thread_access.hpp>

#include <cstddef>
#include <cstdint>

namespace weft::detail {

// The slow path, out of line. The fast path, inline in resume() and suspend(), is enough if the fiber is plain, its resumer
// is no fiber, and the thread handles no exception.

/// resume() of any fiber by any flow of control; the first one on each thread comes here.
WEFT_API void* resume_slow(fiber_record& fiber);
/// The end of resume() where `fiber` did not come back by a plain suspension.
WEFT_API void came_back_slow(fiber_record& fiber);
/// The begin of suspend() where a switch is not enough: returns when the switch may follow. \throws as suspend() does
WEFT_API void check_suspend(fiber_record& fiber);
/// check_suspend() before a suspend() with a value.
WEFT_API void check_suspend_with_value(fiber_record& fiber);
/// check_suspend(), and the switch, too: returns when the fiber is resumed.
WEFT_API void suspend_slow(fiber_record& fiber);
/// The end of suspend() where there is more to do than to go on: `fiber` is checked, or is being unwound.
WEFT_API void resumed_slow(fiber_record& fiber);

/// Switches to `fiber` and returns the value that it passes when it leaves. `last` is the fiber on whose stack it waits:
/// itself, or the innermost fiber that it has resumed. `waiting` is waiting_in(fiber.block), or nothing. Always inlined, as
/// all of a switch is.
template <class... Waiting>
WEFT_ALWAYS_INLINE void* switch_and_return(fiber_record& fiber, fiber_record& last, Waiting... waiting) {
    sanitizer_switch d;
    d.to_fiber(fiber.details->sanitizer, last.details->sanitizer);
    void* const passed_value = switch_to_fiber(fiber.block, waiting...);
    d.back_in_resumer();
    return passed_value;
}

/// Switches to the resumer of `fiber`, and returns when `fiber` is resumed. Called on the stack of `fiber`, or of the
/// innermost fiber that it has resumed.
template <class... Passed>
WEFT_ALWAYS_INLINE void leave_and_return(fiber_record& fiber, Passed... value) {
    sanitizer_switch d;
    d.to_resumer(fiber.details->sanitizer, false);
    switch_to_resumer(fiber.block, value...);
    d.back_in_fiber(fiber.details->sanitizer);
}

/// Switches to the resumer of `fiber`, whose body has ended: it is not resumable until it is given another body, for which
/// this returns. AddressSanitizer is told that nothing on the stack is needed any more.
WEFT_ALWAYS_INLINE void leave_not_resumable(fiber_record& fiber) {
    sanitizer_switch{}.to_resumer(fiber.details->sanitizer, true);
    switch_to_resumer_not_resumable(fiber.block);
}

/// Runs `fiber` until it suspends or ends. Returns the value that it passes; anything if it passes none. Runs on the
/// resumer's stack.
/// \throws what left the body; fiber_error if it is neither prepared nor suspended.
WEFT_ALWAYS_INLINE void* resume(fiber_record& fiber) {
    const thread_pointers thread;
    void* passed_value;
    if constexpr (switch_tests_tag) {
        const auto waiting = waiting_in(fiber.block);
        if (!resumable(waiting.program_counter) || busy(thread.current(), thread)) [[unlikely]]
            return resume_slow(fiber);
        thread.set_current(&fiber);
        passed_value = switch_and_return(fiber, fiber, waiting);
    } else {
        if (!resumable(fiber) || busy(thread.current(), thread)) [[unlikely]]
            return resume_slow(fiber);
        thread.set_current(&fiber);
        passed_value = switch_and_return(fiber, fiber);
    }

    const thread_pointers now = still_this_thread(thread);
    const std::byte* const idle_sentinel = now.idle_sentinel();
    now.set_current(idle_sentinel);
    if (fiber.state != plain || busy(idle_sentinel, now)) [[unlikely]]
        came_back_slow(fiber);
    return passed_value;
}

/// Suspends `fiber` to its resumer, from its own stack or from that of a fiber it has resumed. Returns when it is
/// resumed, possibly on another thread. `value`, a void* or nothing, is what resume() returns.
/// \throws forced_unwind if the fiber is being destroyed; fiber_error if it is not running.
/// \pre called on the thread it runs on.
template <class... Passed>
WEFT_ALWAYS_INLINE void suspend(fiber_record& fiber, Passed... value) {
    constexpr bool plainly = sizeof...(value) == 0;
    if constexpr (plainly && switch_tests_tag && !annotates_switches) { // the statement tests the tag bit itself
        if (!try_switch_to_resumer(fiber.block)) [[unlikely]]
            suspend_slow(fiber);
    } else {
        if (!suspendable(fiber)) [[unlikely]] {
            if constexpr (plainly)
                check_suspend(fiber);
            else
                check_suspend_with_value(fiber);
        }
        leave_and_return(fiber, value...);
    }
    if (fiber.state != plain) [[unlikely]]
        resumed_slow(fiber);
}

} // namespace weft::detail
