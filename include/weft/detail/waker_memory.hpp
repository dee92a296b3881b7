// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/config.hpp>

#include <cstddef>

namespace weft::detail {

/// Room for the frame of a coroutine that an operation of another library resumes when it completes. A wait that has
/// been given up leaves it to the operation, which may complete later or never: nobody can tell. So these frames are
/// small, and come from blocks that are reused and not returned.
/// \throws std::bad_alloc
WEFT_API void* allocate_waker(std::size_t size);
/// On any thread.
WEFT_API void free_waker(void* frame, std::size_t size) noexcept;

} // namespace weft::detail
