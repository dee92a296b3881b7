// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/base/config.hpp>
#include <weft/detail/fiber/fiber_record.hpp>
#include <weft/detail/switch/control_block.hpp>
#include <weft/detail/switch/fp_state.hpp>

#include <cstdint>
#include <exception>
#include <utility>

// The states of a fiber, and the functions that lead from one to the next: nothing else writes `state`, `progress` or the
// tag bits (test/layers.py looks for it). A plain switch, resume() and suspend() inline, goes from `suspended` to `running`
// and back by what it stores anyway, and reads no more than the tag bits, `state` and one word of the thread.
//
//   state           tags          `state`                       `progress`       the thread says
//   --------------  ------------  ----------------------------  ---------------  -----------------------------------------
//   cached          none          plain                         prepared         nothing; its idle words may name it
//   prepared        resumable     plain                         prepared         nothing
//   prepared, slow  none          suspended, why                prepared         nothing
//   running         suspendable   plain, has_inner, bound       begun            the innermost running fiber is this one, or
//                                                                                one that it has resumed
//   running, slow   none          any of set_aside, abandoned,  begun            the same, unless it is set aside
//                                 unwinding, checked
//   suspended       resumable     plain                         begun            nothing
//   suspended, slow none          suspended, why                begun            nothing
//   ended           none          plain, threw                  begun and ended  nothing
//
//   `why` is nothing where it holds an exception, a fiber that it has resumed, or what belongs to its thread; but_for_fp, or
//   but_for_checksum, where there is nothing else. `checked` stays until the body has ended. `progress` also keeps failed,
//   named, own_fp, own_stack and always_checked.
//
//   from                  to                    by
//   --------------------  --------------------  --------------------------------------------------------------------------
//   cached                prepared              let_resume()
//   prepared              prepared, slow        give_own_fp(), begin_to_check()
//   prepared, suspended   running               the switch; where they are slow, run_again() before it
//   running               suspended             the switch; wait_plainly(), where it was slow
//   running               suspended, slow       the switch; then wait_with_care(), as its resumer finds out
//   running               running, slow         set_aside_in_context(), abandon_running(), suspend_never(), wait for checksums
//   running, slow         running               take_up_again(), may_leave()
//   running               ended                 end_body(), and the switch for good
//   ended                 cached                ready_for_next_body(), or forget_body() and keep_only_checking()
namespace weft::detail {

/// What there is to say of a fiber but that it is suspended or runs, which the tag bits of its block tell (see waits()),
/// and how far its body has come: flags.
enum fiber_state : std::uint32_t {
    plain = 0,         // nothing: then a switch is all it takes to suspend or to resume it
    suspended = 1,     // it waits in suspend(), or its body has not begun; not set of one that is plain
    threw = 2,         // it has ended, and its resumer is to be told what left its body
    unwinding = 4,     // while it runs: it is being destroyed, suspend() throws forced_unwind
    has_inner = 8,     // while it runs: fiber_details::inner, for who asks whether it is plain
    set_aside = 16,    // while it runs: its flow of control waits as a fiber_context
    bound = 32,        // while it runs: fiber_details::bindings, for who asks whether it is plain
    checked = 64,      // its block has a checksum, see fiber_details; until the body has ended
    but_for_fp = 128,  // while it is suspended: plain, but for its floating-point control words
    but_for_checksum = 256, // while it is suspended: plain, but for its checksum
    abandoned = 512    // while it runs: it was destroyed on its own stack, and must not come to an end or a suspension
};

/// How far its body has come, and what is to be undone before the fiber can have another one: flags.
enum fiber_progress : std::uint32_t {
    prepared = 0,   // nothing yet
    begun = 1,
    ended = 2,
    failed = 4,     // an exception has left it; fiber_details::failure may have it
    named = 8,      // fiber_details::name is to be reset
    own_fp = 16,    // fp_env::per_fiber
    own_stack = 32, // with its body the stack ends, too
    always_checked = 64, // each of its bodies begins as fiber_state::checked
    ended_plainly = begun | ended, // the fiber can have another body at once
};

// What is asked.

/// May a plain resume continue what waits where this word says?
WEFT_TAGGED inline bool resumable(const void* tagged_word) noexcept {
    const bool set = reinterpret_cast<std::uintptr_t>(tagged_word) & resumable_tag;
    return set == !(told_by_zero & resumable_tag); // as tags_of() says, by one instruction less
}
/// May a plain resume continue it?
inline bool resumable(const fiber_record& fiber) noexcept { return resumable(fiber.context.*tagged); }
/// May it be suspended plainly?
inline bool suspendable(const fiber_record& fiber) noexcept {
    static_assert(told_by_zero & suspendable_tag);
    return !(reinterpret_cast<std::uintptr_t>(fiber.context.*tagged) & suspendable_tag);
}
/// Does the fiber wait in its block, and not its resumer?
inline bool waits(const fiber_record& fiber) noexcept { return resumable(fiber) || fiber.state & suspended; }

// How a fiber waits.

/// The fiber, which waits, is not to be resumed plainly, for these reasons.
inline void wait_with_care(fiber_record& fiber, std::uint32_t why) noexcept {
    fiber.state = suspended | why | (fiber.state & checked);
    set_tags(fiber.context, no_tag);
}
/// The fiber waits as the switch has left it.
inline void wait_plainly(fiber_record& fiber) noexcept {
    fiber.state &= checked;
    set_tags(fiber.context, resumable_tag);
}
/// The fiber, which waits and holds nothing else, waits with or without floating-point control words of its own.
inline void wait_with_nothing_else(fiber_record& fiber) noexcept {
    if (fiber.progress & own_fp)
        wait_with_care(fiber, but_for_fp);
    else
        wait_plainly(fiber);
}
/// What waits in the block is only to be switched to after its checksum was verified.
inline void wait_for_verification(fiber_record& fiber) noexcept {
    if (resumable(fiber))
        wait_with_care(fiber, but_for_checksum);
    else
        set_tags(fiber.context, no_tag);
}
/// That was the only reason to wait so: the next switch is plain.
inline void wait_no_longer_for_verification(fiber_record& fiber) noexcept {
    if (fiber.state & but_for_checksum) wait_plainly(fiber);
}
/// The fiber, which has not run, gets floating-point control words of its own: for now a copy of the thread's.
inline void give_own_fp(fiber_record& fiber) noexcept {
    if constexpr (switch_keeps_fp) return;
    fiber.progress |= own_fp;
    fiber.details->fp = fp_state::read();
    wait_with_care(fiber, but_for_fp);
}

// How it runs.

/// The next switch is to the fiber, which waits; with `and_unwinding` to unwind it.
inline void run_again(fiber_record& fiber, std::uint32_t and_unwinding) noexcept {
    wait_plainly(fiber);
    fiber.state |= and_unwinding | (fiber.details->inner ? has_inner : 0U);
}
/// `outer`, which runs, is about to resume `fiber`; null: nothing that is a fiber is.
inline void enter_inner(fiber_record* outer, fiber_record& fiber) noexcept {
    if (outer) {
        outer->details->inner = &fiber;
        outer->state |= has_inner;
    }
    fiber.details->outer = outer;
}
/// `fiber` has come back to it.
inline void leave_inner(fiber_record* outer, fiber_record& fiber) noexcept {
    fiber.details->outer = nullptr;
    if (outer) {
        outer->details->inner = nullptr;
        outer->state &= ~std::uint32_t{has_inner};
    }
}
/// The running fiber holds one thing more of its thread's.
inline void bind(fiber_record& fiber, thread_binding& first) noexcept {
    fiber.details->bindings = &first;
    fiber.state |= bound;
}
/// One less.
inline void unbind(fiber_record& fiber) noexcept {
    if (!fiber.details->bindings) fiber.state &= ~std::uint32_t{bound};
}
/// The flow of control that the fiber runs in waits as a fiber_context.
inline void set_aside_in_context(fiber_record& fiber) noexcept {
    fiber.state |= set_aside;
    set_tags(fiber.context, no_tag);
}
/// It goes on.
inline void take_up_again(fiber_record& fiber) noexcept {
    fiber.state &= ~std::uint32_t{set_aside};
    if (!(fiber.state & (unwinding | abandoned | checked))) set_tags(fiber.context, suspendable_tag);
}
/// The running fiber was destroyed on its own stack.
inline void abandon_running(fiber_record& fiber) noexcept {
    fiber.state |= abandoned;
    set_tags(fiber.context, no_tag);
}
/// Each suspension of the running fiber comes to the slow path.
inline void suspend_never(fiber_record& fiber) noexcept { set_tags(fiber.context, no_tag); }
/// The running fiber, which is checked, may make the switch to its resumer.
inline void may_leave(fiber_record& fiber) noexcept { set_tags(fiber.context, suspendable_tag); }

// How its body begins and ends.

/// Its body has come so far.
inline void advance(fiber_record& fiber, fiber_progress to) noexcept {
    std::uint32_t all = fiber.progress | to;
    asm("" : "+r"(all)); // not a byte of it alone, see set_tags()
    fiber.progress = all;
}
/// This leaves its body.
inline void fail(fiber_record& fiber, std::exception_ptr failure) noexcept {
    fiber.details->failure = std::move(failure);
    fiber.state |= threw;
    fiber.progress |= failed;
}
/// What was not plain about the running fiber ends with its body.
inline void run_out(fiber_record& fiber) noexcept {
    set_tags(fiber.context, suspendable_tag);
    fiber.state &= threw;
}
/// The stack has its last body, or its only one.
inline void end_with_stack(fiber_record& fiber) noexcept { fiber.progress |= own_stack; }

// What the fiber is made of anew.

/// Each of its bodies is checked.
inline void always_check(fiber_record& fiber) noexcept { fiber.progress = always_checked; }
/// This body is.
inline void check(fiber_record& fiber) noexcept { fiber.state |= checked; }
/// Only the pointer is kept.
inline void set_name(fiber_record& fiber, const char* name) noexcept {
    fiber.details->name = name;
    fiber.progress |= named;
}
/// For no_fiber.
constexpr void never_begin(fiber_record& fiber) noexcept { fiber.progress = ended; }
/// \pre its progress is ended_plainly
inline void ready_for_next_body(fiber_record& fiber) noexcept { fiber.progress = prepared; }
/// Of a fiber whose body has not begun, or has ended in any way: nothing may resume it.
inline void forget_body(fiber_record& fiber) noexcept {
    fiber.details->name = nullptr;
    set_tags(fiber.context, no_tag);
    fiber.state = plain;
}
/// The next body begins as any.
inline void keep_only_checking(fiber_record& fiber) noexcept { fiber.progress &= always_checked; }

} // namespace weft::detail
