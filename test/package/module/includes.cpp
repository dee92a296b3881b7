// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <weft/fiber.hpp>
#include <weft/task.hpp>

weft::task<int> included(weft::fiber& body) {
    body.resume();
    co_return 42;
}
