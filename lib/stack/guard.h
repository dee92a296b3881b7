// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/stack.hpp>

#include <cstddef>

// Memory for stacks, as the allocators in this folder see the system. Sizes are multiples of the page size.
namespace weft {

/// The size of a stack that is asked for with `size`. \throws std::invalid_argument if it is too small or too large.
std::size_t whole_pages(std::size_t size);

/// Address space that takes memory when it is touched; null, with errno set, if there is none.
void* map(std::size_t bytes) noexcept;
void unmap(void* lowest, std::size_t bytes) noexcept;

/// Makes the page at `lowest` fault, in whichever way the system lets this mapping have. False, with errno set, if it
/// does in neither.
bool install_guard(void* lowest) noexcept;

/// Gives the memory back and makes it fault until it is opened again; the address space stays ours. Says in which way:
/// each mapping may get another answer, and a later one than it got before.
guard_method close(void* lowest, std::size_t bytes) noexcept;
/// Opens what was closed in that way. False, with errno set, if the system cannot.
bool open(void* lowest, std::size_t bytes, guard_method closed) noexcept;

} // namespace weft
