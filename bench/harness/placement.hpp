// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <alloca.h>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <random>
#include <type_traits>
#include <utility>

// Where things lie in memory changes what they cost: which cache lines and predictor entries collide. Every
// repetition begins at another place, so that the spread of the figures shows it.
namespace bench {

inline std::minstd_rand& random_source() {
    static std::minstd_rand source{std::random_device{}()};
    return source;
}

inline std::size_t random_below(std::size_t bound) {
    return std::uniform_int_distribution<std::size_t>{0, bound - 1}(random_source());
}

inline constexpr std::size_t copies = 4;

template <std::size_t Copy, class Measure>
[[gnu::noinline]] void undisturbed(Measure& measure) {
    asm volatile("" : : "i"(Copy)); // or they would be folded into one
    if constexpr (std::invocable<Measure&>)
        measure();
    else
        measure(std::integral_constant<std::size_t, Copy>{});
}

/// Calls one of four copies of `measure`'s code, on a stack that begins up to 4 KiB lower. `measure` is a lambda that
/// is always_inline: or the four copies would be four calls of one. It may take the copy's number as a type, to tell
/// apart what it calls.
template <class Measure>
[[gnu::noinline]] void displaced(Measure measure) {
    auto* const pad = static_cast<volatile char*>(alloca(16 + 16 * random_below(256)));
    *pad = 0;
    // In functions of their own: alloca changes how a function finds its variables.
    [&measure]<std::size_t... Copy>(std::index_sequence<Copy...>) {
        const std::size_t chosen = random_below(copies);
        ((Copy == chosen ? undisturbed<Copy>(measure) : void()), ...);
    }(std::make_index_sequence<copies>());
}

} // namespace bench
