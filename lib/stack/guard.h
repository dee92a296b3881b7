// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/stack.hpp>

#include <cstddef>

// Pages that fault. Sizes are multiples of the page size.
namespace weft::detail {

/// The size of the guard below each stack: a page, and on AArch64 at least 64 KiB, since with -fstack-clash-protection
/// GCC probes there only frames that are larger than that.
std::size_t guard_size() noexcept;

/// Makes the guard at `lowest` fault, in whichever way the system lets this mapping have. False, with errno set, if it
/// does in neither.
bool install_guard(void* lowest) noexcept;

/// Gives the memory back and makes it fault until it is opened again; the address space stays ours. Says in which way:
/// each mapping may get another answer, and a later one than it got before.
guard_method close(void* lowest, std::size_t bytes) noexcept;
/// Opens what was closed in that way. False, with errno set, if the system cannot.
bool open(void* lowest, std::size_t bytes, guard_method closed) noexcept;

} // namespace weft::detail
