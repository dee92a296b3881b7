// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "../stack/thread_cache.h"

#include <weft/detail/fiber_record.hpp>

// Where fiber_records come from: slabs of some thousand, mapped as a whole and unmapped when no record of them is in
// use. A slab hands its records out from its beginning on, so the memory of what was never in use is not
// touched; each thread keeps a few free ones for itself.
namespace weft::detail {

[[gnu::visibility("hidden")]] extern constinit thread_local thread_cache<void> free_records;

/// When this thread's cache is empty. \throws stack_exhausted
void* allocate_record_from_slab();

/// Room for one record. \throws stack_exhausted
inline void* allocate_record() {
    return free_records.count != 0 ? free_records.pop() : allocate_record_from_slab();
}

/// Takes one back, on any thread. Not inline: who ends a fiber has switched, and compilers take the address of a
/// thread_local for constant within a function.
void free_record(fiber_record& record) noexcept;

} // namespace weft::detail
