// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// error: weft::await: this operand is not awaitable
// before: GNU 3, Clang 1

#include <weft/await.hpp>

int fn() {
    return weft::await(5);
}
