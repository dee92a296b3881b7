// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "map.h"

#include <weft/detail/base/throw_or_die.hpp>
#include <weft/stack.hpp>

#include <limits>
#include <stdexcept>
#include <string>

#include <sys/mman.h>
#include <unistd.h>

std::size_t weft::page_size() noexcept {
    static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return size;
}

namespace weft::detail {
namespace {

// `place` null: anywhere.
void* map_at(void* place, std::size_t bytes) noexcept {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    if (place) flags |= MAP_FIXED;
#if defined(MAP_NORESERVE)
    flags |= MAP_NORESERVE; // pages are taken when they are touched, not when they are promised
#endif
#if defined(MAP_STACK)
    flags |= MAP_STACK;
#endif
    void* const lowest = ::mmap(place, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (lowest == MAP_FAILED) return nullptr;
#if defined(MADV_NOHUGEPAGE)
    ::madvise(lowest, bytes, MADV_NOHUGEPAGE); // a huge page for the first frame of one fiber would be 512 pages
#endif
    return lowest;
}

} // namespace

void* map(std::size_t bytes) noexcept {
    return map_at(nullptr, bytes);
}

void* map_over(void* lowest, std::size_t bytes) noexcept {
    return map_at(lowest, bytes);
}

void unmap(void* lowest, std::size_t bytes) noexcept {
    ::munmap(lowest, bytes);
}

std::size_t whole_pages(std::size_t size) {
    const std::size_t page = page_size();
    if (size < minimum_stack_size)
        throw_or_die(std::invalid_argument("weft: a stack of " + std::to_string(size) +
                                           " bytes is too small for a frame; ask for " +
                                           std::to_string(minimum_stack_size) + " bytes or more"));
    if (size > static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max()) - 2 * page)
        throw_or_die(std::invalid_argument("weft: a stack of " + std::to_string(size) +
                                           " bytes is larger than any address space"));
    return (size + page - 1) / page * page;
}

} // namespace weft::detail
