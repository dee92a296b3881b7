// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft::detail {

struct stack_bounds;

/// What weft knows of a thread.
struct thread_state {
    // What every resume asks, so that it is one question: "does a fiber run here, or is an exception being handled?" A
    // fiber's record if one runs, the innermost; else `at_rest`. See busy().
    const std::byte* asked;
    const std::byte* at_rest;    // the thread's exceptions, see exceptions_of(); until the first resume: always busy
    const stack_bounds* context; // the stack of the running fiber_context, if one runs; lies on that stack
    std::uint64_t number;        // no other thread's, ever; 0 until it is asked for
    std::uintptr_t idle;         // the record of the fiber that is at hand, see take_idle_fiber(), or of idle_place
    std::uintptr_t idle_limit;   // inline code takes one that is above; others write it, see idle_limits
};

/// No fiber is at hand: there is room for one, or not even that. Numbers, as their comparison needs no register.
enum idle_place : std::uintptr_t { room_for_one = 0, not_in_use = 1 };
/// The limits of a thread: above not_in_use are records alone. Above the other there is nothing: the library is asked,
/// as the stacks that the thread keeps may no longer be of the default size.
enum idle_limits : std::uintptr_t { any_record = not_in_use, ask_library = ~std::uintptr_t{0} };

} // namespace weft::detail
