// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// error: weft: the coroutines of this type cannot yield this value
// before: GNU 11, Clang 1

#include <weft/stackful.hpp>
#include <weft/task.hpp>

auto task = weft::stackful<weft::task<>>([](auto& co) { return void(int{co.yield(5)}); });
