// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "process_pools.h"

#include "arenas.h"
#include "guard.h"
#include "map.h"

#include <algorithm>
#include <bit>
#include <mutex>
#include <new>

namespace weft::detail {

constinit std::atomic<process_pool*> default_pool{nullptr};

namespace {

// What libraries need within their own limits (test/example/stack_need), which on AArch64 is up to a quarter more, rounded up
// to pages: what fits with one size of pages is to fit with all. No page is left unused where the tops lie an odd number of
// pages apart, see arenas. On x86-64 that makes 127 pages, so that four stacks share the lowest level of the page tables. A
// 32-bit program has no room for many stacks of that size, so there they are small.
std::size_t built_in_size() noexcept {
#if defined(__aarch64__)
    constexpr std::size_t kib = 568;
#else
    constexpr std::size_t kib = sizeof(void*) < 8 ? 104 : 500;
#endif
    const std::size_t whole = whole_pages((WEFT_ASAN ? 2 : 1) * kib * 1024), page = page_size();
    return (whole + page + guard_size()) / page % 2 != 0 ? whole : whole + page;
}

// Four sizes between a power of two and the next, so that whatever sizes a program asks for, there are few pools.
std::size_t size_class(std::size_t bytes) {
    const std::size_t whole = whole_pages(bytes);
    if (whole == built_in_size()) return whole;
    const std::size_t step = std::max(std::bit_floor(whole - 1) / 4, page_size());
    return whole_pages((whole + step - 1) / step * step);
}

constinit std::atomic<std::size_t> chosen_size{0}; // by set_default_stack_size(); 0: it was not called
constinit std::atomic<process_pool*> all_pools{nullptr};

// A thread's word, see watch_default_size().
struct watch {
    std::uintptr_t* word;
    std::uintptr_t changed;
    watch* next;
};

constinit std::mutex pools_mutex; // for writing any of the above, and for these:
constinit bool was_changed = false;
constinit watch* watches = nullptr;
constinit thread_local watch my_watch{};

process_pool* find_pool(std::size_t size) noexcept {
    process_pool* p = all_pools.load(std::memory_order_acquire);
    while (p && p->size != size) p = p->next;
    return p;
}

// pools_mutex is held.
process_pool& find_or_make(std::size_t size) {
    if (process_pool* const found = find_pool(size)) return *found;
    void* const room = allocate_account(sizeof(process_pool));
    WEFT_TRY {
        auto* const made = new (room) process_pool{size};
        made->next = all_pools.load(std::memory_order_relaxed);
        all_pools.store(made, std::memory_order_release);
        return *made;
    }
    WEFT_CATCH(...) {
        ::operator delete(room);
        WEFT_RETHROW;
    }
}

} // namespace

process_pool& default_process_pool() {
    if (process_pool* const now = default_pool.load(std::memory_order_acquire)) return *now;
    watch_forks();
    const std::lock_guard lock{pools_mutex};
    process_pool& now = find_or_make(default_stack_size());
    default_pool.store(&now, std::memory_order_release);
    return now;
}

process_pool& owner_of(std::size_t bytes) noexcept {
    process_pool* p = all_pools.load(std::memory_order_acquire);
    while (!p->owns(bytes)) p = p->next;
    return *p;
}

bool is_process_wide(const stack_pool& pool) noexcept {
    const process_pool* p = all_pools.load(std::memory_order_acquire);
    while (p && &p->pool != &pool) p = p->next;
    return p;
}

void watch_default_size(std::uintptr_t& word, std::uintptr_t unchanged, std::uintptr_t changed) noexcept {
    const std::lock_guard lock{pools_mutex};
    my_watch = {&word, changed, watches};
    watches = &my_watch;
    word = was_changed ? changed : unchanged;
}

void unwatch_default_size() noexcept {
    const std::lock_guard lock{pools_mutex};
    watch** link = &watches;
    while (*link && *link != &my_watch) link = &(*link)->next;
    if (*link) *link = my_watch.next;
}

void hold_process_pools() noexcept {
    pools_mutex.lock();
}

void release_process_pools() noexcept {
    pools_mutex.unlock();
}

void release_process_pools_in_child() noexcept {
    bool watched = false;
    for (const watch* w = watches; w; w = w->next) watched |= w == &my_watch;
    my_watch.next = nullptr;
    watches = watched ? &my_watch : nullptr;
    pools_mutex.unlock();
}

} // namespace weft::detail

namespace weft {

std::size_t default_stack_size() noexcept {
    const std::size_t chosen = detail::chosen_size.load(std::memory_order_relaxed);
    return chosen != 0 ? chosen : detail::built_in_size();
}

void set_default_stack_size(std::size_t bytes) {
    const std::size_t size = detail::size_class(bytes);
    detail::watch_forks();
    detail::process_pool* before = nullptr;
    {
        const std::lock_guard lock{detail::pools_mutex};
        if (size == default_stack_size()) return;
        detail::chosen_size.store(size, std::memory_order_relaxed);
        before = detail::default_pool.exchange(nullptr, std::memory_order_relaxed);
        detail::was_changed |= before != nullptr;
        if (detail::was_changed)
            for (const detail::watch* w = detail::watches; w; w = w->next) __atomic_store_n(w->word, w->changed, __ATOMIC_RELAXED);
    }
    if (before) before->pool.trim();
}

stack_pool& stack_pool::process() {
    return detail::default_process_pool().pool;
}

stack_pool& stack_pool::process(std::size_t size) {
    const std::size_t all = detail::size_class(size);
    if (detail::process_pool* const found = detail::find_pool(all)) return found->pool;
    detail::watch_forks();
    const std::lock_guard lock{detail::pools_mutex};
    return detail::find_or_make(all).pool;
}

} // namespace weft
