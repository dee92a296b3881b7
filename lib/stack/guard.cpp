// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "guard.h"

#include <weft/detail/throw_or_die.hpp>
#include <weft/stack.hpp>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <stdexcept>
#include <string>

#include <sys/mman.h>
#include <unistd.h>

namespace weft {
namespace {

// Of Linux 6.13; older headers do not know them.
constexpr int guard_install = 102; // MADV_GUARD_INSTALL
constexpr int guard_remove = 103;  // MADV_GUARD_REMOVE

// Does touching `page` fault? Asked of the kernel, which answers EFAULT where the process itself would get SIGSEGV.
bool faults(const void* page) noexcept {
    int ends[2];
    if (::pipe(ends) != 0) return false;
    const bool refused = ::write(ends[1], page, 1) == -1 && errno == EFAULT;
    ::close(ends[0]);
    ::close(ends[1]);
    return refused;
}

// Some kernels refuse MADV_GUARD_INSTALL, some emulators answer 0 and do nothing: only a guard that faults counts.
guard_method probe() noexcept {
    const std::size_t page = page_size();
    void* const memory = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return guard_method::protect;
    const bool works = ::madvise(memory, page, guard_install) == 0 && faults(memory);
    ::munmap(memory, page);
    return works ? guard_method::install : guard_method::protect;
}

long read_limit(const char* file) noexcept {
    long value = -1;
    if (std::FILE* f = std::fopen(file, "r")) {
        if (std::fscanf(f, "%ld", &value) != 1) value = -1;
        std::fclose(f);
    }
    return value;
}

} // namespace

void* map(std::size_t bytes) noexcept {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
#if defined(MAP_NORESERVE)
    flags |= MAP_NORESERVE; // pages are taken when they are touched, not when they are promised
#endif
#if defined(MAP_STACK)
    flags |= MAP_STACK;
#endif
    void* const lowest = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (lowest == MAP_FAILED) return nullptr;
#if defined(MADV_NOHUGEPAGE)
    ::madvise(lowest, bytes, MADV_NOHUGEPAGE); // a huge page for the first frame of one fiber would be 512 pages
#endif
    return lowest;
}

void unmap(void* lowest, std::size_t bytes) noexcept {
    ::munmap(lowest, bytes);
}

bool install_guard(void* lowest) noexcept {
    if (guards() == guard_method::install) return ::madvise(lowest, page_size(), guard_install) == 0;
    return ::mprotect(lowest, page_size(), PROT_NONE) == 0;
}

bool close(void* lowest, std::size_t bytes) noexcept {
    if (guards() == guard_method::install) return ::madvise(lowest, bytes, guard_install) == 0; // drops the pages, too
    return ::madvise(lowest, bytes, MADV_DONTNEED) == 0 && ::mprotect(lowest, bytes, PROT_NONE) == 0;
}

bool open(void* lowest, std::size_t bytes) noexcept {
    if (guards() == guard_method::install) return ::madvise(lowest, bytes, guard_remove) == 0;
    return ::mprotect(lowest, bytes, PROT_READ | PROT_WRITE) == 0;
}

stack_exhausted::stack_exhausted(std::size_t bytes) noexcept {
    const int error = errno;
    const long maps = read_limit("/proc/sys/vm/max_map_count");
    char limit[64] = "";
    if (maps > 0) std::snprintf(limit, sizeof limit, " (vm.max_map_count is %ld)", maps);
    std::snprintf(sentence_, sizeof sentence_,
                  "weft: no stack of %zu bytes can be mapped (errno %d): the memory, the address space (ulimit -v) or the "
                  "number of mappings%s of this process is used up; destroy fibers, use smaller stacks or raise the limit",
                  bytes, error, limit);
}

const char* stack_exhausted::what() const noexcept {
    return sentence_;
}

std::size_t page_size() noexcept {
    static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return size;
}

std::size_t default_stack_size() noexcept {
#if WEFT_ASAN
    constexpr std::size_t all = std::size_t{224} * 1024;
#else
    constexpr std::size_t all = std::size_t{112} * 1024;
#endif
    return page_size() < 65536 ? all - 2 * page_size() : std::size_t{128} * 1024;
}

guard_method guards() noexcept {
    static const guard_method method = probe();
    return method;
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
