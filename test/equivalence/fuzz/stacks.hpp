// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "program.hpp"

#include <weft/stack.hpp>

#include <boost/context/fixedsize_stack.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>

#include <cstddef>

namespace fuzz {

/// The pool of stacks of this size. No template: a stack goes back to the pool it came from.
inline weft::stack_pool& pool_of(std::size_t size) {
    static weft::stack_pool small{64 * 1024}, middle{128 * 1024}, large{256 * 1024};
    return size == 64 * 1024 ? small : size == 128 * 1024 ? middle : large;
}

/// Calls `use` with the allocator that a program has chosen; its type is one of four.
template <class Use>
decltype(auto) with_allocator(stack_choice choice, Use use) {
    switch (choice.allocator) {
    case 0: return use(weft::guarded_stack{choice.size});
    case 1: return use(pool_of(choice.size).allocator());
    case 2: return use(boost::context::fixedsize_stack{choice.size});
    default: return use(boost::context::protected_fixedsize_stack{choice.size});
    }
}

/// A stack, with the allocator that takes it back.
class owned_stack {
public:
    owned_stack() = default;
    explicit owned_stack(stack_choice choice) : choice_{choice} {
        with_allocator(choice, [this](auto allocator) {
            const auto memory = allocator.allocate();
            top_ = memory.sp;
            size_ = memory.size;
        });
    }
    owned_stack(owned_stack&& other) noexcept { swap(other); }
    owned_stack& operator=(owned_stack&& other) noexcept {
        swap(other);
        return *this;
    }
    ~owned_stack() {
        if (!top_) return;
        with_allocator(choice_, [this](auto allocator) {
            auto memory = decltype(allocator.allocate()){};
            memory.sp = top_;
            memory.size = size_;
            allocator.deallocate(memory);
        });
    }

    void* top() const { return top_; }
    std::size_t size() const { return size_; }

private:
    void swap(owned_stack& other) noexcept {
        std::swap(choice_, other.choice_);
        std::swap(top_, other.top_);
        std::swap(size_, other.size_);
    }

    stack_choice choice_{};
    void* top_ = nullptr;
    std::size_t size_ = 0;
};

} // namespace fuzz
