// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <benchmark/benchmark.h>

#include <string>

namespace bench {

/// Registers "work/peer", as the table has them.
template <class Peer, class Function>
benchmark::internal::Benchmark* add(const std::string& work, Function measure) {
    return benchmark::RegisterBenchmark((work + "/" + Peer::name).c_str(), measure);
}

} // namespace bench
