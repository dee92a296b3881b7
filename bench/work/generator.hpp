// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <harness/placement.hpp>
#include <harness/register.hpp>

// One element of a generator.
namespace bench {

template <class Peer>
void generator_element(benchmark::State& state) {
    displaced([&state]() __attribute__((always_inline)) {
        auto numbers = Peer::numbers();
        auto i = numbers.begin();
        for (auto _ : state) {
            int n = *i;
            benchmark::DoNotOptimize(n);
            ++i;
        }
    });
}

template <class Peer>
void register_generator() {
    if constexpr (requires { Peer::numbers(); }) add<Peer>("generator element", generator_element<Peer>);
}

} // namespace bench
