// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <harness/bodies.hpp>
#include <harness/capabilities.hpp>
#include <harness/placement.hpp>
#include <harness/register.hpp>

#include <algorithm>
#include <cstddef>
#include <deque>
#include <vector>

// Many coroutines, resumed one after the other: what their number costs.
namespace bench {

enum class order { round_robin, random };

template <class Peer>
void resume_each(benchmark::State& state, order in) {
    if constexpr (requires { Peer::trim(); }) Peer::trim(); // what earlier ones have left: its order is not what is measured
    displaced([&state, in]() __attribute__((always_inline)) {
        const auto count = static_cast<std::size_t>(state.range(0));
        std::deque<usual_coroutine<Peer, flat>> coroutines;
        std::vector<usual_coroutine<Peer, flat>*> turns;
        for (std::size_t i = 0; i < count; ++i) turns.push_back(&coroutines.emplace_back(typename Peer::usual{}));
        if (in == order::random) std::shuffle(turns.begin(), turns.end(), random_source());
        if constexpr (scheduled<Peer>) {
            turns.front()->resume();
            while (state.KeepRunningBatch(static_cast<benchmark::IterationCount>(count))) turns.front()->resume();
        } else {
            for (auto* c : turns) c->resume();
            auto next = turns.begin();
            for (auto _ : state) {
                (*next)->resume();
                if (++next == turns.end()) next = turns.begin();
            }
        }
    });
}

/// The largest are made once in a process: a million stacks take a while.
template <class Peer>
void register_scale(const char* work, order in) {
    for (std::size_t count = 1; count <= std::min<std::size_t>(most_coroutines<Peer>(), 1'000'000); count *= 10) {
        auto* b = add<Peer>(work, [in](benchmark::State& state) { resume_each<Peer>(state, in); });
        b->ArgName("coroutines")->Arg(static_cast<std::int64_t>(count));
        b->Iterations(static_cast<benchmark::IterationCount>(std::max<std::size_t>(200'000, 2 * count)));
        if (count >= 10'000) b->Repetitions(1);
    }
}

template <class Peer>
void register_scale() {
    if constexpr (runs<Peer, flat> && most_coroutines<Peer>() > 1) {
        register_scale<Peer>("round robin", order::round_robin);
        if constexpr (!scheduled<Peer>) register_scale<Peer>("random order", order::random);
    }
}

} // namespace bench
