// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/config.hpp>
#include <weft/detail/fiber_record.hpp>
#include <weft/detail/thread_state.hpp>

// A fiber whose body has ended waits in its first function, and could run another one. So a thread keeps a few that
// were destroyed, each with its record and its stack, and to make a fiber is mostly to give one of them a body. The
// last one is at hand here, the others are out of line.
namespace weft::detail {

/// One that is not at hand, or a new one. \throws stack_exhausted
WEFT_API fiber_record& take_another_idle_fiber();

/// destroy() of a fiber that has not ended or is not to be kept as it is, or where another one is at hand.
WEFT_API void destroy_with_care(fiber_record& fiber) noexcept;

/// Is a fiber at hand that may be taken without a question? The limit is written by other threads, see
/// lib/stack/process_pools.h, and read plainly, so that it is an operand of the comparison: a thread that has learnt of
/// another default size has learnt of the limit, too.
inline bool at_hand(const thread_state& thread) noexcept { return thread.idle > thread.idle_limit; }

/// A fiber without a body that lies in an idle_fiber_frame: one that the thread has kept, or a new one.
/// \throws stack_exhausted
inline fiber_record& take_idle_fiber() {
    thread_state& thread = this_thread();
    if (!at_hand(thread)) [[unlikely]]
        return take_another_idle_fiber();
    auto& fiber = *reinterpret_cast<fiber_record*>(thread.idle);
    thread.idle = room_for_one;
    let_resume(fiber.context);
    return fiber;
}

/// Unwinds the body if it is suspended, then keeps the fiber for the next body or releases it. Terminates if it is
/// running. Leaves no_fiber alone, of whichever copy of weft.
inline void destroy(fiber_record& fiber) noexcept {
    thread_state& thread = this_thread();
    if (fiber.progress != (begun | ended) || thread.idle != room_for_one) [[unlikely]] {
        if (is_fiber(fiber)) destroy_with_care(fiber);
        return;
    }
    fiber.progress = prepared;
    thread.idle = reinterpret_cast<std::uintptr_t>(&fiber);
}

} // namespace weft::detail
