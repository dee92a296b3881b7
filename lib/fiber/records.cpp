// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "records.h"

#include "../stack/guard.h"
#include "debugger.h"
#include "leak_roots.h"

#include <weft/detail/throw_or_die.hpp>
#include <weft/stack.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <mutex>
#include <new>

#include <pthread.h>

namespace weft::detail {

constinit thread_local thread_cache<void> free_records{};

namespace {

struct free_record_link {
    free_record_link* next;
};

// Its own beginning, where else its first record would be. Slabs lie at multiples of their size.
struct slab {
    static constexpr std::size_t size = std::size_t{256} * 1024;
    static constexpr std::size_t records = size / sizeof(fiber_record) - 1;

    slab* next; // the list that it is in, and who refers to it there
    slab** link;
    std::size_t begun;  // records that have ever been handed out: these are the first ones
    std::size_t in_use; // those in a thread's cache, too
    free_record_link* free; // of the begun ones

    static slab& of(void* record) noexcept {
        return *reinterpret_cast<slab*>(reinterpret_cast<std::uintptr_t>(record) & ~(std::uintptr_t{size} - 1));
    }
    bool full() const noexcept { return in_use == records; }

    void* take() noexcept {
        ++in_use;
        if (free_record_link* const first = free) {
            free = first->next;
            return first;
        }
        return reinterpret_cast<std::byte*>(this) + sizeof(fiber_record) * ++begun;
    }
    void give_back(void* record) noexcept {
        --in_use;
        free = new (record) free_record_link{free};
    }

    void enter(slab*& list) noexcept {
        next = list;
        if (next) next->link = &next;
        link = &list;
        list = this;
    }
    void leave() noexcept {
        *link = next;
        if (next) next->link = link;
    }
};
static_assert(sizeof(slab) <= sizeof(fiber_record));

// The slabs of the process. Not destroyed: fibers in static storage may end after every destructor of this file has
// run.
constinit std::mutex mutex;
constinit slab* with_room = nullptr;
constinit slab* full = nullptr;

// A mapping of its own: blocks of this size and alignment, now taken and now given back, would leave holes in a heap.
slab* new_slab() {
    // No other thread holds the mutex when the process forks: the child could never take it.
    static const bool registered = [] { // or tried again by the next one
        errno = ::pthread_atfork([] { mutex.lock(); }, [] { mutex.unlock(); }, [] { mutex.unlock(); });
        if (errno != 0) throw_or_die(stack_exhausted(slab::size));
        return true;
    }();
    static_cast<void>(registered);
    auto* const lowest = static_cast<std::byte*>(map(2 * slab::size));
    if (!lowest) throw_or_die(stack_exhausted(2 * slab::size));
    const std::size_t before = -reinterpret_cast<std::uintptr_t>(lowest) & (slab::size - 1); // what is not aligned
    if (before != 0) unmap(lowest, before);
    unmap(lowest + before + slab::size, slab::size - before);
    add_leak_root(lowest + before, slab::size);
    return new (lowest + before) slab{};
}

// Between `first` and `last` there is room for what is taken, in the order in which the cache hands it out: neighbours
// one after the other. Returns where it begins. One slab is asked, so it may be fewer.
void** take(void** first, void** last) {
    std::unique_lock lock{mutex};
    if (!with_room) { // system calls are not for those who hold a mutex
        lock.unlock();
        slab* const fresh = new_slab();
        lock.lock();
        fresh->enter(with_room);
    }
    slab& s = *with_room;
    while (last != first && !s.full()) *--last = s.take();
    if (s.full()) {
        s.leave();
        s.enter(full);
    }
    return last;
}

// One slab with room is kept.
void give_back(void* record) noexcept {
    slab* superfluous = nullptr;
    {
        const std::lock_guard lock{mutex};
        slab& s = slab::of(record);
        if (s.full()) {
            s.leave();
            s.enter(with_room);
        }
        s.give_back(record);
        if (s.in_use == 0 && (s.next || with_room != &s)) {
            s.leave();
            superfluous = &s;
        }
    }
    if (!superfluous) return;
    remove_leak_root(superfluous, slab::size);
    unmap(superfluous, slab::size);
}

void give_back_all() noexcept {
    while (free_records.count != 0) give_back(free_records.pop());
}

} // namespace

void* allocate_record_from_slab() {
    thread_cache<void>& mine = free_records;
    void** const begin = mine.kept.data();
    void** const end = begin + (open_cache<&give_back_all>(mine.phase) ? mine.capacity / 2 : 1);
    void** const taken = take(begin, end);
    mine.count = static_cast<std::size_t>(std::move(taken, end, begin) - begin);
    return mine.pop();
}

[[gnu::noinline]] void free_record(fiber_record& record) noexcept {
    record.details = nullptr; // debuggers know by it that no fiber is there
    thread_cache<void>& mine = free_records;
    if (mine.phase != cache_phase::in_use || mine.count == mine.capacity) [[unlikely]] {
        if (!open_cache<&give_back_all>(mine.phase)) return give_back(&record);
        while (mine.count > mine.capacity / 2) give_back(mine.pop());
    }
    mine.push(&record);
}

} // namespace weft::detail

extern "C" WEFT_FOR_DEBUGGERS constinit const weft::detail::debugger_records weft_debugger_records{
    .with_room = &weft::detail::with_room,
    .full = &weft::detail::full,
    .none = &weft::detail::no_fiber,
    .next = offsetof(weft::detail::slab, next),
    .begun = offsetof(weft::detail::slab, begun),
    .record_size = sizeof(weft::detail::fiber_record),
};
