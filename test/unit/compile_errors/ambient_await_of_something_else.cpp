// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// error: weft::await: this operand is not awaitable

#include <weft/await.hpp>

void fn() {
    weft::await(5);
}
