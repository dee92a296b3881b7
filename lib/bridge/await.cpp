// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <weft/await.hpp>
#include <weft/detail/throw_or_die.hpp>
#include <weft/stackful.hpp>

namespace weft::detail {

driver& find_ambient_driver() {
    const fiber_record* fiber = running_fiber(this_thread());
    if (!fiber)
        throw_or_die(not_in_fiber(
            "weft::await, weft::use_fiber or the like is used outside of a stackful body: use it below weft::stackful; "
            "use co_await in a coroutine without such a body, which does not run on that of whoever awaits it"));
    for (; fiber; fiber = fiber->details->outer)
        if (auto* const d = static_cast<driver*>(fiber->details->driver); d && d->takes_foreign) return *d;
    throw_or_die(not_in_fiber(
        "weft::await, weft::use_fiber or the like is used in a fiber that nothing can resume when the awaited operation completes: no "
        "stackful body is around it, or its coroutine type refuses operations of others (for an Asio "
        "awaitable, include <weft/asio.hpp>); run it below weft::stackful, or use co.await"));
}

void throw_nothing_awaited() {
    throw_or_die(
        fiber_error("weft: a stackful body suspended itself without awaiting anything, so nothing would resume it: use "
                    "co.await, co.yield or weft::await instead of suspend()"));
}

} // namespace weft::detail
