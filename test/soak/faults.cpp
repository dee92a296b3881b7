// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "faults.hpp"

#include <weft/detail/base/config.hpp>

#include <atomic>
#include <cstdlib>
#include <cstring>

namespace soak {
namespace {

std::atomic<std::size_t> blocks{0};
constinit thread_local unsigned fails_in = 0; // 0: never

// Asked anew each time: whoever allocates may have come from another thread.
[[gnu::noinline]] unsigned& countdown() noexcept {
    asm volatile("" ::: "memory");
    return fails_in;
}

void* allocate(std::size_t size) noexcept {
    unsigned& left = countdown();
    if (left != 0 && --left == 0) {
        happened(event::no_memory);
        return nullptr;
    }
    void* const memory = std::malloc(size ? size : 1);
    if (memory) blocks.fetch_add(1, std::memory_order_relaxed);
    return memory;
}

void deallocate(void* memory) noexcept {
    if (!memory) return;
    blocks.fetch_sub(1, std::memory_order_relaxed);
    std::free(memory);
}

#if WEFT_ASAN || WEFT_TSAN || !defined(__OPTIMIZE__)
constexpr std::size_t stack_size = 256 * 1024;
#else
constexpr std::size_t stack_size = 64 * 1024;
#endif

// Stacks from the heap have no guard: their lowest words are watched instead.
constexpr std::size_t watched = 256;
constexpr int pattern = 0x5c;

weft::stack stack_from_heap() {
    void* const memory = std::aligned_alloc(64, stack_size);
    if (!memory) throw std::bad_alloc{};
    std::memset(memory, pattern, watched);
    return {stack_size, static_cast<std::byte*>(memory) + stack_size};
}

void give_to_heap(const weft::stack& s) noexcept {
    std::byte* const memory = static_cast<std::byte*>(s.sp) - s.size;
    for (std::size_t n = 0; n < watched; ++n)
        if (memory[n] != std::byte{pattern}) fail("a body has run over the end of its stack");
    std::free(memory);
}

weft::stack_pool& own_pool() {
    static weft::stack_pool pool{stack_size, 64};
    return pool;
}

} // namespace

failing_new::failing_new(random_source& random) noexcept {
    if (random.one_in(8)) countdown() = 1 + random.below(2);
}

failing_new::~failing_new() {
    countdown() = 0;
}

std::size_t live_blocks() noexcept {
    return blocks;
}

stacks::stacks(random_source& random) noexcept
    : source_{static_cast<source>(random.below(4))}, fails_{random.one_in(64)} {}

weft::stack stacks::allocate() const {
    if (fails_) {
        happened(event::no_stack);
        throw no_stack{};
    }
    weft::stack s;
    switch (source_) {
    case source::process_pool:
        s = weft::default_stack_allocator{}.allocate();
        break;
    case source::own_pool:
        s = own_pool().allocate();
        break;
    case source::mapping:
        s = weft::guarded_stack{stack_size}.allocate();
        break;
    case source::heap:
        s = stack_from_heap();
        break;
    }
    made(thing::stack);
    return s;
}

void stacks::deallocate(const weft::stack& s) const noexcept {
    switch (source_) {
    case source::process_pool:
        weft::default_stack_allocator{}.deallocate(s);
        break;
    case source::own_pool:
        own_pool().deallocate(s);
        break;
    case source::mapping:
        weft::guarded_stack{stack_size}.deallocate(s);
        break;
    case source::heap:
        give_to_heap(s);
        break;
    }
    gone(thing::stack);
}

void stacks::trim() noexcept {
    weft::stack_pool::process().trim();
    own_pool().trim();
}

} // namespace soak

void* operator new(std::size_t size) {
    if (void* const memory = soak::allocate(size)) return memory;
    throw std::bad_alloc{};
}
void* operator new[](std::size_t size) {
    return ::operator new(size);
}
void operator delete(void* memory) noexcept {
    soak::deallocate(memory);
}
void operator delete[](void* memory) noexcept {
    soak::deallocate(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    soak::deallocate(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
    soak::deallocate(memory);
}
