// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <harness/bodies.hpp>
#include <harness/capabilities.hpp>
#include <harness/placement.hpp>
#include <harness/register.hpp>

// A coroutine is made, runs to its end and is destroyed.
namespace bench {

template <class Peer, class Stacks>
void create(benchmark::State& state) {
    displaced([&state]() __attribute__((always_inline)) {
        for (auto _ : state) {
            typename Peer::template coroutine<nothing, Stacks> c{Stacks{}};
            c.resume();
        }
    });
}

template <class Peer>
void register_creation() {
    if constexpr (runs<Peer, nothing>) {
        if constexpr (has_pooled_stacks<Peer>) add<Peer>("create run destroy pooled", create<Peer, typename Peer::pooled>);
        if constexpr (has_system_stacks<Peer>) add<Peer>("create run destroy system", create<Peer, typename Peer::system>);
    }
}

} // namespace bench
