// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Linked twice into one object this must be refused.

#include <weft/stack.hpp>

WEFT_DEFAULT_STACK_SIZE(64 * 1024);
