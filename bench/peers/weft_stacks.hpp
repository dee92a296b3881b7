// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <harness/only_guarded.hpp>

#include <weft/stack.hpp>

namespace bench {

/// Where weft's peers have their stacks from.
struct weft_stacks {
    using usual = weft::default_stack_allocator;
    using pooled = usual;
    using system = weft::guarded_stack;
    using guarded = only_guarded<usual, -1>;
    static void trim() { weft::stack_pool::process().trim(); }
};

} // namespace bench
