// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <cstddef>

namespace soak {

/// Follows the memory of the process: it must be as much whenever everything has ended.
class memory_watch {
public:
    /// Before any of the threads is there.
    explicit memory_watch(unsigned threads) noexcept;
    /// Anywhere.
    void sample() noexcept;
    /// When everything has ended and all idle stacks were given back. `counts`: no more than a warm-up before that.
    void checkpoint(bool counts);
    /// Compares the last checkpoint with the first one, and its address space with that of the beginning.
    void judge(std::size_t budget_megabytes) const;
    void print() const;

private:
    struct figures {
        std::size_t resident = 0; // bytes
        std::size_t mapped = 0;   // bytes of address space
        std::size_t blocks = 0;   // from operator new
    };

    figures first_, last_;
    std::size_t most_mapped_; // bytes that there may be in the end
    std::size_t most_ = 0;
    unsigned samples_ = 0;
    bool counting_ = false;
};

} // namespace soak
