// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "usage.h"

#include <weft/stack.hpp>

#include <algorithm>
#include <array>
#include <cstdint>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

// Which pages of a range have been touched? Linux answers in /proc/self/pagemap, one word a page, with one bit for
// pages in memory and one for those that were swapped out. mincore() knows only of the former: it serves where there is
// no such file, or where the file speaks of other addresses than this process (under an emulator).
namespace weft::detail {
namespace {

constexpr std::size_t pages_at_once = 128;

// mincore() fills bytes that systems declare as char or as unsigned char.
template <class Address, class Byte>
int call(int (*mincore)(Address, std::size_t, Byte*), void* address, std::size_t size, unsigned char* bytes) {
    return mincore(address, size, reinterpret_cast<Byte*>(bytes));
}

class page_map {
public:
    page_map() noexcept : file_{::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)} {}
    ~page_map() {
        if (file_ != -1) ::close(file_);
    }
    page_map(const page_map&) = delete;
    page_map& operator=(const page_map&) = delete;

    bool touched(std::uintptr_t first_page, std::size_t count, bool* answers) const noexcept {
        std::array<std::uint64_t, pages_at_once> words;
        const std::size_t bytes = count * sizeof words[0];
        if (::pread(file_, words.data(), bytes, static_cast<off_t>(first_page * sizeof words[0])) !=
            static_cast<ssize_t>(bytes))
            return false;
        constexpr std::uint64_t in_memory = std::uint64_t{1} << 63, swapped = std::uint64_t{1} << 62;
        std::transform(words.begin(), words.begin() + count, answers,
                       [](std::uint64_t word) { return (word & (in_memory | swapped)) != 0; });
        return true;
    }

private:
    int file_;
};

struct resident_pages {
    bool touched(std::uintptr_t first_page, std::size_t count, bool* answers) const noexcept {
        std::array<unsigned char, pages_at_once> bytes;
        void* const address = reinterpret_cast<void*>(first_page * page_size());
        if (call(&::mincore, address, count * page_size(), bytes.data()) != 0) return false;
        std::transform(bytes.begin(), bytes.begin() + count, answers,
                       [](unsigned char byte) { return (byte & 1) != 0; });
        return true;
    }
};

// The first touched page of `first` to `last`; 0 if `pages` does not say, or knows of none, though the last one is.
template <class Pages>
std::uintptr_t first_touched(const Pages& pages, std::uintptr_t first, std::uintptr_t last) noexcept {
    std::array<bool, pages_at_once> answers;
    while (first <= last) {
        const std::size_t count = std::min<std::size_t>(last - first + 1, pages_at_once);
        if (!pages.touched(first, count, answers.data())) return 0;
        const auto found = std::find(answers.begin(), answers.begin() + count, true);
        first += static_cast<std::size_t>(found - answers.begin());
        if (found != answers.begin() + count) return first;
    }
    return 0;
}

} // namespace

const std::byte* lowest_touched(const std::byte* lowest, const void* touched) noexcept {
    const std::uintptr_t first = reinterpret_cast<std::uintptr_t>(lowest) / page_size();
    const std::uintptr_t last = reinterpret_cast<std::uintptr_t>(touched) / page_size();
    std::uintptr_t page = first_touched(page_map{}, first, last);
    if (page == 0) page = first_touched(resident_pages{}, first, last);
    return page == 0 ? nullptr : std::max(reinterpret_cast<const std::byte*>(page * page_size()), lowest);
}

} // namespace weft::detail
