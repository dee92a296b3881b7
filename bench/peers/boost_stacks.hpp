// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <harness/only_guarded.hpp>

#include <boost/context/fixedsize_stack.hpp>
#include <boost/context/pooled_fixedsize_stack.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>

#include <malloc.h>

namespace bench {

/// Boost's pool, shared by all that name it.
struct boost_pool {
    boost::context::stack_context allocate() { return pool().allocate(); }
    void deallocate(boost::context::stack_context& s) noexcept { pool().deallocate(s); }

private:
    static boost::context::pooled_fixedsize_stack& pool() {
        static boost::context::pooled_fixedsize_stack stacks;
        return stacks;
    }
};

/// Where the peers of Boost have their stacks from.
struct boost_stacks {
    using usual = boost::context::fixedsize_stack;
    using pooled = boost_pool;
    using system = boost::context::protected_fixedsize_stack;
    using guarded = only_guarded<system, 0>; // its guard is the lowest page of what it calls the stack
    static void trim() { malloc_trim(0); }
};

} // namespace bench
