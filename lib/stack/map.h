// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <cstddef>

// Memory for stacks, as the system gives it. Sizes are multiples of the page size.
namespace weft::detail {

/// The size of a stack that is asked for with `size`. \throws std::invalid_argument if it is too small or too large.
std::size_t whole_pages(std::size_t size);

/// Address space that takes memory when it is touched; null, with errno set, if there is none.
void* map(std::size_t bytes) noexcept;
/// The same in the place of what is mapped there.
void* map_over(void* lowest, std::size_t bytes) noexcept;
void unmap(void* lowest, std::size_t bytes) noexcept;

} // namespace weft::detail
