// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "guard.h"

#include <weft/detail/throw_or_die.hpp>
#include <weft/stack.hpp>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <string>

#include <sys/mman.h>
#include <unistd.h>

#if defined(__linux__)
#    include <fcntl.h>
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

// -1 if there is no such file. Neither the heap nor a cancellation point (pthread_cancel): this is for who is about to
// say that memory is used up.
long read_limit([[maybe_unused]] const char* file) noexcept {
#if defined(__linux__)
    const long descriptor = ::syscall(SYS_openat, AT_FDCWD, file, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return -1;
    char digits[24] = "";
    const long size = ::syscall(SYS_read, descriptor, digits, sizeof digits - 1);
    ::syscall(SYS_close, descriptor);
    return size > 0 ? std::strtol(digits, nullptr, 10) : -1;
#else
    return -1;
#endif
}

// Null, with errno set, if there is none; `place` null: anywhere.
void* map_at(void* place, std::size_t bytes) noexcept {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    if (place) flags |= MAP_FIXED;
#if defined(MAP_NORESERVE)
    flags |= MAP_NORESERVE; // pages are taken when they are touched, not when they are promised
#endif
#if defined(MAP_STACK)
    flags |= MAP_STACK;
#endif
    void* const lowest = ::mmap(place, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (lowest == MAP_FAILED) return nullptr;
#if defined(MADV_NOHUGEPAGE)
    ::madvise(lowest, bytes, MADV_NOHUGEPAGE); // a huge page for the first frame of one fiber would be 512 pages
#endif
    return lowest;
}

} // namespace

void* map(std::size_t bytes) noexcept {
    return map_at(nullptr, bytes);
}

void unmap(void* lowest, std::size_t bytes) noexcept {
    ::munmap(lowest, bytes);
}

bool install_guard(void* lowest) noexcept {
    if (guards() == guard_method::install && ::madvise(lowest, page_size(), guard_install) == 0) return true;
    return ::mprotect(lowest, page_size(), PROT_NONE) == 0;
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
    return ::madvise(lowest, bytes, guard_remove) == 0 || map_at(lowest, bytes);
}

stack_exhausted::stack_exhausted(std::size_t bytes) noexcept {
    const int error = errno;
    char begin[80];
    std::snprintf(begin, sizeof begin, "weft: no stack of %zu bytes can be mapped (errno %d)", bytes, error);
    if (error == EAGAIN) {
        std::snprintf(sentence_, sizeof sentence_,
                      "%s: this process locks what it maps (mlockall) and may lock no more; destroy fibers, use smaller "
                      "stacks or raise the limit (ulimit -l)",
                      begin);
    } else if (error == EPERM || error == EACCES || error == ENOSYS) {
        std::snprintf(sentence_, sizeof sentence_,
                      "%s: the system forbids it; allow this process mmap, and mprotect or madvise for the guard page",
                      begin);
    } else {
        const long maps = read_limit("/proc/sys/vm/max_map_count");
        char limit[64] = "";
        if (maps > 0) std::snprintf(limit, sizeof limit, " (vm.max_map_count is %ld)", maps);
        std::snprintf(sentence_, sizeof sentence_,
                      "%s: the memory, the address space (ulimit -v) or the number of mappings%s of this process is used "
                      "up; destroy fibers, use smaller stacks or raise the limit",
                      begin, limit);
    }
}

const char* stack_exhausted::what() const noexcept {
    return sentence_;
}

std::size_t page_size() noexcept {
    static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return size;
}

guard_method guards() noexcept {
    answer installs = probed.load(std::memory_order_relaxed);
    if (installs == answer::none) {
        installs = probe();
        probed.store(installs, std::memory_order_relaxed);
    }
    return installs == answer::yes ? guard_method::install : guard_method::protect;
}

std::size_t whole_pages(std::size_t size) {
    const std::size_t page = page_size();
    if (size < minimum_stack_size)
        detail::throw_or_die(std::invalid_argument("weft: a stack of " + std::to_string(size) +
                                                   " bytes is too small for a frame; ask for " +
                                                   std::to_string(minimum_stack_size) + " bytes or more"));
    if (size > static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max()) - 2 * page)
        detail::throw_or_die(std::invalid_argument("weft: a stack of " + std::to_string(size) +
                                                   " bytes is larger than any address space"));
    return (size + page - 1) / page * page;
}

guarded_stack::guarded_stack(std::size_t size) : size_{whole_pages(size)} {}

stack guarded_stack::allocate() const {
    const std::size_t mapped = size_ + page_size();
    void* const lowest = map(mapped);
    if (!lowest) detail::throw_or_die(stack_exhausted(mapped));
    if (!install_guard(lowest)) {
        const int error = errno;
        unmap(lowest, mapped);
        errno = error;
        detail::throw_or_die(stack_exhausted(mapped));
    }
    return {size_, static_cast<std::byte*>(lowest) + mapped};
}

void guarded_stack::deallocate(const stack& s) const noexcept {
    const std::size_t mapped = s.size + page_size();
    unmap(static_cast<std::byte*>(s.sp) - mapped, mapped);
}

} // namespace weft
