// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <harness/bodies.hpp>
#include <harness/capabilities.hpp>
#include <harness/company.hpp>
#include <harness/placement.hpp>
#include <harness/register.hpp>

#include <cstddef>
#include <optional>
#include <utility>

// One resume and one suspend.
namespace bench {

template <class Peer>
void round_trip_flat(benchmark::State& state) {
    displaced([&state]() __attribute__((always_inline)) {
        company<Peer> others;
        usual_coroutine<Peer, flat> c{typename Peer::usual{}};
        c.resume();
        for (auto _ : state) c.resume();
    });
}

/// Each iteration makes three calls, resumes, and returns from them.
template <class Peer, template <std::size_t> class Body>
void round_trip_deep(benchmark::State& state) {
    displaced([&state](auto copy) __attribute__((always_inline)) {
        company<Peer> others;
        usual_coroutine<Peer, Body<copy()>> c{typename Peer::usual{}};
        auto step = [&c] { c.resume(); };
        step();
        for (auto _ : state) below<3>::call(step);
    });
}

template <class Peer>
void round_trip_many_sites(benchmark::State& state) {
    displaced([&state]() __attribute__((always_inline)) {
        company<Peer> others;
        usual_coroutine<Peer, many_sites> c{typename Peer::usual{}};
        c.resume();
        while (state.KeepRunningBatch(16))
            [&c]<std::size_t... I>(std::index_sequence<I...>) {
                ((static_cast<void>(I), c.resume()), ...);
            }(std::make_index_sequence<16>());
    });
}

/// The measuring loop itself runs in a coroutine: both sides of each switch are alike.
template <class Peer>
struct between_two {
    static inline benchmark::State* state;

    template <class Self>
    static void run(Self&) {
        usual_coroutine<Peer, flat> other{typename Peer::usual{}};
        other.resume();
        for (auto _ : *state) other.resume();
    }
};

template <class Peer>
void ping_pong(benchmark::State& state) {
    displaced([&state]() __attribute__((always_inline)) {
        company<Peer> others;
        between_two<Peer>::state = &state;
        usual_coroutine<Peer, between_two<Peer>> c{typename Peer::usual{}};
        c.resume();
    });
}

template <class Peer>
void register_round_trips() {
    if constexpr (runs<Peer, flat>) add<Peer>("round trip flat", round_trip_flat<Peer>);
    if constexpr (runs<Peer, deep<0>>) add<Peer>("round trip below three calls", round_trip_deep<Peer, deep>);
    if constexpr (runs<Peer, returning<0>>)
        add<Peer>("round trip and three returns on both sides", round_trip_deep<Peer, returning>);
    if constexpr (runs<Peer, many_sites>) add<Peer>("round trip from many call sites", round_trip_many_sites<Peer>);
    if constexpr (runs<Peer, between_two<Peer>>) add<Peer>("ping-pong of two coroutines", ping_pong<Peer>);
}

} // namespace bench
