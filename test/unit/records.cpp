// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Where the records of fibers lie: side by side in slabs, which are mapped and unmapped as a whole.

#include "../../lib/debug/debugger.h"
#include "recorded_stacks.hpp"
#include "tracked.hpp"

#include <weft/fiber.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <latch>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__linux__) && defined(__LP64__) && !WEFT_ASAN && !WEFT_MSAN && !WEFT_TSAN
#    define FAILING_MAPPINGS 1
namespace {
std::atomic<bool> no_slabs{false};
std::atomic<long> slabs_mapped{0}, mapped{0}; // how many; bytes
}

// In the place of the C library's. Twice the size of a slab is mapped, so that one lies in it at a multiple of its
// size.
extern "C" void* mmap(void* place, std::size_t size, int access, int flags, int file, off_t offset) noexcept {
    const bool is_slab = size == std::size_t{512} * 1024;
    if (no_slabs && is_slab) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    const long result = ::syscall(SYS_mmap, place, size, access, flags, file, offset);
    if (result == -1) return MAP_FAILED;
    slabs_mapped += is_slab;
    mapped += static_cast<long>(size);
    return reinterpret_cast<void*>(result);
}
extern "C" int munmap(void* place, std::size_t size) noexcept {
    mapped -= static_cast<long>(size);
    return static_cast<int>(::syscall(SYS_munmap, place, size));
}
#else
#    define FAILING_MAPPINGS 0
#endif

namespace {

using weft::fiber;
using weft_test::tracked;

constexpr std::size_t in_a_slab = 4095;

const void* record_of(const fiber& f) noexcept {
    return &weft::detail::fiber_access::record(f);
}

// As a debugger counts them. No other thread may make or end fibers meanwhile.
int slabs() noexcept {
    int count = 0;
    for (const void* const list : {weft_debugger_records.with_room, weft_debugger_records.full})
        for (auto* slab = *static_cast<const std::byte* const*>(list); slab; ++count)
            std::memcpy(&slab, slab + weft_debugger_records.next, sizeof slab);
    return count;
}
auto page_of(const void* address) noexcept {
    return reinterpret_cast<std::uintptr_t>(address) / 4096;
}

// On stacks that cost as little as possible.
std::vector<fiber> some_fibers(std::size_t count) {
    static weft::stack_pool pool{weft::minimum_stack_size};
    std::vector<fiber> all;
    all.reserve(count);
    while (all.size() < count) all.emplace_back(std::allocator_arg, pool.allocator(), [] {});
    return all;
}

BOOST_AUTO_TEST_SUITE(records)

#if FAILING_MAPPINGS
// The first case of the program: when a thread has ended, no record is in use.
BOOST_AUTO_TEST_CASE(one_slab_is_kept) {
    for (int n = 0; n < 20; ++n) std::thread([] { static_cast<void>(some_fibers(3)); }).join();
    BOOST_TEST(slabs_mapped == 1);
}
#endif

// Few of these records have been in use before.
BOOST_AUTO_TEST_CASE(neighbours_are_made_one_after_the_other) {
    const std::vector<fiber> fibers = some_fibers(1000);
    int neighbours = 0;
    for (std::size_t n = 1; n < fibers.size(); ++n)
        neighbours += static_cast<const std::byte*>(record_of(fibers[n])) -
                          static_cast<const std::byte*>(record_of(fibers[n - 1])) ==
                      sizeof(weft::detail::fiber_record);
    BOOST_TEST(neighbours >= 980);
}

// 64 of them on a page. In between some lie that the thread has had before.
BOOST_AUTO_TEST_CASE(those_of_many_fibers_take_few_pages) {
    const std::vector<fiber> fibers = some_fibers(1280);
    std::set<std::uintptr_t> pages;
    std::set<const void*> different;
    for (const fiber& f : fibers) {
        pages.insert(page_of(record_of(f)));
        different.insert(record_of(f));
        BOOST_TEST(reinterpret_cast<std::uintptr_t>(record_of(f)) % 64 == 0);
    }
    BOOST_TEST(different.size() == fibers.size());
    BOOST_TEST(pages.size() <= sizeof(weft::detail::fiber_record) * 1280 / 4096 + 8);
}

BOOST_AUTO_TEST_CASE(slabs_go_back_when_none_of_their_records_is_in_use) {
    {
        const std::vector<fiber> fibers = some_fibers(5 * in_a_slab);
        BOOST_TEST(slabs() >= 5);
        BOOST_TEST(slabs() <= 7);
    }
    BOOST_TEST(slabs() <= 2); // one with room is kept, and this thread has some records
#if FAILING_MAPPINGS
    const long before = mapped;
    for (int n = 0; n < 4; ++n) static_cast<void>(some_fibers(5 * in_a_slab));
    BOOST_TEST(mapped <= before + 512 * 1024);
#endif
}

// Each time as many are destroyed and made again, some in the middle.
BOOST_AUTO_TEST_CASE(records_are_used_again) {
    std::vector<fiber> fibers = some_fibers(4 * in_a_slab + 100);
    const int before = slabs(); // in all of them together less is free than a third of these fibers want
    for (int round = 0; round < 10; ++round) {
        for (std::size_t n = 0; n < fibers.size(); n += 3) fibers[n] = {};
        for (std::size_t n = 0; n < fibers.size(); n += 3) fibers[n] = std::move(some_fibers(1)[0]);
        for (fiber& f : fibers) BOOST_REQUIRE(!f.done());
    }
    BOOST_TEST(slabs() == before);
    for (fiber& f : fibers) f.resume();
    for (fiber& f : fibers) BOOST_REQUIRE(f.done());
}

#if FAILING_MAPPINGS
BOOST_AUTO_TEST_CASE(a_fiber_without_memory_for_its_record_is_not_made) {
    weft_test::recorded_stacks stacks{16 * 1024};
    const int before = tracked::alive();
    std::vector<fiber> fibers;
    fibers.reserve(3 * in_a_slab);
    no_slabs = true;
    bool refused = false;
    try {
        while (fibers.size() < fibers.capacity())
            fibers.emplace_back(std::allocator_arg, stacks.get(), [t = tracked{}] { static_cast<void>(t); });
    } catch (const weft::stack_exhausted&) {
        refused = true;
    }
    no_slabs = false;
    BOOST_TEST(refused);
    BOOST_TEST(stacks.out() == fibers.size());
    BOOST_TEST(tracked::alive() == before + static_cast<int>(fibers.size()));

    fibers.emplace_back(std::allocator_arg, stacks.get(), [t = tracked{}] { static_cast<void>(t); });
    fibers.back().resume();
    fibers.clear();
    BOOST_TEST(stacks.out() == 0u);
    BOOST_TEST(stacks.sound());
    BOOST_TEST(tracked::alive() == before);
}
#endif

// One thread at a time: what it kept for itself the next one gets.
BOOST_AUTO_TEST_CASE(a_thread_that_ends_leaves_nothing_behind) {
    std::set<const void*> seen;
    for (int n = 0; n < 100; ++n)
        std::thread([&] {
            const std::vector<fiber> some = some_fibers(3);
            for (const fiber& f : some) seen.insert(record_of(f));
        }).join();
    BOOST_TEST(seen.size() <= 32u);
}

// Made before the thread has records of its own, so destroyed after they were given back.
struct last_of_all {
    std::vector<fiber> fibers;
};
BOOST_AUTO_TEST_CASE(nor_do_fibers_that_end_after_the_thread_gave_its_records_back) {
    std::set<const void*> seen;
    for (int n = 0; n < 50; ++n)
        std::thread([&] {
            static thread_local last_of_all mine;
            mine.fibers = some_fibers(40);
            for (const fiber& f : mine.fibers) seen.insert(record_of(f));
        }).join();
    BOOST_TEST(seen.size() <= 100u);
}

// A few threads make them, others end them.
BOOST_AUTO_TEST_CASE(they_may_come_back_on_another_thread) {
    constexpr int rounds = 8, threads = 3;
    constexpr std::size_t count = 1000;
    int most = 0;
    for (int round = 0; round < rounds; ++round) {
        std::vector<std::vector<fiber>> made(threads);
        std::latch all_are_made{threads};
        std::atomic<int> ran{0};
        std::vector<std::thread> workers;
        for (int t = 0; t < threads; ++t)
            workers.emplace_back([&, t] {
                made[static_cast<std::size_t>(t)] = some_fibers(count);
                all_are_made.arrive_and_wait();
                for (fiber& f : made[static_cast<std::size_t>(t + 1) % threads]) {
                    f.resume();
                    ran += f.done();
                    f = {};
                }
            });
        for (std::thread& w : workers) w.join();
        BOOST_TEST(ran == threads * static_cast<int>(count));
        most = std::max(most, slabs());
    }
    BOOST_TEST(most <= 3);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace
