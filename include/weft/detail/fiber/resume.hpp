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

// The ways with more questions, out of line. What resume() and suspend() do inline is enough for a fiber that is merely
// suspended or running, is resumed by no other fiber, and while nobody is handling an exception.

/// resume() of any fiber by anybody; the first one on each thread comes here.
WEFT_API void* resume_with_care(fiber_record& fiber);
/// The end of resume(): `fiber` has left control not just by a suspension.
WEFT_API void came_back_with_care(fiber_record& fiber);
/// suspend() of a fiber that is not just running: returns if it may be switched from now.
WEFT_API void check_suspend(fiber_record& fiber);
/// The same of a suspend() with a value.
WEFT_API void check_suspend_with_value(fiber_record& fiber);
/// check_suspend(), and the switch, too: returns when the fiber is resumed.
WEFT_API void suspend_with_care(fiber_record& fiber);
/// The end of suspend(): `fiber` was not just resumed.
WEFT_API void resumed_with_care(fiber_record& fiber);

/// Switches to `fiber`, which waits on the stack of `last`, itself or a fiber that it has resumed, and returns what it hands
/// over when it has left. `waiting`: waiting_in(fiber.context), or nothing. Always inlined, as all of a switch is.
template <class... Waiting>
WEFT_ALWAYS_INLINE void* switch_and_return(fiber_record& fiber, fiber_record& last, Waiting... waiting) {
    departure d;
    d.to_fiber(fiber.details->sanitizer, last.details->sanitizer);
    void* const handed_over = switch_to_fiber(fiber.context, waiting...);
    d.back_in_resumer();
    return handed_over;
}

/// Switches to the resumer of `fiber`, on whose stack, or a resumed fiber's, it is called, and returns when it is resumed.
template <class... HandOver>
WEFT_ALWAYS_INLINE void leave_and_return(fiber_record& fiber, HandOver... hand_over) {
    departure d;
    d.to_resumer(fiber.details->sanitizer, false);
    switch_to_resumer(fiber.context, hand_over...);
    d.back_in_fiber(fiber.details->sanitizer);
}

/// The same of a fiber whose body has ended: it is not resumable until it is given another one.
WEFT_ALWAYS_INLINE void leave_for_good(fiber_record& fiber) {
    departure{}.to_resumer(fiber.details->sanitizer, true);
    switch_to_resumer_for_good(fiber.context);
}

/// Runs `fiber` until it suspends or ends. Returns what it hands over; anything if that is nothing. On the resumer's
/// stack.
/// \throws what left the body; fiber_error if it is neither prepared nor suspended.
WEFT_ALWAYS_INLINE void* resume(fiber_record& fiber) {
    const thread_pointers thread;
    void* handed_over;
    if constexpr (switch_tests_tag) {
        const auto waiting = waiting_in(fiber.context);
        if (!resumable(waiting.program_counter) || busy(thread.asked(), thread)) [[unlikely]]
            return resume_with_care(fiber);
        thread.set_asked(&fiber);
        handed_over = switch_and_return(fiber, fiber, waiting);
    } else {
        if (!resumable(fiber) || busy(thread.asked(), thread)) [[unlikely]]
            return resume_with_care(fiber);
        thread.set_asked(&fiber);
        handed_over = switch_and_return(fiber, fiber);
    }

    const thread_pointers now = still_this_thread(thread);
    const std::byte* const at_rest = now.at_rest();
    now.set_asked(at_rest);
    if (fiber.state != plain || busy(at_rest, now)) [[unlikely]]
        came_back_with_care(fiber);
    return handed_over;
}

/// Suspends `fiber` to its resumer, from its own stack or from that of a fiber it has resumed. Returns when it is
/// resumed, possibly on another thread. `hand_over`, a void* or nothing, is what resume() returns.
/// \throws forced_unwind if the fiber is being destroyed; fiber_error if it is not running.
/// \pre called on the thread it runs on.
template <class... HandOver>
WEFT_ALWAYS_INLINE void suspend(fiber_record& fiber, HandOver... hand_over) {
    constexpr bool plainly = sizeof...(hand_over) == 0;
    if constexpr (plainly && switch_tests_tag && !switches_are_told) {
        if (!try_switch_to_resumer(fiber.context)) [[unlikely]]
            suspend_with_care(fiber);
    } else {
        if (!suspendable(fiber)) [[unlikely]] {
            if constexpr (plainly)
                check_suspend(fiber);
            else
                check_suspend_with_value(fiber);
        }
        leave_and_return(fiber, hand_over...);
    }
    if (fiber.state != plain) [[unlikely]]
        resumed_with_care(fiber);
}

} // namespace weft::detail
