// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "checksum.h"

#include <weft/detail/fiber/fiber_record.hpp>

// Is what a fiber's flags, tag bits and pointers say one of the states of fiber_state.hpp? In a library that checks contexts
// the slow paths ask, and so each resume and suspend of a fiber that it has made.
namespace weft::detail {

/// Ends the program with a message if it is none. \pre the fiber is not between two states: no function that leads from
/// one to the next is running.
void check_state_of(const fiber_record& fiber) noexcept;

inline void check_state([[maybe_unused]] const fiber_record& fiber) noexcept {
    if constexpr (checks_contexts) check_state_of(fiber);
}

} // namespace weft::detail
