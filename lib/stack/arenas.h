// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/stack.hpp>

#include <cstddef>
#include <vector>

namespace weft {

/// Stacks of one size, side by side in a few large mappings, so that a million of them is no million mappings. Not
/// thread-safe.
///
/// The tops of stacks that lie a power of two apart would fall into the same few sets of the processor's first cache,
/// and those of a hundred fibers would drive each other out: so tops are shifted by some lines, a different number
/// ("colour") for each.
class arenas {
public:
    explicit arenas(std::size_t size); ///< \throws std::invalid_argument
    ~arenas();
    arenas(const arenas&) = delete;
    arenas& operator=(const arenas&) = delete;

    /// A stack with its guard. \throws stack_exhausted, std::bad_alloc
    stack allocate();
    /// Its memory goes back to the system, its address space stays here.
    void deallocate(const stack& s) noexcept;
    /// Unmaps the arenas no stack of which is in use.
    void trim() noexcept;

private:
    struct arena {
        std::byte* lowest;
        std::size_t slots;
        std::size_t begun;  // slots that have had their guard
        std::size_t in_use;
    };

    arena& arena_of(const void* address) noexcept;
    void grow();
    stack stack_in(std::byte* slot) const noexcept;
    std::byte* slot_of(const stack& s) const noexcept;

    std::size_t size_; // usable bytes, the colour's included
    std::size_t slot_; // bytes from one stack to the next: the guard, then size_
    std::vector<arena> arenas_;      // by address
    std::vector<std::byte*> closed_; // slots that were in use; room for all, so that giving one back needs no memory
    std::byte* growing_ = nullptr;  // the arena whose slots have not all been begun
};

} // namespace weft
