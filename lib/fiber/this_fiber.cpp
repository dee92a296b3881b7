// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "../thread/thread_state.h"

#include <weft/detail/base/throw_or_die.hpp>
#include <weft/detail/fiber/current_fiber.hpp>
#include <weft/fiber.hpp>

namespace weft {

namespace this_fiber {

void suspend() {
    fiber_ref fiber = get();
    fiber.suspend();
}

fiber_ref get() {
    if (detail::fiber_record* const current = detail::running_fiber(detail::this_thread())) return fiber_ref{*current};
    detail::throw_or_die(
        not_in_fiber("weft: this_fiber is used outside of a fiber: call it from a fiber's body or below it"));
}

} // namespace this_fiber

} // namespace weft
