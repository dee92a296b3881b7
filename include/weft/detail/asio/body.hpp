// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// What the body of an awaitable of one Asio can do besides waiting for operations: know its executor, sleep, wait for
// awaitables, be spawned. Included by weft/detail/asio/adapter.hpp, once for each Asio, hence no include guard.

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace WEFT_THIS_ASIO { // NOLINT(modernize-concat-nested-namespaces): the macro may be a nested name
namespace weft_detail {

/// await_request::kind of an awaitable of this Asio, which the body's own awaitable awaits.
inline constexpr std::uint64_t awaitable_kind = operation_kind + 2;

/// Tells the executors of awaitables apart, also between shared objects: by a checksum of the type's name, as not every
/// program has type_info. (Compilers write the name in their own ways, but for the one that nearly all have.)
template <class Executor>
consteval std::uint64_t executor_kind() {
    if (std::same_as<Executor, any_io_executor>) return 0;
    std::uint64_t sum = 14695981039346656037u;
    for (const char* c = __PRETTY_FUNCTION__; *c; ++c) sum = (sum ^ static_cast<unsigned char>(*c)) * 1099511628211u;
    return sum;
}

/// What an awaitable offers below its body.
class awaitable_services : public ::weft::detail::driver_services {
public:
    virtual any_io_executor executor() = 0;
    std::uint64_t executor_kind() const noexcept { return executor_kind_; }

protected:
    explicit awaitable_services(std::uint64_t executor_kind) noexcept
        : driver_services{operation_kind}, executor_kind_(executor_kind) {}
    ~awaitable_services() = default;

private:
    std::uint64_t executor_kind_;
};

template <class Executor, class Promise>
class services_with final : public awaitable_services {
public:
    explicit services_with(Promise& promise) noexcept
        : awaitable_services(weft_detail::executor_kind<Executor>()), promise_(promise) {}
    any_io_executor executor() override {
        if constexpr (std::convertible_to<Executor, any_io_executor>) // else ambient_adapter::wait refuses it
            return promise_.await_transform(this_coro::executor).await_resume();
        else
            return {};
    }

private:
    Promise& promise_;
};

/// What the awaitable offers whose body this is; null if it is another coroutine's.
inline awaitable_services* services_of(const ::weft::detail::driver& driver) noexcept {
    ::weft::detail::driver_services* const services = driver.services;
    return services && services->kind == operation_kind ? static_cast<awaitable_services*>(services) : nullptr;
}

/// An awaitable that the body's own one awaits: lies on the body's stack.
template <class Executor>
class awaited_here_base {
public:
    awaited_here_base(const awaited_here_base&) = delete;
    awaited_here_base& operator=(const awaited_here_base&) = delete;
    virtual awaitable<void, Executor> wait() = 0;

protected:
    awaited_here_base() = default;
    ~awaited_here_base() = default;
};

template <class T, class Executor>
class awaited_here final : public awaited_here_base<Executor> {
public:
    explicit awaited_here(awaitable<T, Executor>&& operand) noexcept : operand_(std::move(operand)) {}

    awaitable<void, Executor> wait() override { return wait_for(*this); }
    T result() {
        if constexpr (!std::is_void_v<T>) return std::move(*result_);
    }

private:
    static awaitable<void, Executor> wait_for(awaited_here& self) {
        if constexpr (std::is_void_v<T>)
            co_await std::move(self.operand_);
        else
            self.result_.emplace(co_await std::move(self.operand_));
    }

    struct nothing {};
    awaitable<T, Executor> operand_;
    std::optional<std::conditional_t<std::is_void_v<T>, nothing, T>> result_;
};

/// Where co_spawn of this Asio can start something.
template <class Where>
concept place_to_spawn = std::convertible_to<Where, any_io_executor> || std::convertible_to<Where, execution_context&>;

/// How `co` is called in all bodies that weft::co_spawn starts.
using spawned_co = ::weft::coroutine_ref_for<awaitable<void>>;

/// Makes the awaitable that weft::co_spawn gives to Asio's.
template <class Allocator, class Fn, class T>
struct spawned {
    Allocator allocator;
    Fn fn;

    awaitable<T> operator()() {
        if constexpr (std::is_void_v<T>)
            return ::weft::detail::start_driver<awaitable<void>>(std::move(allocator), std::move(fn));
        else
            return with_result(std::move(allocator), std::move(fn));
    }
    static awaitable<T> with_result(Allocator allocator, Fn fn) {
        std::optional<T> result;
        const auto body = [&](spawned_co& co) { result.emplace(std::invoke(fn, co)); };
        co_await ::weft::detail::start_driver<awaitable<void>>(std::move(allocator), body);
        co_return std::move(*result);
    }
};

} // namespace weft_detail

/// Refuses a stackful() that names no coroutine type, in one sentence.
template <class Where, class Allocator, class Fn, class Token>
auto co_spawn(const Where&, ::weft::stackful_proxy<Allocator, Fn>&& body, Token&&) {
    return body();
}
template <class Where, class Allocator, class Fn, class Token>
auto co_spawn(Where&, ::weft::stackful_proxy<Allocator, Fn>&& body, Token&&) {
    return body();
}

} // namespace WEFT_THIS_ASIO

namespace weft {

namespace detail {

/// weft::await of an awaitable: the body's own awaitable awaits it, as by co.await.
template <class T, class Executor>
struct ambient_operand<WEFT_THIS_ASIO::awaitable<T, Executor>> {
    static T await(driver& d, WEFT_THIS_ASIO::awaitable<T, Executor>&& operand) {
        namespace adapter = WEFT_THIS_ASIO::weft_detail;
        const adapter::awaitable_services* const services = adapter::services_of(d);
        if (!services || services->executor_kind() != adapter::executor_kind<Executor>())
            throw_or_die(not_in_fiber(
                "weft::await: an asio::awaitable is awaited below a body that is no awaitable's of the same executor type: "
                "start it on an executor, asio::co_spawn(executor, std::move(it), weft::use_fiber), or use co.await"));
        adapter::awaited_here<T, Executor> awaited(std::move(operand));
        adapter::awaited_here_base<Executor>& base = awaited;
        await_request request{nullptr, &base, false, adapter::awaitable_kind};
        suspend_for(d, request);
        return awaited.result();
    }
    static refused await(driver&, const WEFT_THIS_ASIO::awaitable<T, Executor>&) {
        static_assert(refuse<T>, "weft::await: an asio::awaitable is awaited once: weft::await(std::move(it))");
        return {};
    }
};

/// weft::co_spawn where this Asio's can start something.
template <class Where>
    requires WEFT_THIS_ASIO::weft_detail::place_to_spawn<Where>
struct spawner<Where> {
    static constexpr bool available = true;

    template <class Allocator, class Fn, class Token>
    static auto spawn(Allocator allocator, Where&& where, Fn&& fn, Token&& token) {
        using namespace WEFT_THIS_ASIO::weft_detail;
        constexpr bool callable = ::weft::detail::calls_body<std::decay_t<Fn>, spawned_co>;
        static_assert(callable, "weft::co_spawn: the body must be callable with `auto& co`, which is a "
                                "weft::coroutine_ref_for<asio::awaitable<void>>&");
        if constexpr (callable) {
            using result = std::decay_t<std::invoke_result_t<std::decay_t<Fn>&, spawned_co&>>;
            return WEFT_THIS_ASIO::co_spawn(
                std::forward<Where>(where),
                spawned<Allocator, std::decay_t<Fn>, result>{std::move(allocator), std::forward<Fn>(fn)},
                std::forward<Token>(token));
        } else {
            return refused{};
        }
    }
};

} // namespace detail

// In a program with both Asios one names the namespace, too: weft::boost_asio::this_executor().
inline namespace WEFT_ASIO_NAMESPACE {

/// The executor of the awaitable whose stackful body runs, from any depth below it: what `co_await this_coro::executor`
/// gives. Does not suspend.
/// \throws not_in_fiber outside of a stackful body, and in that of another coroutine type, which has no executor;
/// forced_unwind if the awaitable is being destroyed.
template <class Late = void>
WEFT_THIS_ASIO::any_io_executor this_executor() {
    detail::driver& driver = detail::ambient_driver();
    auto* const services = WEFT_THIS_ASIO::weft_detail::services_of(driver);
    if (!services)
        detail::throw_or_die(not_in_fiber(
            "weft::this_executor, weft::sleep_for: the running body is none of an asio::awaitable, so it has no executor: pass "
            "one to the function that needs it, and sleep by a timer: asio::steady_timer(executor, duration).async_wait("
            "weft::use_fiber)"));
    if (driver.body->state & detail::unwinding) [[unlikely]]
        detail::check_suspend(*driver.body); // throws: a coroutine that is being destroyed is not asked
    return services->executor();
}

/// Suspends the body of an awaitable, from any depth below it, until that time has come by the clock.
/// \throws as this_executor; system_error (operation_aborted) if the awaitable is cancelled meanwhile.
template <class Clock, class Duration>
void sleep_until(const std::chrono::time_point<Clock, Duration>& time) {
    using wait_traits = WEFT_THIS_ASIO::wait_traits<Clock>;
    const auto expiry = std::chrono::ceil<typename Clock::duration>(time);
    WEFT_THIS_ASIO::basic_waitable_timer<Clock, wait_traits> timer(WEFT_ASIO_NAMESPACE::this_executor(), expiry);
    timer.async_wait(use_fiber);
}

/// The same for that long, by the steady clock. A duration too long for that clock is as long as it can be.
template <class Rep, class Period>
void sleep_for(const std::chrono::duration<Rep, Period>& duration) {
    using longest = std::chrono::steady_clock::duration;
    using seconds = std::chrono::duration<double>;
    const auto now = std::chrono::steady_clock::now();
    const auto rest = std::chrono::steady_clock::time_point::max() - now;
    const bool fits = std::chrono::duration_cast<seconds>(duration) < std::chrono::duration_cast<seconds>(rest);
    WEFT_ASIO_NAMESPACE::sleep_until(now + (fits ? std::chrono::ceil<longest>(duration) : rest));
}

} // namespace WEFT_ASIO_NAMESPACE

/// \cond
#if defined(WEFT_HAS_AN_ASIO)
// The second Asio. These win over both, and say what to write.
namespace detail {
template <class>
concept anything = true;
}
template <class Late = void>
    requires detail::anything<Late>
detail::refused this_executor() {
    static_assert(detail::refuse<Late>, "weft::this_executor: this program has both Asios: write "
                                        "weft::boost_asio::this_executor() or weft::standalone_asio::this_executor()");
    return {};
}
template <class Clock, class Duration>
    requires detail::anything<Clock>
void sleep_until(const std::chrono::time_point<Clock, Duration>&) {
    static_assert(detail::refuse<Clock>, "weft::sleep_until: this program has both Asios: write "
                                         "weft::boost_asio::sleep_until(time) or weft::standalone_asio::sleep_until(time)");
}
template <class Rep, class Period>
    requires detail::anything<Rep>
void sleep_for(const std::chrono::duration<Rep, Period>&) {
    static_assert(detail::refuse<Rep>, "weft::sleep_for: this program has both Asios: write "
                                       "weft::boost_asio::sleep_for(time) or weft::standalone_asio::sleep_for(time)");
}
#else
#    define WEFT_HAS_AN_ASIO
#endif
/// \endcond

} // namespace weft
