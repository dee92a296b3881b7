// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <cstdint>

namespace soak {

/// Mixes the bits of a number: the last step of SplitMix64.
constexpr std::uint64_t mix(std::uint64_t x) noexcept {
    x = (x ^ (x >> 30)) * 0xbf58'476d'1ce4'e5b9;
    x = (x ^ (x >> 27)) * 0x94d0'49bb'1331'11eb;
    return x ^ (x >> 31);
}

/// SplitMix64: each object has its own, so that what it does depends on the seed and not on the threads.
class random_source {
public:
    explicit constexpr random_source(std::uint64_t seed) noexcept : state_{seed} {}

    constexpr std::uint64_t operator()() noexcept { return mix(state_ += 0x9e37'79b9'7f4a'7c15); }
    constexpr unsigned below(unsigned n) noexcept { return static_cast<unsigned>(((*this)() >> 32) * n >> 32); }
    constexpr bool one_in(unsigned n) noexcept { return below(n) == 0; }

private:
    std::uint64_t state_;
};

} // namespace soak
