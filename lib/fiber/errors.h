// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/fiber/fiber_record.hpp>

// What is said of misuse of fibers.
namespace weft::detail {

inline constexpr const char* running_was_destroyed =
    "weft: a running fiber was destroyed: destroy it from outside, after it has suspended or ended";

/// Says why resume() of this fiber is refused. \throws fiber_error
[[noreturn]] void throw_not_resumable(const fiber_record& fiber);

/// The same of suspend() of one that does not run.
[[noreturn]] void throw_not_suspendable(const fiber_record& fiber);

/// Is it wrong that the running fiber suspends itself with a value, or without one? \throws fiber_error if it is.
void check_suspended_with(const fiber_record& fiber, bool value);

} // namespace weft::detail
