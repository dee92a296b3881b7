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

template <class Peer, class Body>
void resume_each(benchmark::State& state, order in) {
    if constexpr (requires { Peer::trim(); }) Peer::trim(); // what earlier ones have left: its order is not what is measured
    displaced([&state, in]() __attribute__((always_inline)) {
        const auto count = static_cast<std::size_t>(state.range(0));
        std::deque<usual_coroutine<Peer, Body>> coroutines;
        std::vector<usual_coroutine<Peer, Body>*> turns;
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

/// In random order, by a loop that has each fetched into the cache some turns before.
template <class Peer, class Body>
void resume_each_fetched_ahead(benchmark::State& state) {
    if constexpr (requires { Peer::trim(); }) Peer::trim();
    displaced([&state]() __attribute__((always_inline)) {
        constexpr std::ptrdiff_t ahead = 8, stack_ahead = 4; // turns
        const auto count = static_cast<std::size_t>(state.range(0));
        std::deque<usual_coroutine<Peer, Body>> coroutines;
        std::vector<usual_coroutine<Peer, Body>*> turns;
        for (std::size_t i = 0; i < count; ++i) turns.push_back(&coroutines.emplace_back(typename Peer::usual{}));
        std::shuffle(turns.begin(), turns.end(), random_source());
        for (auto* c : turns) c->resume();
        turns.insert(turns.end(), turns.begin(), turns.begin() + ahead);
        auto next = turns.begin();
        for (auto _ : state) {
            next[ahead]->prefetch();
            next[stack_ahead]->prefetch_stack();
            (*next)->resume();
            if (++next == turns.end() - ahead) next = turns.begin();
        }
    });
}

/// The largest are made once in a process: a million stacks take a while.
template <class Peer>
void register_scale(const char* work, order in) {
    for (std::size_t count = 1; count <= std::min<std::size_t>(most_coroutines<Peer>(), 1'000'000); count *= 10) {
        auto* b = add<Peer>(work, [in](benchmark::State& state) { resume_each<Peer, flat>(state, in); });
        b->ArgName("coroutines")->Arg(static_cast<std::int64_t>(count));
        b->Iterations(static_cast<benchmark::IterationCount>(std::max<std::size_t>(200'000, 2 * count)));
        if (count >= 10'000) b->Repetitions(1);
    }
}

inline void register_large(benchmark::internal::Benchmark* b) {
    b->ArgName("coroutines")->Arg(100'000)->Iterations(200'000)->Repetitions(1);
}

template <class Peer>
void register_scale() {
    if constexpr (runs<Peer, flat> && most_coroutines<Peer>() > 1) {
        register_scale<Peer>("round robin", order::round_robin);
        if constexpr (!scheduled<Peer>) register_scale<Peer>("random order", order::random);
    }
    if constexpr (runs<Peer, uses_frames> && most_coroutines<Peer>() >= 100'000 && !scheduled<Peer>) {
        register_large(add<Peer>("random order using frames", [](benchmark::State& state) {
            resume_each<Peer, uses_frames>(state, order::random);
        }));
        if constexpr (requires(usual_coroutine<Peer, uses_frames> c) { c.prefetch(); })
            register_large(add<Peer>("random order using frames fetched ahead", resume_each_fetched_ahead<Peer, uses_frames>));
    }
}

} // namespace bench
