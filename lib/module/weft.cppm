// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// import weft: the public names of weft/weft.hpp, of all of weft but the adapters to other libraries. What they name is
// what the headers declare, so that a program may have files that import and files that include. A module exports no
// macros: WEFT_DEFAULT_STACK_SIZE and WEFT_VERSION need weft/stack.hpp and weft/version.hpp.
module;

#include <weft/weft.hpp>

#include <version>

export module weft;

export namespace weft {

// weft/switch.hpp
using weft::context;
using weft::jump_context;
using weft::make_context;
using weft::ontop_context;
using weft::transfer;

// weft/stack.hpp
using weft::default_stack_allocator;
using weft::default_stack_size;
using weft::guard_method;
using weft::guarded_stack;
using weft::guards;
using weft::minimum_stack_size;
using weft::page_size;
using weft::set_default_stack_size;
using weft::stack;
using weft::stack_allocator;
using weft::stack_exhausted;
using weft::stack_pool;

// weft/fiber.hpp, weft/fp_env.hpp
using weft::fiber;
using weft::fiber_body;
using weft::fiber_error;
using weft::fiber_options;
using weft::fiber_ref;
using weft::forced_unwind;
using weft::fp_env;
using weft::not_in_fiber;

namespace this_fiber {
using weft::this_fiber::get;
using weft::this_fiber::suspend;
} // namespace this_fiber

// weft/stack_overflow.hpp
using weft::report_stack_overflow;
using weft::stack_usage;

// weft/generator.hpp, weft/fiber_context.hpp
using weft::fiber_context;
using weft::generator;
using weft::yielder;

// weft/migration.hpp
using weft::migration_handler;
using weft::migration_report;
using weft::set_migration_handler;
using weft::thread_bound;
using weft::thread_bound_lock;

// weft/stackful.hpp, weft/await.hpp, weft/exception_detour.hpp
using weft::ambient_adapter;
using weft::await;
using weft::coroutine_ref;
using weft::coroutine_ref_for;
using weft::exception_detour;
using weft::operation_stopped;
using weft::stackful;
using weft::stackful_proxy;

// weft/task.hpp
using weft::sync_wait;
using weft::task;

// weft/stop_token.hpp
#if defined(__cpp_lib_jthread)
namespace this_fiber {
using weft::this_fiber::get_stop_token;
} // namespace this_fiber
#endif

} // namespace weft
