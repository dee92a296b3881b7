// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Places where a compiler puts the inline switch, for inline_switch.py. PLACE(name) has the compiler's name in it.

#include <weft/detail/switch/inline_switch.hpp>

#include <utility>

using weft::detail::control_block;

namespace {

// Values of the caller's that are alive across a switch: it must find the old ones, each in another place.
struct values {
    long integers[16];
    double numbers[12];
};

template <class Switch>
WEFT_ALWAYS_INLINE void keep(values& v, Switch change) {
    const auto [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = v.integers;
    const auto [q, r, s, t, u, w, x, y, z, aa, bb, cc] = v.numbers;
    change();
    v = {{b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, a}, {r, s, t, u, w, x, y, z, aa, bb, cc, q}};
}

} // namespace

extern "C" {

void* PLACE(resume)(control_block& block) {
    return weft::detail::switch_to_fiber(block);
}

void* PLACE(resume_with_values)(control_block& block, values& v) {
    void* passed = nullptr;
    keep(v, [&] { passed = weft::detail::switch_to_fiber(block); });
    return passed;
}

void PLACE(suspend)(control_block& block) {
    weft::detail::switch_to_resumer(block);
}

void PLACE(suspend_with_values)(control_block& block, values& v) {
    keep(v, [&] { weft::detail::switch_to_resumer(block); });
}

void PLACE(suspend_passing)(control_block& block, void* word) {
    weft::detail::switch_to_resumer(block, word);
}

void PLACE(suspend_not_resumable)(control_block& block) {
    weft::detail::switch_to_resumer_not_resumable(block);
}

bool PLACE(try_suspend)(control_block& block) {
    if constexpr (weft::detail::switch_tests_tag) {
        return weft::detail::try_switch_to_resumer(block);
    } else {
        weft::detail::switch_to_resumer(block);
        return true;
    }
}
}
