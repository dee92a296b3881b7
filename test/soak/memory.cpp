// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "memory.hpp"

#include "account.hpp"
#include "faults.hpp"

#include <weft/detail/base/config.hpp>
#include <weft/stack.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>

#include <pthread.h>
#include <unistd.h>
#if defined(__GLIBC__)
#    include <malloc.h>
#endif
#if WEFT_TEST_EMULATED
#    include <sys/mman.h>
#endif

namespace soak {
namespace {

constexpr std::size_t mebibyte = 1024 * 1024;

// Sanitizers keep what was freed, and shadows of it.
#if WEFT_ASAN || WEFT_TSAN
constexpr bool judges_resident = false;
#else
constexpr bool judges_resident = true;
#endif

struct sizes {
    std::size_t resident = 0, mapped = 0; // bytes
};

// By how much malloc's heap has grown since the first call. That is not counted as mapped: it gives back pages, but
// address space only from its upper end. What is lost there is found by the blocks.
std::size_t heap_growth() noexcept {
    const auto end = reinterpret_cast<std::uintptr_t>(::sbrk(0));
    static const auto first_end = end;
    return end - first_end;
}

#if WEFT_TEST_EMULATED
// The memory of the process is that of the emulator, too, which has books and translations of its own that grow. What
// it shows of the mappings is the program's: their pages are counted.
sizes measure() noexcept {
    std::FILE* const file = std::fopen("/proc/self/maps", "r");
    if (!file) return {};
    sizes found;
    char line[512];
    while (std::fgets(line, sizeof line, file)) {
        unsigned long begin = 0, end = 0;
        char access[8] = "";
        if (std::sscanf(line, "%lx-%lx %7s", &begin, &end, access) != 3) continue;
        found.mapped += end - begin;
        if (access[1] != 'w') continue;
        unsigned char there[256];
        const std::size_t step = sizeof there * weft::page_size();
        for (; begin < end; begin += step) {
            const std::size_t length = std::min<std::size_t>(step, end - begin);
            if (::mincore(reinterpret_cast<void*>(begin), length, there) != 0) continue; // unmapped meanwhile
            const auto pages =
                std::count_if(there, there + length / weft::page_size(), [](unsigned char c) { return c & 1; });
            found.resident += static_cast<std::size_t>(pages) * weft::page_size();
        }
    }
    std::fclose(file);
    found.mapped -= heap_growth();
    return found;
}
constexpr unsigned samples_skipped = 50; // it takes long
constexpr std::size_t more_mapped = 32 * mebibyte; // there is little room for the heap to grow: malloc maps more
#else
sizes measure() noexcept {
    unsigned long pages = 0, resident = 0;
    if (std::FILE* const file = std::fopen("/proc/self/statm", "r")) {
        if (std::fscanf(file, "%lu %lu", &pages, &resident) != 2) pages = resident = 0;
        std::fclose(file);
    }
    return {resident * weft::page_size(), pages * weft::page_size() - heap_growth()};
}
constexpr unsigned samples_skipped = 0;
constexpr std::size_t more_mapped = 16 * mebibyte;
#endif

// What is made once and late: the room in which pools and queues keep their books.
constexpr std::size_t more_blocks = 32;

} // namespace

memory_watch::memory_watch(unsigned threads) noexcept {
    std::size_t stack = 0;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_getstacksize(&attributes, &stack);
    pthread_attr_destroy(&attributes);
    most_mapped_ = measure().mapped + threads * (stack + mebibyte) + more_mapped;
}

void memory_watch::sample() noexcept {
    if (samples_++ % (samples_skipped + 1) == 0) most_ = std::max(most_, measure().resident);
}

void memory_watch::checkpoint(bool counts) {
#if defined(__GLIBC__)
    ::malloc_trim(0);
#endif
    const sizes found = measure();
    last_ = {found.resident, found.mapped, live_blocks()};
    if (counts && !counting_) {
        first_ = last_;
        counting_ = true;
    }
}

void memory_watch::judge(std::size_t budget_megabytes) const {
    if (last_.blocks > first_.blocks + more_blocks)
        fail("blocks from operator new are lost: %zu at the first checkpoint, %zu at the last one", first_.blocks,
             last_.blocks);
    if (!judges_resident) return;
    if (last_.resident > first_.resident + first_.resident / 10 + 4 * mebibyte)
        fail("memory grows: %zu KiB resident at the first checkpoint, %zu KiB at the last one", first_.resident / 1024,
             last_.resident / 1024);
    // Stacks lie side by side in large mappings: one that is lost keeps all of its mapping.
    if (last_.mapped > most_mapped_)
        fail("stacks are lost: %zu KiB mapped at the last checkpoint, at most %zu KiB were to be", last_.mapped / 1024,
             most_mapped_ / 1024);
    if (most_ > last_.resident + budget_megabytes * mebibyte)
        fail("more memory than its budget of %zu MiB was used: %zu KiB, of which %zu KiB when all had ended",
             budget_megabytes, most_ / 1024, last_.resident / 1024);
}

void memory_watch::print() const {
    std::printf("memory\n");
    std::printf("  %-34s %8zu %8zu\n", "blocks, first and last checkpoint", first_.blocks, last_.blocks);
    std::printf("  %-34s %8zu %8zu\n", "resident KiB, the same", first_.resident / 1024, last_.resident / 1024);
    std::printf("  %-34s %8zu %8zu\n", "mapped KiB, the same", first_.mapped / 1024, last_.mapped / 1024);
    std::printf("  %-34s %8zu\n", "resident KiB at most", most_ / 1024);
}

} // namespace soak
