// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// error: weft::stackful<R>: R is not a coroutine type
// before: GNU 5, GNU14 9, Clang 2

#include <weft/stackful.hpp>

auto number = weft::stackful<int>([](auto&) { return 1; });
