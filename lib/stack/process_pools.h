// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/stack.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>

// The pools of the whole process: one for each size that a body has asked for, and which of them is the default one.
// The program may change that while fibers live and threads keep idle stacks.
namespace weft {

/// Never destroyed: fibers in static storage may give their stacks back after every destructor of the library has run.
struct process_pool {
    explicit process_pool(std::size_t usable) : pool{usable}, size{usable} {}

    /// Does a stack with so many bytes come from here? Such have up to a page more than `size`, and more than half a
    /// one.
    bool owns(std::size_t bytes) const noexcept { return bytes - size - 1 < page; }

    stack_pool pool;
    const std::size_t size;
    const std::size_t page = page_size();
    process_pool* next = nullptr;
};

/// The one that stacks of no named size come from; null until it is asked for since the size was last set.
extern constinit std::atomic<process_pool*> default_pool;

/// The same, made if there is none. \throws stack_exhausted
process_pool& default_process_pool();
/// Where a stack with so many bytes has come from.
process_pool& owner_of(std::size_t bytes) noexcept;
/// Is `pool` one of them?
bool is_process_wide(const stack_pool& pool) noexcept;

/// Does a stack with so many bytes come from what is the default pool now?
inline bool is_default_stack(std::size_t bytes) noexcept {
    const process_pool* const now = default_pool.load(std::memory_order_acquire);
    return now && now->owns(bytes);
}

/// From now on, until its end, `word` of the calling thread is `unchanged`, and `changed` once the default has become
/// another one after there had been a pool: also if that is so already. It is written by the thread that changes the
/// default. One word a thread.
void watch_default_size(std::uintptr_t& word, std::uintptr_t unchanged, std::uintptr_t changed) noexcept;
void unwatch_default_size() noexcept;

/// While the process forks no other thread holds what guards the pools; in the child this thread alone is left.
void hold_process_pools() noexcept;
void release_process_pools() noexcept;
void release_process_pools_in_child() noexcept;

/// Before the first mutex of a pool is taken: from now on fork() waits for it. In pool.cpp. \throws stack_exhausted
void watch_forks();

} // namespace weft
