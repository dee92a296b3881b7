// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft::detail {

struct stack_bounds;

/// What weft knows of a thread.
struct thread_state {
    // What every resume asks, so that it is one question: "does a fiber run here, or is an exception being handled?" A
    // fiber's record if one runs, the innermost; else `idle_sentinel`. See busy().
    const std::byte* current;
    const std::byte* idle_sentinel;    // the thread's exceptions, see exceptions_of(); until the first resume: always busy
    const stack_bounds* context; // the stack of the running fiber_context, if one runs; lies on that stack
    std::uint64_t number;        // no other thread's, ever; 0 until it is asked for
    std::uintptr_t cached;         // the record of the cached fiber that is taken first, see take_cached_fiber(), or of cache_place
    std::uintptr_t cache_limit;   // inline code takes one that is above; others write it, see cache_limits
};

/// No fiber is there: there is room for one, or not even that. Numbers, as their comparison needs no register.
enum cache_place : std::uintptr_t { room_for_one = 0, not_in_use = 1 };
/// The limits of a thread: above not_in_use are records alone. Above the other there is nothing: the library is current,
/// as the stacks that the thread keeps may no longer be of the default size.
enum cache_limits : std::uintptr_t { any_record = not_in_use, ask_library = ~std::uintptr_t{0} };

} // namespace weft::detail
