// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/fiber_record.hpp>

#include <array>
#include <cstddef>

// Where fiber_records come from: slabs of some thousand, mapped as a whole and unmapped when no record of them is in
// use. A slab hands its records out from its beginning on, so the memory of what was never in use is not
// touched; each thread keeps a few free ones for itself.
namespace weft::detail {

/// A thread's own free records. While `phase` is in_use they are given back when the thread ends.
struct record_cache {
    static constexpr std::size_t capacity = 16;
    std::array<void*, capacity> free;
    std::size_t count;
    enum : unsigned char { unused, in_use, closed } phase; // closed: the thread ends
};

#if defined(__linux__)
[[gnu::tls_model("initial-exec"), gnu::visibility("hidden")]]
#endif
extern constinit thread_local record_cache free_records;

/// When this thread's cache is empty. \throws stack_exhausted
void* allocate_record_from_slab();

/// Room for one record. \throws stack_exhausted
inline void* allocate_record() {
    record_cache& mine = free_records;
    return mine.count != 0 ? mine.free[--mine.count] : allocate_record_from_slab();
}

/// Takes one back, on any thread. Not inline: who ends a fiber has switched, and compilers take the address of a thread_local
/// for constant within a function.
void free_record(fiber_record& record) noexcept;

} // namespace weft::detail
