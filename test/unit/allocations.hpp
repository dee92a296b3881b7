// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

// Counts what a program takes from the heap. It replaces the global operator new: include it in one file of a program.

inline std::atomic<std::size_t> allocations{0};

inline void* counted_allocation(std::size_t size) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    if (void* const memory = std::malloc(size ? size : 1)) return memory;
    throw std::bad_alloc{};
}

[[gnu::noinline]] void* operator new(std::size_t size) {
    return counted_allocation(size);
}
[[gnu::noinline]] void* operator new[](std::size_t size) {
    return counted_allocation(size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
    std::free(memory);
}
[[gnu::noinline]] void operator delete[](void* memory) noexcept {
    std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}
[[gnu::noinline]] void operator delete[](void* memory, std::size_t) noexcept {
    std::free(memory);
}

/// How many allocations the call makes.
template <class Fn>
std::size_t allocations_in(Fn&& fn) {
    const std::size_t before = allocations.load(std::memory_order_relaxed);
    fn();
    return allocations.load(std::memory_order_relaxed) - before;
}
