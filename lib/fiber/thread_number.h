// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "stack_overflow.h"

#include <weft/detail/thread/thread_access.hpp>

#include <atomic>
#include <cstdint>

namespace weft::detail {

/// The number of the running thread, never of another one: the address of anything of its own would be given to a later
/// thread again. A thread that gets its number is watched for overflows, too.
inline std::uint64_t this_thread_number() noexcept {
    static constinit std::atomic<std::uint64_t> last{0};
    thread_state& thread = this_thread();
    if (thread.number == 0) {
        thread.number = last.fetch_add(1, std::memory_order_relaxed) + 1;
        watch_this_thread();
    }
    return thread.number;
}

} // namespace weft::detail
