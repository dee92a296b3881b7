// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
// error: weft: WEFT_DEFAULT_STACK_SIZE is too small for a frame: name 4096 bytes or more
// before: GNU 1, Clang 1

#include <weft/stack.hpp>

WEFT_DEFAULT_STACK_SIZE(1024);
