// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/config.hpp>

#include <cstddef>

// LeakSanitizer looks for what nobody refers to any more, but knows of no mapping that may refer to it: neither of the
// stacks of fibers nor of their records, which have registers of theirs. It is told of both, from when a fiber is made
// until its stack goes back. What a fiber owns then counts as referred to, also of a fiber that nobody has a handle of.
//
// -fsanitize=leak defines no macro in GCC, and is a matter of linking: so ELF programs ask whether the function is there.
#if defined(__ELF__)
extern "C" [[gnu::weak]] void __lsan_register_root_region(const void* lowest, std::size_t size);
extern "C" [[gnu::weak]] void __lsan_unregister_root_region(const void* lowest, std::size_t size);
#elif WEFT_ASAN
#    include <sanitizer/lsan_interface.h>
#endif

namespace weft::detail {

inline void add_leak_root([[maybe_unused]] const void* lowest, [[maybe_unused]] std::size_t size) noexcept {
#if defined(__ELF__)
    if (&__lsan_register_root_region) __lsan_register_root_region(lowest, size);
#elif WEFT_ASAN
    __lsan_register_root_region(lowest, size);
#endif
}

/// \pre it was added, as a whole.
inline void remove_leak_root([[maybe_unused]] const void* lowest, [[maybe_unused]] std::size_t size) noexcept {
#if defined(__ELF__)
    if (&__lsan_unregister_root_region) __lsan_unregister_root_region(lowest, size);
#elif WEFT_ASAN
    __lsan_unregister_root_region(lowest, size);
#endif
}

} // namespace weft::detail
