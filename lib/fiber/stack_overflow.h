// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

namespace weft::detail {

/// Before the first fiber of a thread: gives the thread a stack for signals, if report_stack_overflow() has been
/// called. False if it needs one and there is no memory.
bool watch_this_thread() noexcept;

} // namespace weft::detail
