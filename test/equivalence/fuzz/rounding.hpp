// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <array>
#include <bit>
#include <cfenv>
#include <cstdint>

namespace fuzz {

inline constexpr std::array rounding_modes{FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};

/// The low bits of 1/3 + (-1/3)/5 in the running flow's rounding mode; they differ for every mode.
inline std::uint32_t compute_quotient() {
    volatile double one = 1;
    volatile double three = 3;
    volatile double five = 5;
    volatile double third = one / three;
    volatile double minus = -one / three;
    volatile double part = minus / five;
    const auto bits = std::bit_cast<std::uint64_t>(double{third}) * 31 + std::bit_cast<std::uint64_t>(double{part});
    return static_cast<std::uint32_t>(bits);
}

} // namespace fuzz
