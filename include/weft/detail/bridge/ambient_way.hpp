// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/bridge/await_request.hpp>
#include <weft/detail/bridge/awaitable.hpp>
#include <weft/detail/bridge/awaiter_storage.hpp>
#include <weft/detail/bridge/promise_traits.hpp>

#include <type_traits>
#include <utility>

namespace weft::detail {

/// How the coroutines of type R come to await a weft::await, which is no operand of their own.
enum class ambient_way {
    asked,  // as an operand of their promise's await_transform
    past_it, // as what the driver awaits for itself
    none    // not at all
};

// Functions of that name that take anything. Beside them a call is ambiguous exactly if P's takes anything, too, and then
// P's is not compiled: its body may refuse the operand by a static_assert, which no concept can see.
struct takes_any_rvalue {
    template <class T, int = 0>
    void await_transform(T&&);
    template <class T, int = 0>
    void await_transform(T&&) const;
};
struct takes_any_constant {
    template <class T, int = 0>
    void await_transform(const T&);
    template <class T, int = 0>
    void await_transform(const T&) const;
};
template <class P, class Name>
struct beside_transforms : P, Name {
    using P::await_transform;
    using Name::await_transform;
};
struct no_awaiter {};

template <class P, class Name>
concept ambiguous_beside = !requires(beside_transforms<P, Name>& p, no_awaiter o) { p.await_transform(std::move(o)); } ||
                           !requires(const beside_transforms<P, Name>& p, no_awaiter o) { p.await_transform(std::move(o)); };

template <class P>
concept transforms_anything = !std::is_final_v<P> && // of that it cannot be seen
                              (ambiguous_beside<P, takes_any_rvalue> || ambiguous_beside<P, takes_any_constant>);

template <class R, class Promise>
consteval ambient_way find_ambient_way() {
    if constexpr (!has_await_transform<Promise>)
        return ambient_way::past_it;
    else if constexpr (transforms_anything<Promise> && !awaitable<R>)
        return requires { &beside<Promise, named_yield_value>::yield_value; } ? ambient_way::past_it : ambient_way::none;
    else
        return transforms<Promise, ambient_wait> ? ambient_way::asked : ambient_way::none;
}

} // namespace weft::detail
