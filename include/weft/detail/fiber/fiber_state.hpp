// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/base/config.hpp>
#include <weft/detail/fiber/fiber_record.hpp>
#include <weft/detail/switch/control_block.hpp>
#include <weft/detail/switch/fp_state.hpp>

#include <cstdint>

namespace weft::detail {

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

} // namespace weft::detail
