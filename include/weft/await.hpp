// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/await_request.hpp>
#include <weft/detail/await_shim.hpp>
#include <weft/fiber.hpp>

#include <memory>
#include <type_traits>
#include <utility>

/// `co_await` without a coroutine in sight: from a C callback, a comparator, ten plain calls below a stackful body.
///
///     int compare(const void* a, const void* b) { return weft::await(ask_user(a, b)); } // in a C qsort
///
/// It suspends the nearest stackful body around it (see weft/stackful.hpp) that can wait for a foreign operation; fibers
/// between that body and the caller, a weft::generator for one, are suspended with it and continue with it.
namespace weft {

namespace detail {

/// The driver that weft::await suspends. \throws not_in_fiber if there is none.
WEFT_API driver& ambient_driver();

template <class Awaiter>
void suspend_ambient(driver& d, Awaiter& awaiter) {
    void* const address = const_cast<void*>(static_cast<const void*>(std::addressof(awaiter)));
    if constexpr (awaiter_anywhere<Awaiter>) {
        await_request request{&start_await<Awaiter, void>, address, transfers_control<Awaiter, void>, &ambient_kind};
        suspend_for(d, request);
    } else {
        static_assert(awaiter_in<Awaiter, shim_promise>,
                      "weft::await: this operand can be awaited only by coroutines of its own library: use co.await(operand) "
                      "in a stackful body of that library's coroutine type");
        await_request inner{&start_await<Awaiter, shim_promise>, address, transfers_control<Awaiter, shim_promise>};
        await_shim shim{inner};
        suspend_for(d, shim.request());
        if (inner.failure) std::rethrow_exception(std::move(inner.failure));
    }
}

} // namespace detail

/// Awaits `operand` in the running stackful body. Ready operands cost no switch; no memory is allocated.
/// The functions of the awaiter run on the caller's stack, but await_suspend on that of whoever resumed the body.
/// \throws not_in_fiber if no stackful body is running; what the awaiter throws; forced_unwind if the body's coroutine is
/// destroyed meanwhile.
template <class Operand>
auto await(Operand&& operand) -> typename detail::await_result_of<Operand>::type {
    static_assert(detail::awaitable<Operand>, "weft::await: this operand is not awaitable: it needs await_ready, "
                                              "await_suspend and await_resume, or an operator co_await");
    if constexpr (detail::awaitable<Operand>) {
        using awaiter = std::remove_reference_t<decltype(detail::get_awaiter(std::forward<Operand>(operand)))>;
        detail::driver& d = detail::ambient_driver();
        auto&& a = detail::get_awaiter(std::forward<Operand>(operand));
        if (!a.await_ready()) detail::suspend_ambient<awaiter>(d, a);
        return a.await_resume();
    }
}

} // namespace weft
