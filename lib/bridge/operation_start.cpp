// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <weft/detail/operation_start.hpp>

#include <weft/detail/await_request.hpp>
#include <weft/detail/fiber_record.hpp>
#include <weft/detail/thread_state.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <thread>

namespace weft::detail {

/// One of a few parts of the table, locked, for a handful of instructions.
class start_table {
public:
    static constexpr std::size_t parts = 64;

    explicit start_table(std::size_t number) noexcept : part_(all_[number]) {
        while (part_.taken.test_and_set(std::memory_order_acquire)) std::this_thread::yield();
    }
    ~start_table() { part_.taken.clear(std::memory_order_release); }
    start_table(const start_table&) = delete;
    start_table& operator=(const start_table&) = delete;

    static std::size_t part_for(const operation_start& start) noexcept {
        const auto address = reinterpret_cast<std::uintptr_t>(&start);
        return (address >> 6 ^ address >> 14) % parts;
    }
    static std::size_t part_of(start_ticket ticket) noexcept { return ticket.number_ % parts; }

    void enter(operation_start& start, std::size_t number) noexcept {
        start.ticket_.number_ = ++part_.entered * parts + number;
        start.next_ = part_.first;
        part_.first = &start;
    }
    void leave(operation_start& start, operation_start::outcome outcome) noexcept {
        operation_start** link = &part_.first;
        while (*link != &start) link = &(*link)->next_;
        *link = start.next_;
        start.outcome_ = outcome;
        start.running_ = false;
    }
    operation_start* find(start_ticket ticket) const noexcept {
        operation_start* start = part_.first;
        while (start && start->ticket_.number_ != ticket.number_) start = start->next_;
        return start;
    }

    /// The operation of `ticket` is out of its owner's hands. Is its start an outer call of this one?
    bool end_inside(start_ticket ticket, operation_start::outcome outcome, std::uintptr_t frame) noexcept {
        operation_start* const start = find(ticket);
        if (!start) return false;
        const bool inside = is_outer_call(*start, frame);
        leave(*start, inside ? outcome : operation_start::outcome::elsewhere);
        return inside;
    }

private:
    // It has not returned, so it is one if it is on this very stack. What is not known to be on it, because it is far
    // away, counts as elsewhere: to go on inside of a start is always right, and only deepens the stack. (The distance
    // tells apart what other libraries' stacks run on this thread.)
    static bool is_outer_call(const operation_start& start, std::uintptr_t frame) noexcept {
        constexpr std::uintptr_t near = std::uintptr_t{64} * 1024;
        const thread_state& thread = this_thread();
        return start.thread_ == &thread && start.fiber_ == running_fiber(thread) && start.frame_ - frame < near;
    }

    struct alignas(64) contents {
        std::atomic_flag taken;
        operation_start* first = nullptr;
        std::uint64_t entered = 0;
    };
    static constinit std::array<contents, parts> all_;

    contents& part_;
};
constinit std::array<start_table::contents, start_table::parts> start_table::all_{};

void operation_start::enter() noexcept {
    const thread_state& thread = this_thread();
    thread_ = &thread;
    fiber_ = running_fiber(thread);
    const std::size_t part = start_table::part_for(*this);
    start_table(part).enter(*this, part);
}

operation_start::outcome operation_start::ended(std::exception_ptr* failure_of_pending) noexcept {
    start_table table(start_table::part_of(ticket_));
    if (running_) {
        if (failure_of_pending) *failure_of_pending = held_exception();
        table.leave(*this, outcome::pending);
    }
    return outcome_;
}

bool start_ticket::completed() const noexcept {
    return start_table(start_table::part_of(*this))
        .end_inside(*this, operation_start::outcome::completed, reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)));
}

bool start_ticket::completed_in_place() const noexcept {
    return start_table(start_table::part_of(*this))
        .end_inside(*this, operation_start::outcome::elsewhere, reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)));
}

bool start_ticket::dropped() const noexcept {
    return start_table(start_table::part_of(*this))
        .end_inside(*this, operation_start::outcome::dropped, reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)));
}

} // namespace weft::detail
