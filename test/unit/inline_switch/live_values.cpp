// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// The inline switch is right only if the compiler keeps everything that is live across it out of registers, whatever it
// was told to optimise. This program keeps as much alive as it can: it runs the same computations with a switch in the
// middle of each and without, on two stacks that scramble each other's registers, and compares. It is compiled once for
// each set of flags that the build lists.

#include <weft/detail/switch/inline_switch.hpp>

#include <alloca.h>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

alignas(64) std::byte memory[256 * 1024];
weft::detail::control_block peer;

struct to_fiber {
    static void run() { weft::detail::switch_to_fiber(peer); }
};
struct to_resumer {
    static void run() { weft::detail::switch_to_resumer(peer); }
};
struct without_switch {
    static void run() {}
};

__extension__ using wide_int = __int128;
using four_floats __attribute__((vector_size(16))) = float;

std::uint64_t next(std::uint64_t& state) { // xorshift64*
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1du;
}

std::uint64_t bits(double value) {
    std::uint64_t result;
    std::memcpy(&result, &value, sizeof result);
    return result;
}

// Eighteen integers, sixteen doubles, vectors and a long double, all born before the switch and used after it.
template <class Switch>
[[gnu::noinline]] std::uint64_t registers(std::uint64_t seed) {
    std::uint64_t i[18];
    double d[16];
    for (auto& value : i) value = next(seed);
    for (auto& value : d) value = double(next(seed) % 1000) / 7;
    const std::uint64_t i0 = i[0], i1 = i[1], i2 = i[2], i3 = i[3], i4 = i[4], i5 = i[5], i6 = i[6], i7 = i[7], i8 = i[8],
                        i9 = i[9], i10 = i[10], i11 = i[11], i12 = i[12], i13 = i[13], i14 = i[14], i15 = i[15],
                        i16 = i[16], i17 = i[17];
    const double d0 = d[0], d1 = d[1], d2 = d[2], d3 = d[3], d4 = d[4], d5 = d[5], d6 = d[6], d7 = d[7], d8 = d[8],
                 d9 = d[9], d10 = d[10], d11 = d[11], d12 = d[12], d13 = d[13], d14 = d[14], d15 = d[15];
    const four_floats v = {float(d[3]), float(d[5]), float(d[7]), float(d[11])};
    const long double l = static_cast<long double>(d0) / 3;
    const wide_int wide = static_cast<wide_int>(i3) * static_cast<std::int64_t>(i5);
    const bool flag = i0 < i1;
    Switch::run();
    const four_floats w = v * v + v;
    std::uint64_t sum = i0 + 3 * i1 + 5 * i2 + 7 * i3 + 11 * i4 + 13 * i5 + 17 * i6 + 19 * i7 + 23 * i8 + 29 * i9 +
                        31 * i10 + 37 * i11 + 41 * i12 + 43 * i13 + 47 * i14 + 53 * i15 + 59 * i16 + 61 * i17;
    sum += bits(d0 + 2 * d1 - 3 * d2 + 4 * d3 - 5 * d4 + 6 * d5 - 7 * d6 + 8 * d7);
    sum += bits(d8 - 2 * d9 + 3 * d10 - 4 * d11 + 5 * d12 - 6 * d13 + 7 * d14 - 8 * d15);
    sum += bits(double(w[0]) + double(w[1]) * 3 + double(w[2]) * 5 + double(w[3]) * 7);
    sum += bits(static_cast<double>(l * 9)) + static_cast<std::uint64_t>(wide >> 7) + (flag ? 1000003 : 7);
    return sum;
}

// A frame that moves (alloca) and is aligned more than the stack: compilers address it through a base register.
template <class Switch>
[[gnu::noinline]] std::uint64_t moving_frame(std::uint64_t seed) {
    alignas(128) std::uint64_t aligned[16];
    const std::size_t count = 1 + next(seed) % 50;
    auto* const moving = static_cast<std::uint64_t*>(alloca(count * sizeof(std::uint64_t)));
    for (auto& value : aligned) value = next(seed);
    for (std::size_t k = 0; k < count; ++k) moving[k] = next(seed);
    if (reinterpret_cast<std::uintptr_t>(aligned) % 128 != 0) std::abort();
    std::uint64_t sum = 0;
    for (std::size_t k = 0; k < count; ++k) {
        sum += moving[k] ^ aligned[k % 16];
        if (k % 8 == 3) Switch::run();
    }
    if (reinterpret_cast<std::uintptr_t>(aligned) % 128 != 0) std::abort();
    return sum + aligned[7];
}

// Loops that vectorising compilers keep in registers.
template <class Switch>
[[gnu::noinline]] std::uint64_t loops(std::uint64_t seed) {
    double a[64], sum = 0, product = 1;
    for (auto& value : a) value = 1 + double(next(seed) % 100) / 10000;
    for (int round = 0; round < 4; ++round) {
        for (const double value : a) {
            sum += value * product;
            product *= value;
        }
        Switch::run();
        for (auto& value : a) value = value * 0.5 + 0.5;
    }
    return bits(sum) ^ bits(product);
}

template <class Switch>
[[gnu::noinline]] std::uint64_t deep(unsigned depth, std::uint64_t seed, int a, double b, int c, double d, long e, float f,
                                     int g, int h, int i, double j, double k, double l, double m, double n, double o) {
    if (depth == 0) {
        Switch::run();
        return seed;
    }
    const std::uint64_t below =
        deep<Switch>(depth - 1, next(seed), a + 1, b / 2, c + 2, d + 0.25, e * 3, f + 1, g, h + i, i, j, k + l, l, m, n, o);
    return below + seed + std::uint64_t(a + c + e + g + h + i) + bits(b + d + j + k + l + m + n + o + double(f));
}

template <class Switch>
std::uint64_t all(std::uint64_t seed) {
    std::uint64_t sum = registers<Switch>(seed);
    sum = sum * 31 + moving_frame<Switch>(seed + 1);
    sum = sum * 31 + loops<Switch>(seed + 2);
    return sum * 31 + deep<Switch>(10, seed + 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

int failures = 0;

template <class Switch>
void compare(const char* where, std::uint64_t seed) {
    if (all<Switch>(seed) == all<without_switch>(seed)) return;
    std::fprintf(stderr, "%s, seed %llu: a value changed across the switch\n", where, static_cast<unsigned long long>(seed));
    ++failures;
}

void run_peer(void*) {
    for (std::uint64_t seed = 1;; seed += 10) compare<to_resumer>("on the fiber's stack", seed);
}

} // namespace

int main() {
    weft::detail::make_control_block(peer, memory + sizeof memory, sizeof memory, &run_peer, nullptr);
    for (std::uint64_t seed = 5; seed < 5 + 2000 * 10; seed += 10) compare<to_fiber>("on the thread's stack", seed);
    return failures != 0;
}
