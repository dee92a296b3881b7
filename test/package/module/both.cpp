// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Macros come from headers, beside the module.
#include <weft/stack.hpp>
#include <weft/version.hpp>

import weft;

WEFT_DEFAULT_STACK_SIZE(128 * 1024);

int both() {
    weft::fiber f{[] {}};
    f.resume();
    return f.done() && weft::default_stack_size() >= 128 * 1024 ? WEFT_VERSION : 0;
}
