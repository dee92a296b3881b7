// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/bridge/driver_promise.hpp>
#include <weft/detail/senders/execution.hpp>
#include <weft/stop_token.hpp>

#include <concepts>
#include <optional>
#include <stop_token>
#include <utility>

namespace weft::detail {

/// A std::stop_token with what P2300 wants of a stop token, and C++20's has not.
class sender_stop_token : public std::stop_token {
public:
    template <class Fn>
    using callback_type = std::stop_callback<Fn>;

    explicit sender_stop_token(std::stop_token token) noexcept : std::stop_token(std::move(token)) {}
    friend bool operator==(const sender_stop_token&, const sender_stop_token&) noexcept = default;
};

/// Gives a stop token of any kind as a std::stop_token. One of another kind costs an allocation, when it is first asked
/// for.
template <class Token>
class stop_bridge {
public:
    stop_bridge() noexcept = default;
    stop_bridge(const stop_bridge&) = delete;
    stop_bridge& operator=(const stop_bridge&) = delete;

    std::stop_token get(Token token) {
        if constexpr (std::convertible_to<Token, std::stop_token>) {
            return token;
        } else {
            if (!token.stop_possible()) return {};
            if (!callback_) {
                source_.emplace();
                callback_.emplace(std::move(token), pass_on{&*source_});
            }
            return source_->get_token();
        }
    }

    /// The token may not be used any more. \pre no thread asks at the same time.
    void end() noexcept { callback_.reset(); }

private:
    struct pass_on {
        std::stop_source* source;
        void operator()() const noexcept {
            std::stop_source mine = *source; // what it stops may end everything here
            mine.request_stop();
        }
    };

    std::optional<std::stop_source> source_;
    std::optional<typename Token::template callback_type<pass_on>> callback_;
};

template <class Env>
using stop_token_in = std::remove_cvref_t<decltype(stop_tokens::get_stop_token(std::declval<const Env&>()))>;

/// The promises of P2300's coroutines have an environment, and that has a stop token.
template <class P>
concept promise_with_env = !has_stop_provider<P> && requires(const P& p) {
    p.get_env();
    stop_tokens::get_stop_token(p.get_env());
};

template <promise_with_env Promise>
class promise_stop<Promise> final : public stop_provider {
public:
    explicit promise_stop(Promise& promise) noexcept : promise_(promise) {}
    promise_stop(const promise_stop&) = delete;
    promise_stop& operator=(const promise_stop&) = delete;

    stop_provider* provider() noexcept { return this; }
    void answer(stop_answer& to) override { to.token = bridge_.get(stop_tokens::get_stop_token(std::as_const(promise_).get_env())); }
    void end() noexcept { bridge_.end(); }

private:
    Promise& promise_;
    stop_bridge<stop_token_in<decltype(std::declval<const Promise&>().get_env())>> bridge_;
};

} // namespace weft::detail
