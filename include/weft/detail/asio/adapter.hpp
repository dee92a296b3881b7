// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// weft for one Asio: included by weft/asio.hpp with WEFT_THIS_ASIO = boost::asio, by weft/standalone_asio.hpp with asio.
// Meant to be included once for each, hence no include guard.

#include <concepts>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

namespace WEFT_THIS_ASIO { // NOLINT(modernize-concat-nested-namespaces): the macro may be a nested name
namespace weft_detail {

/// await_request::kind of an operation of this Asio in this version: another one's is another type.
inline constexpr std::uint64_t operation_kind = WEFT_ASIO_KIND;

} // namespace weft_detail
} // namespace WEFT_THIS_ASIO

#include <weft/detail/asio/cancellation.hpp>
#include <weft/detail/asio/operation.hpp>
#include <weft/detail/asio/results.hpp>
#include <weft/detail/asio/foreign_wait.hpp>

namespace WEFT_THIS_ASIO {

template <class Operation, class Allocator>
struct associated_allocator<weft_detail::handler_in_awaitable<Operation>, Allocator>
    : weft_detail::default_allocator<weft_detail::handler_in_awaitable<Operation>, Allocator> {};
template <class Operation, class Allocator>
struct associated_allocator<weft_detail::handler<Operation>, Allocator>
    : weft_detail::default_allocator<weft_detail::handler<Operation>, Allocator> {};
template <class Operation, class Executor>
struct associated_executor<weft_detail::handler<Operation>, Executor> {
    using type = weft_detail::default_executor<Executor>;
    static type get(const weft_detail::handler<Operation>& h) noexcept { return get(h, Executor()); }
    static type get(const weft_detail::handler<Operation>& h, const Executor& executor) noexcept {
        if constexpr (std::is_same_v<type, Executor>) {
            h.executor_is(executor);
            return executor;
        } else {
            h.executor_is(type());
            return type();
        }
    }
};
/// What asio::bind_executor makes of it. The handler is told where the operation may be cancelled.
template <class Operation, class Bound, class Executor>
struct associated_executor<executor_binder<weft_detail::handler<Operation>, Bound>, Executor> {
    using type = Bound;
    static type get(const executor_binder<weft_detail::handler<Operation>, Bound>& h,
                    const Executor& = Executor()) noexcept {
        h.get().cancelled_on(h.get_executor());
        return h.get_executor();
    }
};

template <class R, class... Args>
class async_result<::weft::use_fiber_t, R(Args...)> {
    using result = weft_detail::given_or_thrown<std::decay_t<Args>...>;

public:
    using return_type = typename result::type; // which adapters of tokens, redirect_error for one, ask for

    // The type is named: Asio asks for it with arguments that the function could not be compiled for.
    template <class Initiation, class... InitArgs>
    static return_type initiate(Initiation&& initiation, ::weft::use_fiber_t, InitArgs&&... args) {
        ::weft::detail::driver& driver = ::weft::detail::ambient_driver();
        auto begin = [start = std::decay_t<Initiation>(std::forward<Initiation>(initiation)),
                      with = std::tuple<std::decay_t<InitArgs>...>(std::forward<InitArgs>(args)...)](auto handler) mutable {
            std::apply([&](auto&... arg) { std::move(start)(std::move(handler), std::move(arg)...); }, with);
        };
        weft_detail::operation<decltype(begin), std::decay_t<Args>...> operation(driver, std::move(begin));
        ::weft::detail::await_request request = operation.request();
        ::weft::detail::suspend_for(driver, request);
        return std::apply([](auto&... results) { return result::take(results...); }, operation.results());
    }
};

} // namespace WEFT_THIS_ASIO

#include <weft/detail/asio/body.hpp>

namespace weft {

template <class T, class Executor, class Promise>
struct detail::coroutine_stop<WEFT_THIS_ASIO::awaitable<T, Executor>, Promise> {
    using type = WEFT_THIS_ASIO::weft_detail::awaitable_stop_of<Promise>;
};

/// An awaitable takes operations of its own Asio only, so what weft::await waits for is made one.
template <class T, class Executor, class Promise>
struct ambient_adapter<WEFT_THIS_ASIO::awaitable<T, Executor>, Promise> {
    static constexpr bool available = true;
    using services = WEFT_THIS_ASIO::weft_detail::services_with<Executor, Promise>;

    static WEFT_THIS_ASIO::awaitable<void, Executor> wait(detail::await_request& request,
                                                     WEFT_THIS_ASIO::weft_detail::awaitable_stop& stop) {
        constexpr bool converts = std::convertible_to<Executor, WEFT_THIS_ASIO::any_io_executor>;
        static_assert(converts, "weft: the executor of this awaitable must convert to any_io_executor, so that use_fiber can "
                                "associate it with an operation");
        if constexpr (!converts) {
            return {};
        } else {
            if (request.kind == WEFT_THIS_ASIO::weft_detail::awaitable_kind)
                return static_cast<WEFT_THIS_ASIO::weft_detail::awaited_here_base<Executor>*>(request.awaiter)->wait();
            if (request.kind != WEFT_THIS_ASIO::weft_detail::operation_kind)
                return WEFT_THIS_ASIO::weft_detail::wait_for_foreign<Executor>(request, stop);
            auto& operation = *static_cast<WEFT_THIS_ASIO::weft_detail::operation_base*>(request.awaiter);
            WEFT_THIS_ASIO::use_awaitable_t<Executor> token;
            return WEFT_THIS_ASIO::async_initiate<WEFT_THIS_ASIO::use_awaitable_t<Executor>, void()>(
                [&operation, &request](auto handler) {
                    const auto slot = WEFT_THIS_ASIO::get_associated_cancellation_slot(handler);
                    const WEFT_THIS_ASIO::any_io_executor executor = WEFT_THIS_ASIO::get_associated_executor(handler);
                    operation.start(detail::continuation(std::move(handler)), executor, slot, request);
                },
                token);
        }
    }
};

} // namespace weft
