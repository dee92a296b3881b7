// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/stack.hpp>

#include <cstddef>
#include <cstdlib>

/// A stack allocator that asks malloc: no guard page, and the sanitizers' heap beside it.
struct malloced_stacks {
    weft::stack allocate() const {
        constexpr std::size_t size = 128 * 1024;
        return {size, static_cast<std::byte*>(std::aligned_alloc(64, size)) + size};
    }
    void deallocate(const weft::stack& s) const { std::free(static_cast<std::byte*>(s.sp) - s.size); }
};
