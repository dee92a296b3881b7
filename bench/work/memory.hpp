// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <harness/bodies.hpp>
#include <harness/capabilities.hpp>
#include <harness/process_memory.hpp>
#include <harness/register.hpp>

#include <chrono>
#include <cstddef>
#include <deque>
#include <exception>

// What a suspended coroutine occupies. Each of these needs a process of its own: memory that was freed is not new.
namespace bench {

/// Makes them until there are `count` or no more can be had; resumes each once: scheduled ones together, or they would
/// run each time another one is made.
template <class Peer, class Stacks>
void occupy(benchmark::State& state) {
    const auto count = static_cast<std::size_t>(state.range(0));
    std::deque<typename Peer::template coroutine<flat, Stacks>> coroutines;
    const std::size_t before = process_memory();
    const auto begin = std::chrono::steady_clock::now();
    for (auto _ : state) {
        try {
            while (coroutines.size() < count) {
                auto& made = coroutines.emplace_back(Stacks{});
                if constexpr (!scheduled<Peer>) made.resume();
            }
            if constexpr (scheduled<Peer>) coroutines.back().resume();
        } catch (const std::exception&) { // the measuring needs a little of what there is no more of
            for (int n = 0; n < 16 && !coroutines.empty(); ++n) coroutines.pop_back();
        }
    }
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
    const auto made = static_cast<double>(coroutines.size());
    state.counters["made"] = made;
    state.counters["bytes"] = static_cast<double>(process_memory() - before) / made;
    state.counters["each_ns"] = took.count() / made;
}

template <class Peer, class Stacks>
void register_memory(const char* work) {
    for (const std::int64_t count : {100'000, 1'000'000})
        add<Peer>(work, occupy<Peer, Stacks>)->ArgName("coroutines")->Arg(count)->Iterations(1)->Repetitions(1);
}

template <class Peer>
void register_memory() {
    if constexpr (runs<Peer, flat> && most_coroutines<Peer>() >= 1'000'000) {
        register_memory<Peer, typename Peer::usual>("memory");
        if constexpr (requires { typename Peer::guarded; })
            register_memory<Peer, typename Peer::guarded>("memory guarded");
    }
}

} // namespace bench
