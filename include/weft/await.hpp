// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/await_request.hpp>
#include <weft/detail/await_shim.hpp>
#include <weft/detail/awaiter_storage.hpp>
#include <weft/fiber.hpp>

#include <memory>
#include <type_traits>
#include <utility>

/// \file
/// `co_await` without a coroutine in sight: from a C callback, a comparator, ten plain calls below a stackful body.
///
///     int compare(const void* a, const void* b) { return weft::await(ask_user(a, b)); } // in a C qsort
///
/// It suspends the nearest stackful body around it (see weft/stackful.hpp) that can wait for a foreign operation;
/// fibers between that body and the caller, a weft::generator for one, are suspended with it and continue with it.
/// An awaitable that only coroutines of its own library can await is refused: co.await takes it, in a body of those. But
/// below a body of an asio::awaitable weft::await takes one, too, if their executor types are the same (weft/asio.hpp).
namespace weft {

/// Unwinds a body, or a coroutine, whose operation was stopped instead of giving a result: what an await throws when a
/// sender completes with set_stopped. Let it pass: it becomes the stop of the coroutine, if the promise of that has
/// P2300's unhandled_stopped(), and else leaves it as an exception. It is no std::exception. A body that catches it
/// goes on, as one that did without the result.
class WEFT_EXPORT operation_stopped {};

namespace detail {

/// The driver that weft::await suspends, wherever it is. \throws not_in_fiber if there is none.
WEFT_API driver& find_ambient_driver();

/// The same. Mostly it drives the running fiber itself.
WEFT_ALWAYS_INLINE driver& ambient_driver() {
    if (const fiber_record* const fiber = running_fiber(this_thread())) [[likely]]
        if (auto* const d = static_cast<driver*>(fiber->details->driver); d && d->takes_foreign) [[likely]]
            return *d;
    return find_ambient_driver();
}

template <class Awaiter>
WEFT_ALWAYS_INLINE void suspend_ambient(driver& d, Awaiter& awaiter) {
    void* const address = const_cast<void*>(static_cast<const void*>(std::addressof(awaiter)));
    if constexpr (requires { awaiter.stopped_by(d.stop); }) awaiter.stopped_by(d.stop);
    if constexpr (awaiter_anywhere<Awaiter>) {
        await_request request{&start_await<Awaiter, void>, address, transfers_control<Awaiter, void>, ambient_kind};
        suspend_for(d, request);
    } else {
        static_assert(awaiter_in<Awaiter, shim_promise>,
                      "weft::await: this operand can be awaited only by coroutines of its own library: use co.await(operand) "
                      "in a stackful body of that library's coroutine type R (a callback gets co as "
                      "weft::coroutine_ref_for<R>*; for an asio::awaitable, include <weft/asio.hpp>)");
        if constexpr (awaiter_in<Awaiter, shim_promise>) {
            await_request inner{&start_await<Awaiter, shim_promise>, address, transfers_control<Awaiter, shim_promise>};
            await_shim shim{inner};
            suspend_for(d, shim.request());
            if (inner.failure) std::rethrow_exception(std::move(inner.failure));
        }
    }
}

/// Awaits an operand that becomes an awaiter only here, in the body of `d`.
template <adapted_operand Operand>
WEFT_ALWAYS_INLINE auto await_adapted(driver& d, Operand&& operand) -> typename operand_adapter<Operand>::result {
    if (d.body->state & unwinding) [[unlikely]]
        check_suspend(*d.body); // throws: the promise of a coroutine that is being destroyed has no stop token to give
    auto a = operand_adapter<Operand>::get_awaiter(d, std::forward<Operand>(operand));
    if (!a.await_ready()) suspend_ambient(d, a);
    return a.await_resume();
}

} // namespace detail

/// Awaits `operand` in the running stackful body. Ready operands cost no switch; no memory is allocated.
/// The functions of the awaiter run on the caller's stack, but await_suspend on that of whoever resumed the body.
/// The result is what await_resume returns; what it may refer to, an awaiter that operator co_await returned by value,
/// lives to the end of the full-expression, as with co_await. (`kept` holds it: leave it out.)
/// \throws not_in_fiber if no stackful body is running; what the awaiter throws; forced_unwind if the body's coroutine
/// is destroyed meanwhile.
template <class Operand>
WEFT_NO_DANGLING WEFT_ALWAYS_INLINE auto await(Operand&& operand, detail::awaiter_storage<Operand&&>&& kept = {}) ->
    typename detail::await_result_of<Operand&&>::type {
    static_assert(detail::awaitable<Operand> || detail::adapted_operand<Operand>,
                  "weft::await: this operand is not awaitable: it needs await_ready, await_suspend and await_resume, or an "
                  "operator co_await (one that argument-dependent lookup does not find is called by hand: "
                  "operator co_await(operand); an operation of Asio takes weft::use_fiber as its token, in place of "
                  "asio::deferred; for a sender, include <weft/senders.hpp>)");
    using of_its_own = detail::ambient_operand<std::remove_cvref_t<Operand>>;
    if constexpr (requires(detail::driver& d) { of_its_own::await(d, std::forward<Operand>(operand)); }) {
        return of_its_own::await(detail::ambient_driver(), std::forward<Operand>(operand));
    } else if constexpr (detail::adapted_operand<Operand>) {
        return detail::await_adapted(detail::ambient_driver(), std::forward<Operand>(operand));
    } else if constexpr (detail::awaitable<Operand>) {
        using awaiter = std::remove_reference_t<detail::awaiter_of<Operand>>;
        using result = typename detail::await_result_of<Operand>::type;
        detail::driver& d = detail::ambient_driver();
        const detail::storage_end<detail::ends_with_call<Operand, result>, detail::awaiter_storage<Operand&&>> end{kept};
        auto&& a = kept.awaiter.make(
            [&]() -> decltype(auto) { return detail::get_awaiter(std::forward<Operand>(operand)); });
        if (!a.await_ready()) detail::suspend_ambient<awaiter>(d, a);
        return a.await_resume();
    } else {
        return {};
    }
}

} // namespace weft
