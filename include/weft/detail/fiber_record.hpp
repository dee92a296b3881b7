// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/config.hpp>
#include <weft/detail/control_block.hpp>
#include <weft/detail/exception_state.hpp>
#include <weft/detail/sanitizer.hpp>
#include <weft/detail/switch.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>

namespace weft::detail {

struct fiber_record;
struct fiber_access; // lets the rest of weft see the record of a fiber

enum class fiber_status : std::uint8_t {
    prepared,  // its body has not begun
    suspended, // it waits in suspend()
    running,   // it has control, or has resumed a fiber that has
    done,      // its body has ended
};

/// What a fiber's type knows and the rest of weft does not.
struct fiber_operations {
    void (*run)(fiber_record&);              // calls the body and destroys it; on the fiber's stack
    void (*destroy_body)(fiber_record&) noexcept; // of a fiber that never ran
    void (*release)(fiber_record&) noexcept; // ends the record's life and gives its stack back; on another stack
};

/// One fiber; lies at the top of its own stack. What every resume touches is in the first 64 bytes.
struct alignas(64) fiber_record {
    control_block context;      // the fiber's while it is suspended, its resumer's while it runs
    exception_state exceptions; // the fiber's while it is suspended (empty while it runs)
    fiber_record* inner = nullptr; // the fiber this one has resumed and that has not come back, if any
    fiber_record* outer = nullptr; // the fiber that resumed this one, if one did

    fiber_status status = fiber_status::prepared;
    bool unwinding = false; // it is being destroyed: suspend() throws forced_unwind
    void* message = nullptr; // what it says to its resumer: for generators and the bridge
    void* driver = nullptr;  // the coroutine that drives it, if one does: for the bridge
    const fiber_operations* operations = nullptr;
    std::exception_ptr failure; // what left the body
    sanitizer_fiber sanitizer;
};

/// What weft knows of a thread.
struct thread_state {
    fiber_record* current = nullptr;       // the innermost running fiber
    exception_state* exceptions = nullptr; // the thread's, cached
};

/// The running thread's state. Out of line, and never folded by a compiler: after a switch the thread may be another
/// one, so an address got before it is worth nothing.
WEFT_API thread_state& this_thread() noexcept;

/// Gives the record its first context: resuming it will call operations->run on the memory that ends below `stack_top`.
inline namespace WEFT_CONTEXT_ABI {
WEFT_API void prepare(fiber_record& fiber, void* stack_top, const void* lowest, const fiber_operations& operations) noexcept;
}

/// Unwinds the body if it is suspended, then releases the record. Terminates if the fiber is running.
WEFT_API void destroy(fiber_record& fiber) noexcept;

[[noreturn]] WEFT_API void throw_not_resumable(const fiber_record* fiber);
[[noreturn]] WEFT_API void throw_not_running();
[[noreturn]] WEFT_API void throw_forced_unwind(fiber_record& fiber);
[[noreturn]] WEFT_API void throw_failure(fiber_record& fiber);

inline fiber_record& innermost(fiber_record& fiber) noexcept {
    fiber_record* last = &fiber;
    while (last->inner) last = last->inner;
    return *last;
}

/// Runs `fiber` until it suspends or ends. On the resumer's stack. Does not look at what left the body.
/// \pre it is prepared or suspended.
inline void switch_to_fiber(fiber_record& fiber) noexcept {
    thread_state* thread = &this_thread();
    fiber_record* const outer = thread->current;
    fiber_record& last = innermost(fiber); // where it was suspended: itself, or a fiber it had resumed
    fiber.outer = outer;
    if (outer) outer->inner = &fiber;
    thread->current = &last;

    exception_state mine = *thread->exceptions;
    if (mine.any() || fiber.exceptions.any()) {
        *thread->exceptions = fiber.exceptions;
        fiber.exceptions = {};
    }
    fiber.status = fiber_status::running;

    departure d;
    d.to_fiber(fiber.sanitizer, last.sanitizer);
    switch_to(fiber.context);
    d.back_in_resumer();

    if (outer) { // a resumer that is a fiber itself may have come to another thread meanwhile
        thread = &this_thread();
        outer->inner = nullptr;
    }
    thread->current = outer;
    if (mine.any() || thread->exceptions->any()) {
        fiber.exceptions = *thread->exceptions;
        *thread->exceptions = mine;
    }
}

/// As above, and rethrows what left the body.
inline void resume(fiber_record& fiber) {
    switch_to_fiber(fiber);
    if (fiber.failure) [[unlikely]]
        throw_failure(fiber);
}

/// Suspends `fiber` to its resumer, from its own stack or from that of a fiber it has resumed. Returns when it is
/// resumed, possibly on another thread.
/// \throws forced_unwind if the fiber is being destroyed.
/// \pre it is running, on this thread.
inline void suspend(fiber_record& fiber) {
    if (fiber.unwinding) [[unlikely]]
        throw_forced_unwind(fiber);
    fiber.status = fiber_status::suspended;
    departure d;
    d.to_resumer(fiber.sanitizer, false);
    switch_to(fiber.context);
    d.back_in_fiber(fiber.sanitizer);
    if (fiber.unwinding) [[unlikely]]
        throw_forced_unwind(fiber);
}

static_assert(sizeof(void*) != 8 || offsetof(fiber_record, outer) < 64, "every resume touches one cache line");

} // namespace weft::detail
