// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <cstddef>
#include <new>

namespace bench {

/// Would reading the byte at `address` be a fault?
bool faults(const void* address);

/// Gives only stacks that have a guard: where making one fails, libraries differ in whether they say so.
/// `GuardAt` is a byte of the guard, counted from the lowest one of the stack.
template <class Stacks, std::ptrdiff_t GuardAt>
class only_guarded {
public:
    auto allocate() {
        auto s = stacks_.allocate();
        if (!faults(static_cast<std::byte*>(s.sp) - s.size + GuardAt)) {
            stacks_.deallocate(s);
            throw std::bad_alloc();
        }
        return s;
    }
    template <class Stack>
    void deallocate(Stack& s) {
        stacks_.deallocate(s);
    }

private:
    Stacks stacks_;
};

} // namespace bench
