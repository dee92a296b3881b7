// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/await.hpp>
#include <weft/detail/awaiter.hpp>
#include <weft/detail/operation_start.hpp>
#include <weft/detail/sender_execution.hpp>
#include <weft/detail/sender_stop.hpp>
#include <weft/detail/throw_or_die.hpp>
#include <weft/stop_token.hpp>

#include <concepts>
#include <coroutine>
#include <exception>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace weft::detail {

/// What senders awaited by a body can ask of it.
class sender_env {
public:
    explicit sender_env(const std::stop_token& token) noexcept : token_(&token) {}
    sender_stop_token query(stop_tokens::get_stop_token_t) const noexcept { return sender_stop_token(*token_); }

private:
    const std::stop_token* token_;
};

/// The result of one way to complete: nothing, a value, or a tuple.
template <class... Values>
struct sender_values {
    using type = std::tuple<std::decay_t<Values>...>;
};
template <class Value>
struct sender_values<Value> {
    using type = std::decay_t<Value>;
};
template <>
struct sender_values<> {
    using type = void;
};

/// As P2300's as_awaitable: at most one way to complete with values.
template <class... Ways>
struct sender_result {
    static constexpr bool single = false;
    using type = void;
};
template <class Way>
struct sender_result<Way> {
    static constexpr bool single = true;
    using type = typename Way::type;
};
template <>
struct sender_result<> {
    static constexpr bool single = true;
    using type = void;
};

template <class E>
std::exception_ptr as_exception(E&& error) noexcept {
    using type = std::remove_cvref_t<E>;
    if constexpr (std::same_as<type, std::exception_ptr>)
        return std::forward<E>(error);
    else if constexpr (!WEFT_EXCEPTIONS && std::same_as<type, std::error_code>)
        throw_or_die(std::system_error(error));
    else if constexpr (!WEFT_EXCEPTIONS)
        fatal("weft: an operation that is awaited without exceptions failed: await one that tells so by a value");
    else if constexpr (std::same_as<type, std::error_code>)
        return std::make_exception_ptr(std::system_error(error));
    else
        return std::make_exception_ptr(std::forward<E>(error));
}

[[noreturn]] inline void throw_stopped() {
#if WEFT_EXCEPTIONS
    throw operation_stopped();
#else
    fatal("weft: an operation that is awaited without exceptions was stopped: await one that tells so by a value");
#endif
}

/// How a sender has completed, and who goes on then.
template <class T>
class sender_completion {
public:
    template <class... Values>
    void value(Values&&... values) noexcept {
        WEFT_TRY {
            outcome_.template emplace<1>(std::forward<Values>(values)...);
        }
        WEFT_CATCH(...) {
            outcome_.template emplace<2>(held_exception());
        }
        completed();
    }
    template <class E>
    void error(E&& error) noexcept {
        outcome_.template emplace<2>(as_exception(std::forward<E>(error)));
        completed();
    }
    void stopped() noexcept { completed(); }

    T take() {
        if (outcome_.index() == 0) throw_stopped();
        if (outcome_.index() == 2) std::rethrow_exception(std::move(std::get<2>(outcome_)));
        if constexpr (!std::is_void_v<T>) return std::move(std::get<1>(outcome_));
    }

    /// Starts an operation that completes this; `driver` goes on then. True if it has to do so at once.
    template <class Operation>
    bool start(Operation& operation, std::coroutine_handle<> driver) noexcept {
        driver_ = driver;
        operation_start here;
        ticket_ = here.ticket();
        execution::start(operation);
        return here.ended() == operation_start::outcome::completed;
    }

private:
    void completed() noexcept {
        const std::coroutine_handle<> driver = driver_;
        if (!ticket_.completed()) driver.resume();
    }

    struct nothing {};

    std::variant<std::monostate, std::conditional_t<std::is_void_v<T>, nothing, T>, std::exception_ptr> outcome_;
    std::coroutine_handle<> driver_;
    start_ticket ticket_;
};

template <class T>
class sender_receiver {
public:
    using receiver_concept = execution::receiver_tag;

    sender_receiver(sender_completion<T>& completion, const std::stop_token& token) noexcept
        : completion_(&completion), token_(&token) {}

    template <class... Values>
        requires(std::is_void_v<T> ? sizeof...(Values) == 0 : std::constructible_from<T, Values...>)
    void set_value(Values&&... values) noexcept {
        completion_->value(std::forward<Values>(values)...);
    }
    template <class E>
    void set_error(E&& error) noexcept {
        completion_->error(std::forward<E>(error));
    }
    void set_stopped() noexcept { completion_->stopped(); }

    sender_env get_env() const noexcept { return sender_env(*token_); }

private:
    sender_completion<T>* completion_;
    const std::stop_token* token_;
};

/// Awaits a sender. Its operation state lies in here, on the stack of the body.
template <class Sender, class T>
class sender_awaiter {
public:
    sender_awaiter(const driver& d, Sender&& sender)
        : token_(stop_token_of(d)),
          operation_(execution::connect(std::forward<Sender>(sender), sender_receiver<T>(completion_, token_))) {}
    sender_awaiter(const sender_awaiter&) = delete;
    sender_awaiter& operator=(const sender_awaiter&) = delete;

    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> driver) noexcept { return !completion_.start(operation_, driver); }
    T await_resume() { return completion_.take(); }

private:
    std::stop_token token_;
    sender_completion<T> completion_;
    execution::connect_result_t<Sender, sender_receiver<T>> operation_;
};

template <execution::sender Sender>
struct operand_adapter<Sender> {
    static constexpr bool available = true;

    static constexpr bool completes_here = execution::sender_in<Sender, sender_env>;

    static consteval auto find_result() {
        if constexpr (completes_here)
            return execution::value_types_of_t<Sender, sender_env, sender_values, sender_result>{};
        else
            return sender_result<>{};
    }
    using found = decltype(find_result());
    using result = typename found::type;

    static constexpr bool possible = completes_here && found::single;

    static auto get_awaiter(const driver& d, Sender&& sender) {
        static_assert(completes_here, "weft: a body cannot await this sender: it asks its receiver for something other than "
                                      "a stop token, a scheduler for example: give it that before (P2300's write_env, on)");
        static_assert(found::single, "weft: this sender completes with values of several kinds: make one of them before it "
                                     "is awaited, with P2300's into_variant for example");
        if constexpr (possible)
            return sender_awaiter<Sender, result>(d, std::forward<Sender>(sender));
        else
            return std::suspend_never();
    }
};

} // namespace weft::detail
