// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/await_request.hpp>
#include <weft/detail/awaiter.hpp>

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <type_traits>
#include <utility>

namespace weft::detail {

/// Gives a coroutine its own promise. Never suspends it. Takes any handle, as an await_transform may ask of an awaiter.
template <class Promise>
struct own_promise {
    Promise* promise = nullptr;

    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> self) noexcept {
        promise = &std::coroutine_handle<Promise>::from_address(self.address()).promise();
        return false;
    }
    Promise& await_resume() const noexcept { return *promise; }
};

/// Awaits an operand as R's coroutines do it: through the promise's await_transform, and with R's handle.
template <class Promise, class Operand>
class promised_wait {
    using transformed = decltype(std::declval<Promise&>().await_transform(std::declval<Operand>()));
    using awaiter = decltype(get_awaiter(std::declval<transformed>()));

public:
    promised_wait(Promise& promise, Operand operand)
        : operand_(std::move(operand)), transformed_(promise.await_transform(std::move(operand_))),
          awaiter_(get_awaiter(static_cast<transformed&&>(transformed_))) {}
    promised_wait(const promised_wait&) = delete;
    promised_wait& operator=(const promised_wait&) = delete;

    /// The operand of the driver's co_await. A small object of its own: GCC 12 copies an lvalue operand.
    struct reference {
        promised_wait* wait;
        bool await_ready() const { return wait->awaiter_.await_ready(); }
        auto await_suspend(std::coroutine_handle<> driver) const {
            return wait->awaiter_.await_suspend(std::coroutine_handle<Promise>::from_address(driver.address()));
        }
        void await_resume() const { wait->awaiter_.await_resume(); }
    };
    reference get() noexcept { return {this}; }

private:
    Operand operand_;
    transformed transformed_;
    awaiter awaiter_;
};

/// R's coroutines can end without a result, as P2300's do when they are stopped.
template <class Promise>
concept can_be_stopped = requires(Promise& p) {
    { p.unhandled_stopped() } -> std::convertible_to<std::coroutine_handle<>>;
};

/// Ends a driver in that way. It is not resumed any more.
template <class Promise>
struct stopped_end {
    Promise& promise;

    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<>) const { return promise.unhandled_stopped(); }
    [[noreturn]] void await_resume() const noexcept { std::terminate(); }
};

/// Who knows the stop token of a driver with this promise; weft/senders.hpp also asks the promises of P2300.
template <class Promise>
class promise_stop {
public:
    explicit promise_stop(Promise& promise) noexcept : promise_(promise) {}
    promise_stop(const promise_stop&) = delete;
    promise_stop& operator=(const promise_stop&) = delete;

    stop_provider* provider() noexcept {
        if constexpr (has_stop_provider<Promise>)
            return promise_.stop();
        else
            return nullptr;
    }
    /// The driver is about to end.
    void end() noexcept {}

private:
    Promise& promise_;
};

template <class T>
inline constexpr bool is_drivers_own = false;
template <>
inline constexpr bool is_drivers_own<transferring_wait> = true;
template <>
inline constexpr bool is_drivers_own<plain_wait> = true;
template <class P>
inline constexpr bool is_drivers_own<own_promise<P>> = true;
template <class P>
inline constexpr bool is_drivers_own<stopped_end<P>> = true;

/// What the driver awaits for itself, whatever the promise thinks of awaiting.
template <class T>
concept drivers_own = is_drivers_own<std::remove_cvref_t<T>> || requires(T wait) { wait.wait->get(); };

/// What R's promise gives for the beginning or the end of its coroutines, with the handle that those have.
template <class Promise, class Awaiter>
struct own_suspension {
    Awaiter awaiter;

    bool await_ready() noexcept(noexcept(awaiter.await_ready())) { return awaiter.await_ready(); }
    auto await_suspend(std::coroutine_handle<> driver) noexcept(
        noexcept(awaiter.await_suspend(std::coroutine_handle<Promise>{}))) {
        return awaiter.await_suspend(std::coroutine_handle<Promise>::from_address(driver.address()));
    }
    decltype(auto) await_resume() noexcept(noexcept(awaiter.await_resume())) { return awaiter.await_resume(); }
};

template <class Promise, class... Args>
class driver_promise;

/// What a driver with a derived promise returns to weft::stackful: whatever R's promise made.
template <class Promise, class... Args>
struct driver_return {
    using promise_type = driver_promise<Promise, Args...>;
    using object = decltype(std::declval<Promise&>().get_return_object());

    object value;
};
template <class Promise, class... Args>
    requires std::is_void_v<decltype(std::declval<Promise&>().get_return_object())>
struct driver_return<Promise, Args...> {
    using promise_type = driver_promise<Promise, Args...>;
};

/// R's promise, with a way for the driver to await past its await_transform, and with R's Args in place of the driver's
/// parameters. Adds no member: a handle that R's promise makes of itself must name the same frame.
template <class Promise, class... Args>
class driver_promise_base : public Promise {
public:
    template <class Start>
        requires(sizeof...(Args) > 0 && std::constructible_from<Promise, Args&...>)
    driver_promise_base(Start&, Args&... args) : Promise(args...) {}

    template <class Start>
        requires(sizeof...(Args) == 0 || !std::constructible_from<Promise, Args&...>)
    driver_promise_base(Start&, Args&...) : Promise() {}

    driver_return<Promise, Args...> get_return_object() {
        if constexpr (std::is_void_v<decltype(Promise::get_return_object())>) {
            Promise::get_return_object();
            return {};
        } else {
            return {Promise::get_return_object()};
        }
    }

    decltype(auto) initial_suspend() {
        using awaiter = decltype(Promise::initial_suspend());
        if constexpr (awaiter_in<awaiter, Promise>)
            return own_suspension<Promise, awaiter>{Promise::initial_suspend()};
        else
            return Promise::initial_suspend();
    }
    decltype(auto) final_suspend() noexcept {
        using awaiter = decltype(Promise::final_suspend());
        if constexpr (awaiter_in<awaiter, Promise>)
            return own_suspension<Promise, awaiter>{Promise::final_suspend()};
        else
            return Promise::final_suspend();
    }

    template <drivers_own T>
    T&& await_transform(T&& operand) noexcept {
        return std::forward<T>(operand);
    }
};

/// A promise with a constructor or an operator new that would take the driver's own parameter, which is not for its
/// eyes.
template <class Promise, class Start>
concept notices = std::constructible_from<Promise, Start&> ||
                  requires(Start& start) { Promise::operator new(std::size_t{}, start); };

template <class Promise, class... Args>
class driver_promise : public driver_promise_base<Promise, Args...> {
public:
    using driver_promise_base<Promise, Args...>::driver_promise_base;
};

template <class Promise, class... Args>
    requires has_operator_new<Promise>
class driver_promise<Promise, Args...> : public driver_promise_base<Promise, Args...> {
public:
    using driver_promise_base<Promise, Args...>::driver_promise_base;

    template <class Start>
    static void* operator new(std::size_t size, Start&, Args&... args) {
        if constexpr (requires { Promise::operator new(size, args...); })
            return Promise::operator new(size, args...);
        else
            return Promise::operator new(size);
    }
};

} // namespace weft::detail
