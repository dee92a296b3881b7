// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// error: weft: this operand is not awaitable in coroutines of this type
// before: GNU 12, Clang 1

#include <weft/stackful.hpp>
#include <weft/task.hpp>

auto task = weft::stackful<weft::task<>>([](auto& co) { return void(int{co.await(5)}); });
