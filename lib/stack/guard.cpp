// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "guard.h"

#include "map.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>

#include <sys/mman.h>
#include <unistd.h>

#if defined(__linux__)
#    include <linux/futex.h>
#    include <sys/syscall.h>
#endif

namespace weft {
namespace {

// Of Linux; older headers do not know them.
constexpr int guard_install = 102;  // MADV_GUARD_INSTALL, 6.13
constexpr int guard_remove = 103;   // MADV_GUARD_REMOVE
constexpr int dontneed_locked = 24; // MADV_DONTNEED_LOCKED, 5.18

enum class answer { none, no, yes };

#if defined(__linux__)
// Does touching `page`, which is empty, fault? Asked of the kernel, which answers EFAULT where the process itself would
// get SIGSEGV: by a call that takes no descriptor, and that every program with a mutex may make. It asks to sleep while
// the page says 1.
answer faults(const void* page) noexcept {
    if (::syscall(SYS_futex, page, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 1, nullptr, nullptr, 0) == 0) return answer::none;
    return errno == EFAULT ? answer::yes : errno == EAGAIN ? answer::no : answer::none;
}

// Are MADV_GUARD_INSTALL's guards to be had? Some kernels refuse it, some emulators answer 0 and do nothing: only a
// guard that faults counts. No answer where there is no page to try it on, or the question is forbidden. Locked memory
// takes no such guards; in a process that locks whatever it maps (mlockall) this page is unlocked first, as the answer
// is to hold for what is not locked.
answer probe() noexcept {
    const std::size_t page = page_size();
    void* const memory = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return answer::none;
    const bool unlocked = ::munlock(memory, page) == 0;
    answer works = unlocked ? answer::no : answer::none;
    if (::madvise(memory, page, guard_install) == 0) works = faults(memory);
    ::munmap(memory, page);
    return works;
}
#else
answer probe() noexcept {
    return answer::no;
}
#endif

constinit std::atomic<answer> probed{answer::none};

} // namespace

guard_method guards() noexcept {
    answer installs = probed.load(std::memory_order_relaxed);
    if (installs == answer::none) {
        installs = probe();
        probed.store(installs, std::memory_order_relaxed);
    }
    return installs == answer::yes ? guard_method::install : guard_method::protect;
}

namespace detail {

std::size_t guard_size() noexcept {
#if defined(__aarch64__)
    return std::max(page_size(), std::size_t{64} * 1024);
#else
    return page_size();
#endif
}

bool install_guard(void* lowest) noexcept {
    if (guards() == guard_method::install && ::madvise(lowest, guard_size(), guard_install) == 0) return true;
    return ::mprotect(lowest, guard_size(), PROT_NONE) == 0;
}

guard_method close(void* lowest, std::size_t bytes) noexcept {
    if (guards() == guard_method::install) {
        if (::madvise(lowest, bytes, guard_install) == 0) return guard_method::install; // drops the pages, too
        ::madvise(lowest, bytes, guard_remove); // it may have come as far as the first page that is locked
    }
    if (::madvise(lowest, bytes, MADV_DONTNEED) != 0) ::madvise(lowest, bytes, dontneed_locked);
    ::mprotect(lowest, bytes, PROT_NONE); // without a mapping to spare it stays open, and empty
    return guard_method::protect;
}

bool open(void* lowest, std::size_t bytes, guard_method closed) noexcept {
    if (closed == guard_method::protect) return ::mprotect(lowest, bytes, PROT_READ | PROT_WRITE) == 0;
    return ::madvise(lowest, bytes, guard_remove) == 0 || map_over(lowest, bytes);
}

} // namespace detail

} // namespace weft
