// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "arenas.h"
#include "process_pools.h"
#include "stack_keeper.h"
#include "thread_cache.h"

#include <weft/detail/throw_or_die.hpp>
#include <weft/stack.hpp>

#include <array>
#include <cerrno>
#include <mutex>
#include <new>

#include <pthread.h>

namespace weft {

constinit std::atomic<const stack_keeper*> keeper_of_stacks{nullptr};

namespace {

// The idle stacks that a thread keeps for itself, of the default pool: most fibers are made and destroyed without
// asking anybody else. Sizes and tops apart: where they are neighbours, compilers copy both as one word, and reading
// what was just written as two costs a stall longer than all the rest.
struct magazine {
    static constexpr std::size_t capacity = 16;

    void push(const stack& s) noexcept {
        sizes[count] = s.size;
        tops[count++] = s.sp;
    }
    stack pop() noexcept {
        --count;
        return {sizes[count], tops[count]};
    }

    std::array<std::size_t, capacity> sizes;
    std::array<void*, capacity> tops;
    std::size_t count;
    process_pool* of; // all that are in it; set where it is filled
    cache_phase phase;
};

constinit thread_local magazine mine{};

} // namespace

// One pool. All of them are in a list, so that no other thread holds one's mutex when the process forks: the child
// could never take it again.
struct [[gnu::visibility("hidden")]] stack_pool::state {
    state(std::size_t size, std::size_t retained_stacks);
    ~state();
    static void* operator new(std::size_t bytes) { return allocate_account(bytes); }
    static void operator delete(void* memory) noexcept { ::operator delete(memory); }

    stack allocate();
    void deallocate(const stack& s) noexcept;
    /// As many idle stacks as there are, but at most `wanted`, go into `m`.
    void fill(magazine& m, std::size_t wanted) noexcept;
    void trim() noexcept;

    // An idle stack keeps the list it is in at its own top, in the page that its last fiber has touched anyway.
    struct idle_stack {
        idle_stack* next;
        stack memory;
    };

    arenas source;
    const std::size_t retained;
    std::mutex mutex;
    idle_stack* first = nullptr; // last in, first out: the one whose memory is most likely still in the cache
    std::size_t count = 0;

    /// The default allocator's work when this thread's magazine is empty or full, or there is none.
    static stack allocate_beyond_magazine();
    static void deallocate_beyond_magazine(stack s) noexcept;
    /// The calling thread's go to the pool.
    static void empty_magazine() noexcept;

    /// Those that the calling thread keeps for itself of other pools than `pool` go to theirs.
    static void keep_only_of(process_pool& pool) noexcept;

    static void lock_all() noexcept;
    static void unlock_all() noexcept;
    static void unlock_all_in_child() noexcept;
    static constinit std::mutex list_mutex;
    static constinit state* list;
    state* next_pool = nullptr;
};

constinit std::mutex stack_pool::state::list_mutex;
constinit stack_pool::state* stack_pool::state::list = nullptr;

stack_pool::state::state(std::size_t size, std::size_t retained_stacks) : source{size}, retained{retained_stacks} {
    watch_forks();
    const std::lock_guard lock{list_mutex};
    next_pool = list;
    list = this;
}

stack_pool::state::~state() {
    const std::lock_guard lock{list_mutex};
    state** link = &list;
    while (*link != this) link = &(*link)->next_pool;
    *link = next_pool;
}

void stack_pool::state::lock_all() noexcept {
    hold_process_pools();
    list_mutex.lock();
    for (state* s = list; s; s = s->next_pool) s->mutex.lock();
}

void stack_pool::state::unlock_all() noexcept {
    for (state* s = list; s; s = s->next_pool) s->mutex.unlock();
    list_mutex.unlock();
    release_process_pools();
}

void stack_pool::state::unlock_all_in_child() noexcept {
    for (state* s = list; s; s = s->next_pool) s->mutex.unlock();
    list_mutex.unlock();
    release_process_pools_in_child();
}

stack stack_pool::state::allocate() {
    const std::lock_guard lock{mutex};
    if (idle_stack* const top = first) {
        first = top->next;
        --count;
        return top->memory;
    }
    return source.allocate();
}

void stack_pool::state::deallocate(const stack& s) noexcept {
    const std::lock_guard lock{mutex};
    if (count == retained) return source.deallocate(s);
    first = new (static_cast<std::byte*>(s.sp) - sizeof(idle_stack)) idle_stack{first, s};
    ++count;
}

void stack_pool::state::fill(magazine& m, std::size_t wanted) noexcept {
    const std::lock_guard lock{mutex};
    for (; wanted != 0 && first; --wanted) {
        m.push(first->memory);
        first = first->next;
        --count;
    }
}

void stack_pool::state::trim() noexcept {
    const std::lock_guard lock{mutex};
    while (first) {
        const stack memory = first->memory;
        first = first->next;
        source.deallocate(memory);
    }
    count = 0;
    source.trim();
}

void stack_pool::state::empty_magazine() noexcept {
    while (mine.count != 0) mine.of->pool.state_->deallocate(mine.pop());
}

void stack_pool::state::keep_only_of(process_pool& pool) noexcept {
    if (mine.of == &pool) return;
    empty_magazine();
    mine.of = &pool;
}

[[gnu::noinline]] stack stack_pool::state::allocate_beyond_magazine() {
    process_pool& now = default_process_pool();
    state& pool = *now.pool.state_;
    if (!open_cache<&empty_magazine>(mine.phase)) return pool.allocate();
    keep_only_of(now);
    if (mine.count == 0) pool.fill(mine, magazine::capacity / 2);
    return mine.count != 0 ? mine.pop() : pool.allocate();
}

[[gnu::noinline]] void stack_pool::state::deallocate_beyond_magazine(stack s) noexcept {
    process_pool& owner = owner_of(s.size);
    state& pool = *owner.pool.state_;
    if (&owner != default_pool.load(std::memory_order_relaxed) || !open_cache<&empty_magazine>(mine.phase))
        return pool.deallocate(s);
    keep_only_of(owner);
    while (mine.count > magazine::capacity / 2) pool.deallocate(mine.pop());
    mine.push(s);
}

// Nor inlined by the linker into a body, which may have switched: both ask for a thread_local address.
[[gnu::noinline]] stack default_stack_allocator::allocate() const {
    if (mine.count != 0 && mine.of == default_pool.load(std::memory_order_relaxed)) [[likely]]
        return mine.pop();
    return stack_pool::state::allocate_beyond_magazine();
}

[[gnu::noinline]] void default_stack_allocator::deallocate(stack s) const noexcept {
    if (mine.phase == cache_phase::in_use && mine.count != magazine::capacity && mine.of && mine.of->owns(s.size))
        [[likely]]
        mine.push(s);
    else
        stack_pool::state::deallocate_beyond_magazine(s);
}

void watch_forks() {
    static const bool registered = [] { // or tried again by the next one
        errno = ::pthread_atfork(&stack_pool::state::lock_all, &stack_pool::state::unlock_all,
                                 &stack_pool::state::unlock_all_in_child);
        if (errno != 0) detail::throw_or_die(stack_exhausted(sizeof(stack_pool::state)));
        return true;
    }();
    static_cast<void>(registered);
}

stack_pool::stack_pool(std::size_t size, std::size_t retained) : state_{new state{size, retained}} {}

stack_pool::~stack_pool() {
    delete state_;
}

stack stack_pool::allocate() {
    return state_->allocate();
}

void stack_pool::deallocate(const stack& s) noexcept {
    state_->deallocate(s);
}

void stack_pool::trim() noexcept {
    if (is_process_wide(*this)) {
        if (const stack_keeper* const keeper = keeper_of_stacks.load(std::memory_order_relaxed)) keeper->give_back();
        state::empty_magazine();
    }
    state_->trim();
}

std::size_t stack_pool::idle() const noexcept {
    std::size_t of_this_thread = mine.of && this == &mine.of->pool ? mine.count : 0;
    const process_pool* const now = default_pool.load(std::memory_order_acquire);
    if (now && this == &now->pool)
        if (const stack_keeper* const keeper = keeper_of_stacks.load(std::memory_order_relaxed))
            of_this_thread += keeper->kept();
    const std::lock_guard lock{state_->mutex};
    return state_->count + of_this_thread;
}

} // namespace weft
