// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/fiber_record.hpp>

// A fiber whose body has ended waits in its first function, and could run another one. So a thread keeps a few that
// were destroyed, each with its record and its stack, and to make a fiber is mostly to give one of them a body.
namespace weft::detail {

/// The end of a fiber that take_idle_fiber() has given; its body is gone. Not inline: who ends a fiber has switched,
/// and compilers take the address of a thread_local for constant within a function.
void keep_idle_fiber(fiber_record& fiber) noexcept;

} // namespace weft::detail
