// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/base/config.hpp>
#include <weft/detail/fiber/fiber_record.hpp>
#include <weft/detail/fiber/fiber_state.hpp>
#include <weft/detail/switch/control_block.hpp>
#include <weft/detail/thread/thread_access.hpp>
#include <weft/detail/thread/thread_state.hpp>

// A fiber whose body has ended waits in its first function, and could run another one. So a thread keeps a few that
// were destroyed, each with its record and its stack, and to make a fiber is mostly to give one of them a body. The
// last one is in the thread's state, the others are out of line.
namespace weft::detail {

/// One of the others, or a new one. \throws stack_exhausted
WEFT_API fiber_record& take_another_cached_fiber();

/// destroy() of a fiber that has not ended or is not to be kept as it is, or where the thread's state has one already.
WEFT_API void destroy_slow(fiber_record& fiber) noexcept;

/// Is there one in the thread's state that inline code may take? The limit is written by other threads, see
/// lib/stack/process_pools.h, and read plainly, so that it is an operand of the comparison: a thread that has learnt of
/// another default size has learnt of the limit, too.
inline bool has_cached_fiber(const thread_state& thread) noexcept { return thread.cached > thread.cache_limit; }

/// A fiber without a body that lies in a cached_fiber_frame: one that the thread has kept, or a new one.
/// \throws stack_exhausted
inline fiber_record& take_cached_fiber() {
    thread_state& thread = this_thread();
    if (!has_cached_fiber(thread)) [[unlikely]]
        return take_another_cached_fiber();
    auto& fiber = *reinterpret_cast<fiber_record*>(thread.cached);
    thread.cached = room_for_one;
    let_resume(fiber.block);
    return fiber;
}

/// Unwinds the body if it is suspended, then keeps the fiber for the next body or releases it. Terminates if it is
/// running. Leaves no_fiber alone, of whichever copy of weft.
inline void destroy(fiber_record& fiber) noexcept {
    thread_state& thread = this_thread();
    if (fiber.progress != ended_plainly || thread.cached != room_for_one) [[unlikely]] {
        if (is_fiber(fiber)) destroy_slow(fiber);
        return;
    }
    ready_for_next_body(fiber);
    thread.cached = reinterpret_cast<std::uintptr_t>(&fiber);
}

} // namespace weft::detail
