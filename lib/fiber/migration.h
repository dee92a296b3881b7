// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/fiber/fiber_record.hpp>

namespace weft::detail {

/// `fiber`, and what it has resumed, is about to go on on this thread: reports what it should have left behind.
void check_migration(fiber_record& fiber) noexcept;

/// `fiber` has been suspended on this thread.
void note_thread(fiber_record& fiber) noexcept;

} // namespace weft::detail
