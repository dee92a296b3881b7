// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <weft/fiber.hpp>

#include <cstdio>

int main()
{
    int steps = 0;
    weft::fiber fiber{[&](weft::fiber_ref self) {
        ++steps;
        self.suspend();
        ++steps;
    }};
    while (!fiber.done()) fiber.resume();
    std::printf("weft: a fiber took %d steps\n", steps);
    return steps == 2 ? 0 : 1;
}
