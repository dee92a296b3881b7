// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

namespace bench {

/// A stack for a switch that knows no owner. It keeps its own description, in its topmost bytes.
template <class Stacks>
class owned_stack {
public:
    explicit owned_stack(Stacks stacks) {
        auto memory = stacks.allocate();
        record_ = new (reinterpret_cast<void*>((reinterpret_cast<std::uintptr_t>(memory.sp) - sizeof(record)) &
                                               ~std::uintptr_t{15})) record{stacks, memory};
    }
    ~owned_stack() {
        record copy = *record_;
        copy.stacks.deallocate(copy.memory);
    }
    owned_stack(const owned_stack&) = delete;
    owned_stack& operator=(const owned_stack&) = delete;

    void* top() const noexcept { return record_; }
    void* bottom() const noexcept { return static_cast<std::byte*>(record_->memory.sp) - record_->memory.size; }
    std::size_t size() const noexcept {
        return static_cast<std::size_t>(static_cast<std::byte*>(top()) - static_cast<std::byte*>(bottom()));
    }

private:
    struct record {
        Stacks stacks;
        decltype(stacks.allocate()) memory;
    };
    record* record_;
};

} // namespace bench
