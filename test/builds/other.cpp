// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// A file of a program that may be compiled otherwise than the rest.

#include <weft/fiber.hpp>

weft::fiber fiber_of_another_file(weft::fiber_ref outer);

weft::fiber fiber_of_another_file(weft::fiber_ref outer) {
    return weft::fiber{[outer] { outer.suspend(); }};
}
