// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "../stack/thread_cache.h"

#include <weft/detail/fiber/fiber_record.hpp>

#include <cstddef>
#include <cstdint>
#include <new>

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

/// Takes one back, on any thread. Not inline: the code that ends a fiber has switched, and compilers take the address of a
/// thread_local for constant within a function.
void free_record(fiber_record& record) noexcept;

struct free_record_link {
    free_record_link* next;
};

/// The beginning of a slab, where else its first record would be. Slabs lie at multiples of their size.
struct record_slab {
    static constexpr std::size_t size = std::size_t{256} * 1024;
    static constexpr std::size_t records = size / sizeof(fiber_record) - 1;

    record_slab* next; // the list that it is in, and what refers to it there
    record_slab** link;
    std::size_t begun;  // records that have ever been handed out: these are the first ones
    std::size_t in_use; // those in a thread's cache, too
    free_record_link* free; // of the begun ones

    static record_slab& of(void* record) noexcept {
        return *reinterpret_cast<record_slab*>(reinterpret_cast<std::uintptr_t>(record) & ~(std::uintptr_t{size} - 1));
    }
    bool full() const noexcept { return in_use == records; }

    void* take() noexcept {
        ++in_use;
        if (free_record_link* const first = free) {
            free = first->next;
            return first;
        }
        return reinterpret_cast<std::byte*>(this) + sizeof(fiber_record) * ++begun;
    }
    void give_back(void* record) noexcept {
        --in_use;
        free = new (record) free_record_link{free};
    }

    void enter(record_slab*& list) noexcept {
        next = list;
        if (next) next->link = &next;
        link = &list;
        list = this;
    }
    void leave() noexcept {
        *link = next;
        if (next) next->link = link;
    }
};
static_assert(sizeof(record_slab) <= sizeof(fiber_record));

/// The slabs of the process: each is in one of these lists.
[[gnu::visibility("hidden")]] extern constinit record_slab* slabs_with_room;
[[gnu::visibility("hidden")]] extern constinit record_slab* full_slabs;

/// Defined in lib/debug/debugger.cpp, which nothing else refers to: a program with fibers has it by this.
[[gnu::visibility("hidden")]] extern const char seen_by_debuggers;

} // namespace weft::detail
