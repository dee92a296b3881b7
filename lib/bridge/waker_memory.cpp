// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <weft/detail/waker_memory.hpp>

#include <array>
#include <mutex>
#include <new>

namespace weft::detail {
namespace {

struct cell {
    // What GCC and Clang need is 80 to 112 bytes; where they need more, the heap has it.
    static constexpr std::size_t size = 128;
    union {
        cell* next;
        alignas(std::max_align_t) std::byte frame[size];
    };
};

struct block {
    block* next; // so that leak checkers find all
    std::array<cell, 31> cells;
};

// Not destroyed: an operation may complete after every destructor of this file has run.
constinit std::mutex cells_mutex;
constinit block* blocks = nullptr;
constinit cell* free_cells = nullptr;

} // namespace

void* allocate_waker(std::size_t size) {
    if (size > cell::size) return ::operator new(size);
    const std::lock_guard lock(cells_mutex);
    if (!free_cells) {
        blocks = new block{blocks, {}};
        for (cell& c : blocks->cells) {
            c.next = free_cells;
            free_cells = &c;
        }
    }
    cell* const taken = free_cells;
    free_cells = taken->next;
    return taken->frame;
}

void free_waker(void* frame, std::size_t size) noexcept {
    if (size > cell::size) return ::operator delete(frame);
    const std::lock_guard lock(cells_mutex);
    free_cells = new (frame) cell{{free_cells}};
}

} // namespace weft::detail
