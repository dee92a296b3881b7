// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "program.hpp"
#include "trace.hpp"

#include <array>
#include <cstdint>

namespace fuzz {

/// Whose the rounding mode is: a difference between the switches (weft/switch.hpp). x86-64's assembly, weft's and
/// Boost's, saves it with the context; the inline switch, and AArch64's assembly, weft's and Boost's, leave it the
/// thread's.
enum class rounding_owner { context, thread };

/// How often a program did each operation; an operation that had no fiber to work on did nothing.
using coverage = std::array<std::uint64_t, operation_count>;

/// What a program does, worked out without a single switch: every stack is a list of frames.
trace predict(program, rounding_owner, coverage&);

} // namespace fuzz
