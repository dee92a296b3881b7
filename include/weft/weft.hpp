// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/await.hpp>
#include <weft/exception_detour.hpp>
#include <weft/fiber.hpp>
#include <weft/fiber_context.hpp>
#include <weft/fp_env.hpp>
#include <weft/generator.hpp>
#include <weft/migration.hpp>
#include <weft/stack.hpp>
#include <weft/stack_overflow.hpp>
#include <weft/stackful.hpp>
#include <weft/switch.hpp>
#include <weft/task.hpp>

#include <version>

#if defined(__cpp_lib_jthread) // else the standard library has no stop tokens (LLVM's, before version 20)
#    include <weft/stop_token.hpp>
#endif

/// \file
/// All of weft but the adapters to other libraries, and a tour of it.
///
/// \mainpage weft
///
/// Each header begins with what it is for and an example; each function says on which stack and thread it runs, what
/// it throws and what it costs. In the order in which they explain each other:
///
/// 1. weft/fiber.hpp: a function with a stack of its own. resume() runs it, suspend() leaves it from any depth of
///    calls, an exception leaves through resume(), the destructor unwinds it. weft/generator.hpp makes a range of one.
/// 2. weft/stackful.hpp: such a function as the body of a C++20 coroutine, of any type. `co.await(x)` suspends the
///    fiber and lets the coroutine await x; resumed, the coroutine resumes the fiber.
/// 3. weft/await.hpp: the same without `co` in sight, from inside of a callback; which body is meant is looked up.
///    weft/exception_detour.hpp: what such a callback throws, around the frames of C that have called it.
/// 4. weft/task.hpp: a coroutine type and sync_wait, where no other library brings them. weft/stop_token.hpp: how a
///    body hears that it is to stop.
/// 5. For one other library each, and not included here: weft/asio.hpp and weft/standalone_asio.hpp (the completion
///    token weft::use_fiber), weft/senders.hpp (P2300).
///
/// What they stand on, for those who want to choose or to measure:
///
/// 6. weft/stack.hpp: where stacks come from, pools, guard pages. weft/stack_overflow.hpp: how much of one is used,
///    and which one ran over its end.
/// 7. weft/migration.hpp: finds bodies that take a lock to another thread. weft/fp_env.hpp: whose rounding mode it is.
/// 8. weft/fiber_context.hpp: the standard proposal's symmetric fibers, for schedulers written against that.
/// 9. weft/switch.hpp: the bare switch. lib/README.md explains how it works.

/// What weft offers. What is in weft::detail, and in the headers of that folder, may change at any time.
namespace weft {}
