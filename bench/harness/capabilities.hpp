// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <cstddef>
#include <limits>

// What a peer can do, by what it defines (see peer.hpp).
namespace bench {

template <class Peer, class Body>
concept runs = requires { sizeof(typename Peer::template coroutine<Body, typename Peer::usual>); };

template <class Peer>
concept has_pooled_stacks = requires { typename Peer::pooled; };

template <class Peer>
concept has_system_stacks = requires { typename Peer::system; };

/// Its coroutines are not resumed one by one: giving up control lets all of them run, once each.
template <class Peer>
concept scheduled = requires { requires Peer::is_scheduled; };

/// How many coroutines it can be measured with.
template <class Peer>
constexpr std::size_t most_coroutines() {
    if constexpr (requires { Peer::most; })
        return Peer::most;
    else
        return std::numeric_limits<std::size_t>::max();
}

template <class Peer, class Body>
using usual_coroutine = typename Peer::template coroutine<Body, typename Peer::usual>;

} // namespace bench
