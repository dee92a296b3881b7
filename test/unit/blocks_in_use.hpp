// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

// Counts the blocks of the heap that a program has not given back. It replaces the global operator new: include it in
// one file of a program.

namespace weft_test {
inline std::atomic<std::ptrdiff_t> blocks{0};

inline void* take(std::size_t size) {
    void* const memory = std::malloc(size ? size : 1);
    if (!memory) throw std::bad_alloc{};
    blocks.fetch_add(1, std::memory_order_relaxed);
    return memory;
}
inline void give_back(void* memory) noexcept {
    if (memory) blocks.fetch_sub(1, std::memory_order_relaxed);
    std::free(memory);
}
} // namespace weft_test

[[gnu::noinline]] void* operator new(std::size_t size) {
    return weft_test::take(size);
}
[[gnu::noinline]] void* operator new[](std::size_t size) {
    return weft_test::take(size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
    weft_test::give_back(memory);
}
[[gnu::noinline]] void operator delete[](void* memory) noexcept {
    weft_test::give_back(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
    weft_test::give_back(memory);
}
[[gnu::noinline]] void operator delete[](void* memory, std::size_t) noexcept {
    weft_test::give_back(memory);
}

/// How many there are just now.
inline std::ptrdiff_t blocks_in_use() noexcept {
    return weft_test::blocks.load(std::memory_order_relaxed);
}
