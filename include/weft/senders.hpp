// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

/// \file
/// weft and P2300's senders: std::execution where the standard library has it, else NVIDIA's stdexec (of May 2026 or
/// later). The CMake target weft::senders finds it.
///
///     int n = weft::await(stdexec::schedule(pool) | stdexec::then([] { return 42; })); // below any stackful body
///
///     weft::task<int> work();                                                          // stackful or not: a sender
///     stdexec::sync_wait(stdexec::when_all(work(), work()));
///
/// Awaiting a sender: its operation state lies on the body's stack, nothing is allocated. A sender completes with
/// - set_value: the await returns nothing, the value, or a std::tuple of several, decayed. There may be one such way.
/// - set_error: the await throws the error: an exception_ptr's exception, an error_code as std::system_error, anything
///   else as it is.
/// - set_stopped: the await throws weft::operation_stopped (see weft/await.hpp).
/// The body goes on where the sender completes, or, if that is inside of its start(), where it was started. The
/// sender's receiver has the stop token of the body (see weft/stop_token.hpp).
///
/// \pre A coroutine is not destroyed while its body waits for a sender: P2300's operations end by completing. Ask for a
/// stop, and let it come to its end.
///
/// A weft::task, connected to a receiver, runs from start() on, completes on the thread that it ends on, and hands the
/// receiver's stop token to its body. Nothing is allocated beside its coroutine, except if the receiver has a token of
/// another kind than std::stop_token: then once, when the body or what it awaits first asks for it.

#include <weft/detail/sender_execution.hpp>

#if defined(WEFT_EXECUTION) // else it has been refused
#    include <weft/detail/sender_awaiter.hpp>
#    include <weft/detail/sender_task.hpp>
#endif

#undef WEFT_EXECUTION
#undef WEFT_STOP_TOKENS
