// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// error: weft::fiber: the body must be movable, and callable with nothing or with a weft::fiber_ref (by value)
// error: weft::fiber: the body must be movable, and callable with nothing or with a weft::fiber_ref (by value)
// error: weft::fiber: the body must be movable, and callable with nothing or with a weft::fiber_ref (by value)
// before: GNU 5, GNU14 11, Clang 1

#include <weft/fiber.hpp>

struct pinned {
    pinned() = default;
    pinned(const pinned&) = delete;
    void operator()() {}
};

weft::fiber by_reference{[](auto&) {}};
weft::fiber with_options{weft::fiber_options{}, [](int) {}};
weft::fiber not_movable{pinned{}};
