// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/base/config.hpp>
#include <weft/detail/base/throw_or_die.hpp>

#include <cstddef>
#include <cstdint>

#if WEFT_ASAN
#    include <sanitizer/asan_interface.h>
#endif
#if WEFT_HWASAN
#    include <sanitizer/hwasan_interface.h>
#endif
#if WEFT_MSAN
#    include <sanitizer/msan_interface.h>
#endif
#if WEFT_TELLS_VALGRIND
#    include <valgrind/memcheck.h>
#endif

// The memory of a stack, and what the tools that check memory must be told of it.

namespace weft::detail {

struct stack_bounds {
    const void* lowest;
    std::size_t size;
};

/// `size` bytes from `lowest` become a stack. Frames that were left there and never returned (of an abandoned context,
/// or of one that was unmapped since) have poisoned AddressSanitizer's shadow of them, and HWAddressSanitizer still
/// tags them. To Valgrind what lies below a stack pointer that has been belongs to no one.
WEFT_ABI_TAG inline void begin_stack([[maybe_unused]] const void* lowest, [[maybe_unused]] std::size_t size) noexcept {
#if WEFT_ASAN
    ASAN_UNPOISON_MEMORY_REGION(lowest, size);
#endif
#if WEFT_HWASAN
    if (reinterpret_cast<std::uintptr_t>(lowest) >> 56 != 0) // its heap's addresses have tags, a stack pointer has none
        fatal("weft: HWAddressSanitizer has tagged this stack: let the stack allocator take memory from mmap, not from malloc");
    const auto from = (reinterpret_cast<std::uintptr_t>(lowest) + 15) & ~std::uintptr_t{15}; // a tag is of 16 bytes
    const auto to = (reinterpret_cast<std::uintptr_t>(lowest) + size) & ~std::uintptr_t{15};
    __hwasan_tag_memory(reinterpret_cast<const void*>(from), 0, to - from);
#endif
#if WEFT_TELLS_VALGRIND
    VALGRIND_MAKE_MEM_UNDEFINED(lowest, size);
#endif
}

/// What assembly has written MemorySanitizer takes for uninitialized.
WEFT_ABI_TAG inline void written_by_assembly([[maybe_unused]] const void* first, [[maybe_unused]] std::size_t size) noexcept {
#if WEFT_MSAN
    __msan_unpoison(first, size);
#endif
}

} // namespace weft::detail
