// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// error: weft::stackful<R>: R is not a coroutine type
// before: GNU 4, Clang 1

#include <weft/stackful.hpp>

auto number = weft::stackful<int>([](auto&) { return 1; });
