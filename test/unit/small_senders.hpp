// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <concepts>
#include <coroutine>
#include <cstdlib>
#include <exception>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

// P2300's protocol in small, under its names: what an adapter of senders needs, and the few senders its tests are made
// of. No domains, no schedulers, no algorithms.

namespace small_senders {

struct sender_tag {};
struct receiver_tag {};
struct operation_state_tag {};

// Completing, connecting, starting: member functions.

struct set_value_t {
    template <class Receiver, class... Values>
    void operator()(Receiver&& receiver, Values&&... values) const noexcept
        requires requires { std::forward<Receiver>(receiver).set_value(std::forward<Values>(values)...); }
    {
        static_assert(noexcept(std::forward<Receiver>(receiver).set_value(std::forward<Values>(values)...)));
        std::forward<Receiver>(receiver).set_value(std::forward<Values>(values)...);
    }
};
struct set_error_t {
    template <class Receiver, class Error>
    void operator()(Receiver&& receiver, Error&& error) const noexcept
        requires requires { std::forward<Receiver>(receiver).set_error(std::forward<Error>(error)); }
    {
        static_assert(noexcept(std::forward<Receiver>(receiver).set_error(std::forward<Error>(error))));
        std::forward<Receiver>(receiver).set_error(std::forward<Error>(error));
    }
};
struct set_stopped_t {
    template <class Receiver>
    void operator()(Receiver&& receiver) const noexcept
        requires requires { std::forward<Receiver>(receiver).set_stopped(); }
    {
        static_assert(noexcept(std::forward<Receiver>(receiver).set_stopped()));
        std::forward<Receiver>(receiver).set_stopped();
    }
};
inline constexpr set_value_t set_value{};
inline constexpr set_error_t set_error{};
inline constexpr set_stopped_t set_stopped{};

struct start_t {
    template <class Operation>
    void operator()(Operation& operation) const noexcept {
        static_assert(noexcept(operation.start()));
        operation.start();
    }
};
inline constexpr start_t start{};

struct connect_t {
    template <class Sender, class Receiver>
    auto operator()(Sender&& sender, Receiver receiver) const
        -> decltype(std::forward<Sender>(sender).connect(std::move(receiver))) {
        return std::forward<Sender>(sender).connect(std::move(receiver));
    }
};
inline constexpr connect_t connect{};

template <class Sender, class Receiver>
using connect_result_t = decltype(connect(std::declval<Sender>(), std::declval<Receiver>()));

// Environments and their stop tokens.

template <class... Queries>
struct env : Queries... {};

struct get_env_t {
    template <class T>
    auto operator()(const T& t) const noexcept {
        if constexpr (requires { t.get_env(); })
            return t.get_env();
        else
            return env<>{};
    }
};
inline constexpr get_env_t get_env{};

template <class T>
using env_of_t = decltype(get_env(std::declval<T>()));

struct never_stop_token {
    template <class>
    struct callback_type {
        template <class Fn>
        callback_type(never_stop_token, Fn&&) noexcept {}
    };
    static constexpr bool stop_requested() noexcept { return false; }
    static constexpr bool stop_possible() noexcept { return false; }
    friend bool operator==(never_stop_token, never_stop_token) noexcept = default;
};

template <class Token>
concept stoppable_token = std::copyable<Token> && std::equality_comparable<Token> && requires(const Token token) {
    typename Token::template callback_type<void (*)()>;
    { token.stop_requested() } noexcept -> std::convertible_to<bool>;
    { token.stop_possible() } noexcept -> std::convertible_to<bool>;
};

struct get_stop_token_t {
    template <class Env>
    auto operator()(const Env& e) const noexcept {
        if constexpr (requires { e.query(*this); }) {
            static_assert(stoppable_token<decltype(e.query(*this))>);
            return e.query(*this);
        } else {
            return never_stop_token{};
        }
    }
};
inline constexpr get_stop_token_t get_stop_token{};

class inplace_stop_token;
template <class Fn>
class inplace_stop_callback;

/// Owns the state that its tokens and callbacks refer to. Callbacks run one at a time.
class inplace_stop_source {
public:
    inplace_stop_source() = default;
    ~inplace_stop_source() {
        if (!callbacks_.empty()) std::abort(); // they would refer to what is gone
    }
    inplace_stop_source(const inplace_stop_source&) = delete;
    inplace_stop_source& operator=(const inplace_stop_source&) = delete;

    inplace_stop_token get_token() noexcept;
    bool stop_requested() const {
        const std::lock_guard lock{mutex_};
        return requested_;
    }
    bool request_stop() {
        const std::lock_guard lock{mutex_};
        if (std::exchange(requested_, true)) return false;
        while (!callbacks_.empty()) {
            const std::function<void()>* const next = callbacks_.front();
            callbacks_.pop_front();
            (*next)();
        }
        return true;
    }
    std::size_t callbacks() const {
        const std::lock_guard lock{mutex_};
        return callbacks_.size();
    }

private:
    template <class>
    friend class inplace_stop_callback;

    mutable std::recursive_mutex mutex_;
    bool requested_ = false;
    std::list<const std::function<void()>*> callbacks_;
};

class inplace_stop_token {
public:
    template <class Fn>
    using callback_type = inplace_stop_callback<Fn>;

    inplace_stop_token() = default;
    bool stop_requested() const noexcept { return source_ && source_->stop_requested(); }
    bool stop_possible() const noexcept { return source_ != nullptr; }
    friend bool operator==(inplace_stop_token, inplace_stop_token) noexcept = default;

private:
    friend class inplace_stop_source;
    template <class>
    friend class inplace_stop_callback;
    inplace_stop_source* source_ = nullptr;
};

inline inplace_stop_token inplace_stop_source::get_token() noexcept {
    inplace_stop_token token;
    token.source_ = this;
    return token;
}

template <class Fn>
class inplace_stop_callback {
public:
    template <class Init>
    inplace_stop_callback(inplace_stop_token token, Init&& init) : call_(Fn(std::forward<Init>(init))), source_{token.source_} {
        if (!source_) return;
        const std::lock_guard lock{source_->mutex_};
        if (source_->requested_)
            call_();
        else
            source_->callbacks_.push_back(&call_);
    }
    inplace_stop_callback(const inplace_stop_callback&) = delete;
    inplace_stop_callback& operator=(const inplace_stop_callback&) = delete;
    ~inplace_stop_callback() {
        if (!source_) return;
        const std::lock_guard lock{source_->mutex_};
        source_->callbacks_.remove(&call_);
    }

private:
    std::function<void()> call_;
    inplace_stop_source* source_;
};

// How senders complete.

template <class... Signatures>
struct completion_signatures {};

template <class Sender, class Env>
consteval auto find_completion_signatures() {
    using type = std::remove_cvref_t<Sender>;
    if constexpr (requires { typename type::completion_signatures; })
        return typename type::completion_signatures{};
    else if constexpr (requires { type::template get_completion_signatures<Sender, Env>(); })
        return type::template get_completion_signatures<Sender, Env>();
}
template <class Sender, class Env = env<>>
using completion_signatures_of_t = decltype(find_completion_signatures<Sender, Env>());

template <class... Ts>
struct type_list {};
template <class A, class B>
struct concatenated;
template <class... As, class... Bs>
struct concatenated<type_list<As...>, type_list<Bs...>> {
    using type = type_list<As..., Bs...>;
};

template <class Signature, template <class...> class Tuple>
struct value_way {
    using type = type_list<>;
};
template <class... Values, template <class...> class Tuple>
struct value_way<set_value_t(Values...), Tuple> {
    using type = type_list<Tuple<Values...>>;
};

template <class Signatures, template <class...> class Tuple>
struct value_ways;
template <template <class...> class Tuple>
struct value_ways<completion_signatures<>, Tuple> {
    using type = type_list<>;
};
template <class First, class... Rest, template <class...> class Tuple>
struct value_ways<completion_signatures<First, Rest...>, Tuple> {
    using type = typename concatenated<typename value_way<First, Tuple>::type,
                                       typename value_ways<completion_signatures<Rest...>, Tuple>::type>::type;
};

template <class List, template <class...> class Variant>
struct applied;
template <class... Ts, template <class...> class Variant>
struct applied<type_list<Ts...>, Variant> {
    using type = Variant<Ts...>;
};

template <class Sender, class Env, template <class...> class Tuple, template <class...> class Variant>
using value_types_of_t =
    typename applied<typename value_ways<completion_signatures_of_t<Sender, Env>, Tuple>::type, Variant>::type;

template <class T>
concept says_sender = std::derived_from<typename T::sender_concept, sender_tag>;

template <class T>
inline constexpr bool enable_sender = says_sender<T>;

template <class T>
concept sender = enable_sender<std::remove_cvref_t<T>> && std::move_constructible<std::remove_cvref_t<T>> &&
                 std::constructible_from<std::remove_cvref_t<T>, T>;

template <class T, class Env = env<>>
concept sender_in = sender<T> && !std::is_void_v<completion_signatures_of_t<T, Env>>;

template <class T>
concept receiver = std::derived_from<typename std::remove_cvref_t<T>::receiver_concept, receiver_tag> &&
                   std::move_constructible<std::remove_cvref_t<T>>;

// The senders that complete at once.

template <class Tag, class... Values>
class just_sender {
public:
    using sender_concept = sender_tag;
    using completion_signatures = small_senders::completion_signatures<Tag(Values...)>;

    template <class... Args>
    explicit just_sender(std::in_place_t, Args&&... args) : values_(std::forward<Args>(args)...) {}

    template <class Receiver>
    struct operation {
        using operation_state_concept = operation_state_tag;
        Receiver receiver;
        std::tuple<Values...> values;
        void start() & noexcept {
            std::apply([&](auto&... vs) { Tag{}(std::move(receiver), std::move(vs)...); }, values);
        }
    };
    template <receiver Receiver>
    operation<Receiver> connect(Receiver r) const& {
        return {std::move(r), values_};
    }
    template <receiver Receiver>
    operation<Receiver> connect(Receiver r) && {
        return {std::move(r), std::move(values_)};
    }

private:
    std::tuple<Values...> values_;
};

template <class... Values>
auto just(Values&&... values) {
    return just_sender<set_value_t, std::decay_t<Values>...>{std::in_place, std::forward<Values>(values)...};
}
template <class Error>
auto just_error(Error&& error) {
    return just_sender<set_error_t, std::decay_t<Error>>{std::in_place, std::forward<Error>(error)};
}
inline auto just_stopped() {
    return just_sender<set_stopped_t>{std::in_place};
}

// Senders in coroutines that know them.

template <class Sender, class Promise, class Value>
class sender_awaitable {
public:
    sender_awaitable(Sender&& sender, Promise& promise)
        : operation_(small_senders::connect(std::forward<Sender>(sender), receiver{this, &promise})) {}
    sender_awaitable(const sender_awaitable&) = delete;
    sender_awaitable& operator=(const sender_awaitable&) = delete;

    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<Promise> h) noexcept {
        coroutine_ = h;
        start(operation_);
    }
    Value await_resume() {
        if (failure_) std::rethrow_exception(failure_);
        return std::move(*value_);
    }

private:
    struct receiver {
        using receiver_concept = receiver_tag;
        sender_awaitable* self;
        Promise* promise;

        void set_value(Value value) noexcept {
            self->value_.emplace(std::move(value));
            self->coroutine_.resume();
        }
        template <class Error>
        void set_error(Error&& error) noexcept {
            if constexpr (std::same_as<std::remove_cvref_t<Error>, std::exception_ptr>)
                self->failure_ = std::forward<Error>(error);
            else
                self->failure_ = std::make_exception_ptr(std::forward<Error>(error));
            self->coroutine_.resume();
        }
        void set_stopped() noexcept { promise->unhandled_stopped().resume(); }
        auto get_env() const noexcept { return small_senders::get_env(*promise); }
    };

    std::coroutine_handle<Promise> coroutine_;
    std::optional<Value> value_;
    std::exception_ptr failure_;
    connect_result_t<Sender, receiver> operation_;
};

template <class... Ts>
struct first_of;
template <class T, class... Ts>
struct first_of<T, Ts...> {
    using type = std::decay_t<T>;
};

struct as_awaitable_t {
    template <class T, class Promise>
    decltype(auto) operator()(T&& t, Promise& promise) const {
        if constexpr (requires { std::forward<T>(t).as_awaitable(promise); })
            return std::forward<T>(t).as_awaitable(promise);
        else if constexpr (requires { t.await_ready(); } || requires { std::forward<T>(t).operator co_await(); })
            return static_cast<T&&>(t);
        else if constexpr (sender<T>)
            return sender_awaitable<T, Promise, typename value_types_of_t<T, env_of_t<Promise>, first_of, first_of>::type::type>(
                std::forward<T>(t), promise);
        else
            return static_cast<T&&>(t);
    }
};
inline constexpr as_awaitable_t as_awaitable{};

} // namespace small_senders
