// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

/// A processor's stack of predicted returns: a ring of `size` addresses. A call pushes where it should return to, over
/// the oldest entry when the ring is full; a return pops what it is predicted to go to. Popping more than was pushed
/// goes round the ring and finds stale entries, as it does in a processor.
class return_stack {
public:
    explicit return_stack(std::size_t size) : entries_(size, 0) {}

    void call(std::uint64_t return_address) {
        top_ = (top_ + 1) % entries_.size();
        entries_[top_] = return_address;
    }

    std::uint64_t predicted_return() {
        const std::uint64_t address = entries_[top_];
        top_ = (top_ + entries_.size() - 1) % entries_.size();
        return address;
    }

private:
    std::vector<std::uint64_t> entries_;
    std::size_t top_ = 0;
};
