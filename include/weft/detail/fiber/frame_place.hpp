// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft::detail {

/// Where an object of type Frame lies at the top of a stack: as high as its alignment lets it.
template <class Frame>
struct frame_place {
    std::uintptr_t lowest; // of the stack
    std::uintptr_t top;
    std::uintptr_t address = (top - sizeof(Frame)) & ~(std::uintptr_t{alignof(Frame)} - 1);

    /// Is it on the stack, with so many bytes below it for the first frames?
    bool leaves(std::size_t room) const noexcept { return top - lowest >= sizeof(Frame) && address >= lowest + room; }
    void* get() const noexcept { return reinterpret_cast<void*>(address); }
};

} // namespace weft::detail
