// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "records.h"

#include "../stack/map.h"
#include "leak_roots.h"

#include <weft/detail/base/throw_or_die.hpp>
#include <weft/stack.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <mutex>
#include <new>

#include <pthread.h>

namespace weft::detail {

constinit thread_local thread_cache<void> free_records{};

// The slabs of the process. Not destroyed: fibers in static storage may end after every destructor of this file has
// run.
constinit record_slab* slabs_with_room = nullptr;
constinit record_slab* full_slabs = nullptr;

namespace {

constinit std::mutex mutex;

// A mapping of its own: blocks of this size and alignment, now taken and now given back, would leave holes in a heap.
record_slab* new_slab() {
    // No other thread holds the mutex when the process forks: the child could never take it.
    static const bool registered = [] { // or tried again by the next one
        errno = ::pthread_atfork([] { mutex.lock(); }, [] { mutex.unlock(); }, [] { mutex.unlock(); });
        if (errno != 0) throw_or_die(stack_exhausted(record_slab::size));
        return true;
    }();
    static_cast<void>(registered);
    auto* const lowest = static_cast<std::byte*>(map(2 * record_slab::size));
    if (!lowest) throw_or_die(stack_exhausted(2 * record_slab::size));
    const std::size_t before = -reinterpret_cast<std::uintptr_t>(lowest) & (record_slab::size - 1); // what is not aligned
    if (before != 0) unmap(lowest, before);
    unmap(lowest + before + record_slab::size, record_slab::size - before);
    add_leak_root(lowest + before, record_slab::size);
    return new (lowest + before) record_slab{};
}

// Between `first` and `last` there is room for what is taken, in the order in which the cache hands it out: neighbours
// one after the other. Returns where it begins. One slab is asked, so it may be fewer.
void** take(void** first, void** last) {
    std::unique_lock lock{mutex};
    if (!slabs_with_room) { // system calls are not for those who hold a mutex
        lock.unlock();
        record_slab* const fresh = new_slab();
        lock.lock();
        fresh->enter(slabs_with_room);
    }
    record_slab& s = *slabs_with_room;
    while (last != first && !s.full()) *--last = s.take();
    if (s.full()) {
        s.leave();
        s.enter(full_slabs);
    }
    return last;
}

// One slab with room is kept.
void give_back(void* record) noexcept {
    record_slab* superfluous = nullptr;
    {
        const std::lock_guard lock{mutex};
        record_slab& s = record_slab::of(record);
        if (s.full()) {
            s.leave();
            s.enter(slabs_with_room);
        }
        s.give_back(record);
        if (s.in_use == 0 && (s.next || slabs_with_room != &s)) {
            s.leave();
            superfluous = &s;
        }
    }
    if (!superfluous) return;
    remove_leak_root(superfluous, record_slab::size);
    unmap(superfluous, record_slab::size);
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
