// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <weft/stack.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>

#if defined(__linux__)
#    include <fcntl.h>
#    include <sys/syscall.h>
#    include <unistd.h>
#endif

namespace weft {
namespace {

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

} // namespace

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

} // namespace weft
