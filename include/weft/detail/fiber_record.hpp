// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/config.hpp>
#include <weft/detail/control_block.hpp>
#include <weft/detail/exception_state.hpp>
#include <weft/detail/fp_state.hpp>
#include <weft/detail/sanitizer.hpp>
#include <weft/detail/switch.hpp>
#include <weft/detail/thread_state.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>

namespace weft::detail {

struct fiber_record;
class thread_binding; // see weft/migration.hpp
struct fiber_access; // lets the rest of weft see the record of a fiber

/// What there is to say of a fiber but that it is suspended or runs, which the marks of its block tell (see waits()),
/// and how far its body has come: flags.
enum fiber_state : std::uint32_t {
    plain = 0,         // nothing: then a switch is all it takes to suspend or to resume it
    suspended = 1,     // it waits in suspend(), or its body has not begun; not set of one that is plain
    threw = 2,         // it has ended, and its resumer is to be told what left its body
    unwinding = 4,     // while it runs: it is being destroyed, suspend() throws forced_unwind
    has_inner = 8,     // while it runs: it has resumed a fiber, which has control or has suspended both
    set_aside = 16,    // while it runs: its flow of control waits as a fiber_context
    bound = 32,        // while it runs: it has come to hold what belongs to a thread
    checked = 64,      // its block has a checksum, see fiber_details; until the body has ended
    but_for_fp = 128,  // while it is suspended: plain, but for its floating-point control words
    but_for_checksum = 256, // while it is suspended: plain, but for its checksum
    abandoned = 512     // while it runs: it was destroyed on its own stack, and must not come to an end or a suspension
};

/// How far its body has come, and what is to be undone before the fiber can have another one: flags.
enum fiber_progress : std::uint32_t {
    prepared = 0,   // nothing yet
    begun = 1,
    ended = 2,
    failed = 4,     // an exception has left it; fiber_details::failure may have it
    named = 8,
    own_fp = 16,    // fp_env::per_fiber
    own_stack = 32, // with its body the stack ends, too
    always_checked = 64, // each of its bodies begins as fiber_state::checked
};

/// Its body has come so far.
inline void advance(std::uint32_t& progress, fiber_progress to) noexcept {
    std::uint32_t all = progress | to;
    asm("" : "+r"(all)); // not a byte of it alone, see set_marks()
    progress = all;
}

/// What a fiber's type knows and the rest of weft does not.
struct fiber_operations {
    void (*run)(fiber_record&);              // calls the body and destroys it; on the fiber's stack
    void (*destroy_body)(fiber_record&) noexcept; // of a fiber that never ran
    void (*release)(fiber_record&) noexcept; // gives its stack back; on another one
    stack_bounds (*memory)(const fiber_record&) noexcept; // what its allocator gave it; async-signal-safe
    bool unwinds;                            // the body was compiled with exceptions
    bool yields;                             // the body suspends with a value each time
};

struct fiber_details;

/// One fiber: all that a plain resume touches. Records lie side by side, apart from the stacks, so that those of many
/// fibers take few pages and few lines of the caches: a cold stack's page is fetched by the body that uses it, and by
/// nobody else.
struct alignas(64) fiber_record {
    control_block context; // the fiber's while it is suspended, its resumer's while it runs
    fiber_details* details = nullptr; // of a fiber never null
    std::uint32_t state = plain; // of fiber_state
    std::uint32_t progress = prepared; // of fiber_progress
};

/// The rest of a fiber; lies at the top of its stack.
struct alignas(64) fiber_details {
    WEFT_TAGGED fiber_details() noexcept {} // settings decide on what is in it

    const fiber_operations* operations = nullptr; // of its body, or of the last that it had
    fiber_record* inner = nullptr; // the fiber this one has resumed and that has not come back, if any
    fiber_record* outer = nullptr; // the fiber that resumed this one, if one did, until it comes back
    exception_state exceptions; // the fiber's while it is suspended (empty while it runs)
    std::exception_ptr failure; // what left the body
    fp_state fp;                // with own_fp: the fiber's while it is suspended, its resumer's while it runs
    sanitizer_fiber sanitizer;
    thread_binding* bindings = nullptr; // what it holds of a thread's
    std::uint64_t left = 0;             // of one that is checked and holds an exception: the number of the thread it left
    void* driver = nullptr;             // the coroutine that drives it, if one does: for the bridge
    const char* name = nullptr;         // see fiber_ref::set_name
    // Of one that is checked: of what the block keeps of the flow that waits in it. Whether there is one is the library's
    // choice, per fiber, and its work alone: such a fiber has both tag bits whenever a flow waits, so that each resume
    // and each suspend is out of line. No inline code knows of it.
    std::uint64_t checksum = 0;
};

/// What an empty handle refers to, so that resume() need not ask: one that has ended. Never written. Told by is_fiber(),
/// not by its address: a handle may come from a shared object that has its own copy of weft.
WEFT_API extern const fiber_record no_fiber;

/// Makes the record of a fiber without a body, on the part of `memory` below `details`, which lie in it: once
/// details.operations are set, resuming it will call operations->run. \throws stack_exhausted
WEFT_API fiber_record& prepare(fiber_details& details, stack_bounds memory);

/// Is it more than no_fiber?
inline bool is_fiber(const fiber_record& record) noexcept { return record.details != nullptr; }

/// May a plain resume continue what waits where this word says?
WEFT_TAGGED inline bool resumable(const void* marked_word) noexcept {
    const bool set = reinterpret_cast<std::uintptr_t>(marked_word) & not_resumable;
    return set == (inverted_marks != 0); // as marks_of() says, by one instruction less
}
/// May a plain resume continue it?
inline bool resumable(const fiber_record& fiber) noexcept { return resumable(fiber.context.*marked); }
/// May it be suspended plainly?
inline bool suspendable(const fiber_record& fiber) noexcept { return !(marks_of(fiber.context) & not_suspendable); }
/// Does the fiber wait in its block, and not its resumer?
inline bool waits(const fiber_record& fiber) noexcept { return resumable(fiber) || fiber.state & suspended; }
/// The fiber, which waits, is not to be resumed plainly, for these reasons.
inline void wait_with_care(fiber_record& fiber, std::uint32_t why) noexcept {
    fiber.state = suspended | why | (fiber.state & checked);
    set_marks(fiber.context, all_marks);
}
/// The fiber waits as the switch has left it.
inline void wait_plainly(fiber_record& fiber) noexcept {
    fiber.state &= checked;
    set_marks(fiber.context, not_suspendable);
}

/// The fiber, which has not run, gets floating-point control words of its own: for now a copy of the thread's.
inline void give_own_fp(fiber_record& fiber) noexcept {
    if constexpr (switch_keeps_fp) return;
    fiber.progress |= own_fp;
    fiber.details->fp = fp_state::read();
    wait_with_care(fiber, but_for_fp);
}

// The ways with more questions, out of line. What resume() and suspend() do inline is enough for a fiber that is merely
// suspended or running, is resumed by no other fiber, and while nobody is handling an exception.

/// resume() of any fiber by anybody; the first one on each thread comes here.
WEFT_API void* resume_with_care(fiber_record& fiber);
/// The end of resume(): `fiber` has left control not just by a suspension.
WEFT_API void came_back_with_care(fiber_record& fiber);
/// suspend() of a fiber that is not just running: returns if it may be switched from now.
WEFT_API void check_suspend(fiber_record& fiber);
/// The same of a suspend() with a value.
WEFT_API void check_suspend_with_value(fiber_record& fiber);
/// check_suspend(), and the switch, too: returns when the fiber is resumed.
WEFT_API void suspend_with_care(fiber_record& fiber);
/// The end of suspend(): `fiber` was not just resumed.
WEFT_API void resumed_with_care(fiber_record& fiber);
/// Says why a generator with this fiber cannot begin: it has, or there is no fiber.
[[noreturn]] WEFT_API void throw_cannot_begin(const fiber_record& fiber);

/// Runs `fiber` until it suspends or ends. Returns what it hands over; anything if that is nothing. On the resumer's
/// stack.
/// \throws what left the body; fiber_error if it is neither prepared nor suspended.
WEFT_ALWAYS_INLINE void* resume(fiber_record& fiber) {
    const thread_pointers thread;
    departure d;
    void* handed_over;
    if constexpr (switch_asks_mark) {
        const auto waiting = waiting_in(fiber.context);
        if (!resumable(waiting.program_counter) || busy(thread.asked(), thread)) [[unlikely]]
            return resume_with_care(fiber);
        thread.set_asked(&fiber);
        d.to_fiber(fiber.details->sanitizer, fiber.details->sanitizer);
        handed_over = switch_to_fiber(fiber.context, waiting);
    } else {
        if (!resumable(fiber) || busy(thread.asked(), thread)) [[unlikely]]
            return resume_with_care(fiber);
        thread.set_asked(&fiber);
        d.to_fiber(fiber.details->sanitizer, fiber.details->sanitizer);
        handed_over = switch_to_fiber(fiber.context);
    }
    d.back_in_resumer();

    const thread_pointers now = still_this_thread(thread);
    const std::byte* const at_rest = now.at_rest();
    now.set_asked(at_rest);
    if (fiber.state != plain || busy(at_rest, now)) [[unlikely]]
        came_back_with_care(fiber);
    return handed_over;
}

/// Suspends `fiber` to its resumer, from its own stack or from that of a fiber it has resumed. Returns when it is
/// resumed, possibly on another thread. `hand_over`, a void* or nothing, is what resume() returns.
/// \throws forced_unwind if the fiber is being destroyed; fiber_error if it is not running.
/// \pre called on the thread it runs on.
template <class... HandOver>
WEFT_ALWAYS_INLINE void suspend(fiber_record& fiber, HandOver... hand_over) {
    constexpr bool plainly = sizeof...(hand_over) == 0;
    if constexpr (plainly && switch_asks_mark && !switches_are_told) {
        if (!try_switch_to_resumer(fiber.context)) [[unlikely]]
            suspend_with_care(fiber);
    } else {
        const bool marked_so = reinterpret_cast<std::uintptr_t>(fiber.context.*marked) & not_suspendable;
        if (marked_so) [[unlikely]] {
            if constexpr (plainly)
                check_suspend(fiber);
            else
                check_suspend_with_value(fiber);
        }
        departure d;
        d.to_resumer(fiber.details->sanitizer, false);
        switch_to_resumer(fiber.context, hand_over...);
        d.back_in_fiber(fiber.details->sanitizer);
    }
    if (fiber.state != plain) [[unlikely]]
        resumed_with_care(fiber);
}

static_assert(sizeof(fiber_record) == 64 || WEFT_SHADOW_CALL_STACK, "a plain resume touches one cache line");
static_assert(offsetof(fiber_record, details) == never_zero_in_record);

} // namespace weft::detail
