// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Calculates in a fiber for half a second of processor time, for a profiler that walks along the frame pointers: see
// profile.py.

#include <weft/fiber.hpp>

#include <ctime>

volatile unsigned calculated = 1;

extern "C" {

[[gnu::noinline]] void calculate() {
    const std::clock_t end = std::clock() + CLOCKS_PER_SEC / 2;
    while (std::clock() < end)
        for (int i = 0; i < 1'000'000; ++i) calculated = calculated * 1664525 + 1013904223;
}

[[gnu::noinline]] void body_of_fiber() {
    calculate();
    asm volatile("" ::: "memory"); // no tail call
}

[[gnu::noinline]] void resume_the_fiber(weft::fiber& f) {
    f.resume();
    asm volatile("" ::: "memory");
}

} // extern "C"

int main() {
    weft::fiber f{[] {
        body_of_fiber();
        asm volatile("" ::: "memory");
    }};
    resume_the_fiber(f);
}
