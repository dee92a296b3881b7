// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/fiber/fiber_record.hpp>

#include <atomic>

namespace weft::detail {

/// Runs a suspended fiber, whose checksum is right, to its end: each of its suspensions throws forced_unwind.
void unwind(fiber_record& fiber) noexcept;

/// The process has begun to end: exit() destroys what is in static storage. Known from the first resume on.
[[gnu::visibility("hidden")]] extern constinit std::atomic<bool> exiting;

} // namespace weft::detail
