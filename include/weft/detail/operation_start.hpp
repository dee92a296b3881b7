// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/control_block.hpp>

#include <cstdint>
#include <exception>

// An operation that completes inside of the call that starts it goes on after that call, if that makes no difference: a
// loop of them must not nest. One that completes elsewhere goes on there and at once, whether that call has returned or
// not. The call is user code: it may suspend the flow that it runs in, and return on another thread, after
// others that were begun later; and when the operation completes elsewhere, either side may find the other one gone. So a
// running start is kept neither in the thread nor in the operation, but in a table of the process, under a number that no
// other start ever has.

namespace weft::detail {

struct thread_state;
class WEFT_API operation_start;

/// Names a start that may still be running. Whatever is to complete the operation has it.
class WEFT_API start_ticket {
public:
    /// The operation has completed. True: inside of its start, so that the starter goes on with the coroutine; false:
    /// the caller does.
    bool completed() const noexcept;
    /// The operation has completed, and the caller goes on with the coroutine. Is that inside of the start?
    bool completed_in_place() const noexcept;
    /// What was to complete the operation is gone. True: inside of its start, so that the starter is told.
    bool dropped() const noexcept;

private:
    friend class operation_start;
    friend class start_table;
    std::uint64_t number_ = 0;
};

/// A running start. Lies in the function that starts, and touches nothing of the operation, which may be gone. Ended,
/// once, before it is destroyed.
class WEFT_API operation_start {
public:
    enum class outcome {
        pending,   ///< the operation has not completed
        elsewhere, ///< it has, or will never, and nothing is left to do here; it may be gone
        completed, ///< inside of the start
        dropped,   ///< what was to complete it is gone, inside of the start
    };

    WEFT_ALWAYS_INLINE operation_start() noexcept : frame_(reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0))) {
        enter();
    }
    operation_start(const operation_start&) = delete;
    operation_start& operator=(const operation_start&) = delete;

    start_ticket ticket() const noexcept { return ticket_; }

    /// The start is over; whether it has thrown makes no difference. If the operation is pending, and a place is given,
    /// the exception in hand is left there before anything can complete the operation.
    outcome ended(std::exception_ptr* failure_of_pending = nullptr) noexcept;

private:
    friend class start_table;
    void enter() noexcept;

    start_ticket ticket_;
    operation_start* next_ = nullptr; // in its part of the table
    outcome outcome_ = outcome::pending;
    bool running_ = true; // it is in the table
    // The flow of control that it runs in.
    std::uintptr_t frame_;
    const thread_state* thread_ = nullptr;
    const fiber_record* fiber_ = nullptr;
};

} // namespace weft::detail
