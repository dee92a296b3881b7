// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// error: weft::stackful: the body returns nothing, but this coroutine type returns a value
// before: GNU 6, GNU14 12, Clang 2

#include <weft/stackful.hpp>
#include <weft/task.hpp>

auto task = weft::stackful<weft::task<int>>([](auto&) {});
