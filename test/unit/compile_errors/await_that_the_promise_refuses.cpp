// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// error: weft: the coroutines of this type cannot await this operand
// before: GNU 11, Clang 1

#include "../coroutine_types.hpp"

#include <weft/stackful.hpp>

auto values = weft::stackful<pull<int>>([](auto& co) { return void(int{co.await(std::suspend_never{})}); });
