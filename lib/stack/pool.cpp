// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <weft/stack.hpp>

#include <mutex>
#include <new>

namespace weft {
namespace {

// An idle stack keeps the list it is in at its own top, in the page that its last fiber has touched anyway.
struct idle_stack {
    idle_stack* next;
    stack memory;
};

} // namespace

struct stack_pool::state {
    guarded_stack source;
    std::size_t retained;
    mutable std::mutex mutex;
    idle_stack* first = nullptr; // last in, first out: the one whose memory is most likely still in the cache
    std::size_t count = 0;
};

stack_pool::stack_pool(std::size_t size, std::size_t retained) : state_{new state{guarded_stack{size}, retained, {}}} {}

stack_pool::~stack_pool() {
    trim();
    delete state_;
}

stack stack_pool::allocate() {
    {
        const std::lock_guard lock{state_->mutex};
        if (idle_stack* const top = state_->first) {
            state_->first = top->next;
            --state_->count;
            return top->memory;
        }
    }
    return state_->source.allocate();
}

void stack_pool::deallocate(const stack& s) noexcept {
    {
        const std::lock_guard lock{state_->mutex};
        if (state_->count < state_->retained) {
            state_->first = new (static_cast<std::byte*>(s.sp) - sizeof(idle_stack)) idle_stack{state_->first, s};
            ++state_->count;
            return;
        }
    }
    state_->source.deallocate(s);
}

void stack_pool::trim() noexcept {
    idle_stack* list;
    {
        const std::lock_guard lock{state_->mutex};
        list = state_->first;
        state_->first = nullptr;
        state_->count = 0;
    }
    while (list) {
        const stack memory = list->memory;
        list = list->next;
        state_->source.deallocate(memory);
    }
}

std::size_t stack_pool::idle() const noexcept {
    const std::lock_guard lock{state_->mutex};
    return state_->count;
}

stack_pool& stack_pool::process() {
    // Never destroyed: fibers in static storage may give their stacks back after every destructor of this file has run.
    static stack_pool& pool = *new stack_pool;
    return pool;
}

} // namespace weft
