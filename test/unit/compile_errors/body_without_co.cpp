// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// error: weft::stackful: the body must be callable with
// before: GNU 5, GNU14 9, Clang 2

#include <weft/stackful.hpp>
#include <weft/task.hpp>

auto task = weft::stackful<weft::task<int>>([] { return 1; });
