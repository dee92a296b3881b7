// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// QEMU's user mode emulation plays larger pages than the machine has (qemu-aarch64 -p, 7.2), but its mincore() writes a
// byte for each page of the machine, beyond the end of what a program has room for, and takes closed pages for no memory.
// This one, found before that of the C library, asks whether that is so and puts the bytes together.

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

// How many bytes the system writes for a page.
std::size_t bytes_of_a_page(std::size_t page) noexcept {
    void* const memory = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    std::array<unsigned char, 64> bytes;
    bytes.fill(0xff);
    ::syscall(SYS_mincore, memory, page, bytes.data());
    ::munmap(memory, page);
    return static_cast<std::size_t>(std::find(bytes.begin(), bytes.end(), 0xff) - bytes.begin());
}

} // namespace

extern "C" int mincore(void* address, std::size_t size, unsigned char* answers) noexcept {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    static const std::size_t each = std::max<std::size_t>(bytes_of_a_page(page), 1);
    for (std::size_t n = 0; n * page < size; ++n) {
        std::array<unsigned char, 64> bytes{};
        if (::syscall(SYS_mincore, static_cast<std::byte*>(address) + n * page, page, bytes.data()) != 0 &&
            !(each > 1 && errno == ENOMEM))
            return -1;
        answers[n] = std::any_of(bytes.begin(), bytes.begin() + each, [](unsigned char byte) { return (byte & 1) != 0; });
    }
    return 0;
}
