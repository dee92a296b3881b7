// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/base/config.hpp>
#include <weft/detail/fiber/fiber_record.hpp>
#include <weft/detail/switch/control_block.hpp>
#include <weft/detail/switch/fp_state.hpp>

#include <cstdint>
#include <exception>
#include <utility>

// The states of a fiber, and the functions that lead from one to the next. No other code writes `state`, `progress` or the
// tag bits (test/layers.py looks for it). A plain switch, resume() and suspend() inline, goes from `suspended` to `running`
// and back by what it stores anyway. Of the fiber it reads no more than the tag bits and `state`; of the thread, what
// busy() reads.
//
//   state            tag bits     `state`                        `progress`       the thread
//   ---------------  -----------  -----------------------------  ---------------  ----------------------------------------
//   cached           none         plain                          not_begun        has it in its cache
//   prepared         resumable    plain                          not_begun        does not know it
//   prepared, slow   none         waits_slow, and `only_for`     not_begun        does not know it
//   running          suspendable  any of has_inner, bound        begun            its current fiber is this one, or one
//                                                                                 that this one has resumed
//   running, slow    none         these, and any of set_aside,   begun            the same, unless it is set aside
//                                 abandoned, unwinding, checked
//   suspended        resumable    plain                          begun            does not know it
//   suspended, slow  none         waits_slow, and `only_for`     begun            does not know it
//   ended            none         plain, or threw                begun and ended  does not know it
//
//   `only_for` is but_for_fp or but_for_checksum where that is the only reason to be slow. It is 0 where the fiber holds an
//   exception, a fiber that it has resumed, or what belongs to its thread. `checked` is set in every state until the body
//   has ended. In every state `progress` may also have failed, named, own_fp, last_body and always_checked.
//
//   from                  to                    by
//   --------------------  --------------------  -------------------------------------------------------------------------
//   (new)                 prepared              prepare() in lifecycle.cpp: the block of a new fiber is resumable
//   cached                prepared              let_resume() of the block
//   prepared              prepared, slow        give_own_fp(); set_checked() and wait_for_verification()
//   prepared              cached, or released   forget_body(), keep_only_checking(): it is destroyed before its body begins
//   prepared, suspended   running               the switch, advance(begun); run_again() before it, where they are slow
//   suspended             running, slow         run_again(unwinding), suspend_by_slow_path(): it is destroyed
//   running               suspended             the switch; wait_plainly() behind it, where it was slow
//   running               suspended, slow       the switch; wait_slow() behind it, by its resumer
//   suspended             suspended, slow       wait_for_verification(); back by end_of_verification()
//   running               running, slow         set_aside_in_context(), abandon_running(), suspend_by_slow_path(),
//                                               wait_for_verification()
//   running, slow         running               take_up_again(), may_leave()
//   running               ended                 run_out(), advance(ended), then a switch that leaves no tag
//   ended                 cached                ready_for_next_body(), or forget_body() and keep_only_checking()
namespace weft::detail {

/// What a fiber needs besides a switch: flags. Whether a fiber waits or runs is told by the tag bits of its block, and
/// where no tag holds, by `waits_slow` (see waits()).
enum fiber_state : std::uint32_t {
    plain = 0,         // nothing: then a switch is all it takes to suspend or to resume it
    waits_slow = 1,    // it waits, in suspend() or before its body, and more than a switch is needed to resume it
    threw = 2,         // it has ended, and its resumer must be told what left its body
    unwinding = 4,     // while it runs: it is being destroyed, so suspend() throws forced_unwind
    has_inner = 8,     // while it runs: fiber_details::inner is not null; kept here, too, for the test of `plain`
    set_aside = 16,    // while it runs: its flow of control waits as a fiber_context, so it cannot be suspended now
    bound = 32,        // while it runs: fiber_details::bindings is not null; kept here, too, for the test of `plain`
    checked = 64,      // its block has a checksum, see fiber_details; until the body has ended
    but_for_fp = 128,  // while it waits: plain, but for its floating-point control words
    but_for_checksum = 256, // while it waits: plain, but for its checksum
    abandoned = 512    // while it runs: it was destroyed on its own stack, and must not come to an end or a suspension
};

/// How far its body has come, and what is to be undone before the fiber can have another one: flags.
enum fiber_progress : std::uint32_t {
    not_begun = 0,
    begun = 1,
    ended = 2,
    failed = 4,     // an exception has left it; fiber_details::failure may have it
    named = 8,      // fiber_details::name is to be reset
    own_fp = 16,    // fp_env::per_fiber
    last_body = 32, // no other body gets this stack: it is released when the body is
    always_checked = 64, // each of its bodies begins as fiber_state::checked; this one stays for the next body
    ended_plainly = begun | ended, // the fiber can have another body at once
};

// What a fiber is.

/// Does this word, the one of a block that has the tag bits, say that the block is resumable?
WEFT_ABI_TAG inline bool resumable(const void* tagged_word) noexcept {
    const bool set = reinterpret_cast<std::uintptr_t>(tagged_word) & resumable_tag;
    return set == !(told_by_zero & resumable_tag); // as tags_of() says, by one instruction less
}
/// May a plain resume continue the fiber?
inline bool resumable(const fiber_record& fiber) noexcept { return resumable(fiber.block.*tagged); }
/// May a plain suspend leave the fiber?
inline bool suspendable(const fiber_record& fiber) noexcept {
    static_assert(told_by_zero & suspendable_tag);
    return !(reinterpret_cast<std::uintptr_t>(fiber.block.*tagged) & suspendable_tag);
}
/// Of a fiber whose body has not ended: does it wait in its block, and not its resumer? False of an ended or cached one.
inline bool waits(const fiber_record& fiber) noexcept { return resumable(fiber) || fiber.state & waits_slow; }

// How a fiber waits.

/// The fiber, which waits, must be resumed by the slow path. `only_for`: but_for_fp or but_for_checksum, if that is the
/// only reason; 0 if there are weightier ones.
inline void wait_slow(fiber_record& fiber, std::uint32_t only_for) noexcept {
    fiber.state = waits_slow | only_for | (fiber.state & checked);
    set_tags(fiber.block, no_tag);
}
/// The fiber waits as the switch has left it.
inline void wait_plainly(fiber_record& fiber) noexcept {
    fiber.state &= checked;
    set_tags(fiber.block, resumable_tag);
}
/// The fiber, which waits and holds nothing else, waits with or without floating-point control words of its own.
inline void wait_with_nothing_else(fiber_record& fiber) noexcept {
    if (fiber.progress & own_fp)
        wait_slow(fiber, but_for_fp);
    else
        wait_plainly(fiber);
}
/// What waits in the block is only to be switched to after its checksum was verified.
inline void wait_for_verification(fiber_record& fiber) noexcept {
    if (resumable(fiber))
        wait_slow(fiber, but_for_checksum);
    else
        set_tags(fiber.block, no_tag);
}
/// The checksum of the fiber, which waits, has been verified: if that was all it was slow for, it waits plainly.
inline void end_of_verification(fiber_record& fiber) noexcept {
    if (fiber.state & but_for_checksum) wait_plainly(fiber);
}
/// The fiber, which has not run, gets floating-point control words of its own: for now a copy of the thread's.
inline void give_own_fp(fiber_record& fiber) noexcept {
    if constexpr (switch_keeps_fp) return;
    fiber.progress |= own_fp;
    fiber.details->fp = fp_state::read();
    wait_slow(fiber, but_for_fp);
}

// How it runs.

/// The next switch is to the fiber, which waits; with `and_unwinding` to unwind it. It does not set `bound`: the slow path,
/// by which such a fiber comes back, looks at its bindings itself.
inline void run_again(fiber_record& fiber, std::uint32_t and_unwinding) noexcept {
    wait_plainly(fiber);
    fiber.state |= and_unwinding | (fiber.details->inner ? has_inner : 0U);
}
/// `outer`, the running fiber, is about to resume `fiber`; null if the resumer is no fiber.
inline void enter_inner(fiber_record* outer, fiber_record& fiber) noexcept {
    if (outer) {
        outer->details->inner = &fiber;
        outer->state |= has_inner;
    }
    fiber.details->outer = outer;
}
/// `fiber` has come back to `outer`; null if that is no fiber.
inline void leave_inner(fiber_record* outer, fiber_record& fiber) noexcept {
    fiber.details->outer = nullptr;
    if (outer) {
        outer->details->inner = nullptr;
        outer->state &= ~std::uint32_t{has_inner};
    }
}
/// The running fiber holds one thing more that belongs to its thread.
inline void bind(fiber_record& fiber, thread_binding& first) noexcept {
    fiber.details->bindings = &first;
    fiber.state |= bound;
}
/// The running fiber holds one such thing less.
inline void unbind(fiber_record& fiber) noexcept {
    if (!fiber.details->bindings) fiber.state &= ~std::uint32_t{bound};
}
/// The flow of control that the fiber runs in waits as a fiber_context.
inline void set_aside_in_context(fiber_record& fiber) noexcept {
    fiber.state |= set_aside;
    set_tags(fiber.block, no_tag);
}
/// The flow of control that was set aside goes on in its fiber.
inline void take_up_again(fiber_record& fiber) noexcept {
    fiber.state &= ~std::uint32_t{set_aside};
    if (!(fiber.state & (unwinding | abandoned | checked))) set_tags(fiber.block, suspendable_tag);
}
/// The running fiber was destroyed on its own stack.
inline void abandon_running(fiber_record& fiber) noexcept {
    fiber.state |= abandoned;
    set_tags(fiber.block, no_tag);
}
/// Each suspension of the running fiber goes by the slow path from now on.
inline void suspend_by_slow_path(fiber_record& fiber) noexcept { set_tags(fiber.block, no_tag); }
/// The running fiber, which is checked, may make the switch to its resumer.
inline void may_leave(fiber_record& fiber) noexcept { set_tags(fiber.block, suspendable_tag); }

// How its body begins and ends.

/// The body of the fiber has come so far.
inline void advance(fiber_record& fiber, fiber_progress to) noexcept {
    std::uint32_t all = fiber.progress | to;
    asm("" : "+r"(all)); // so that the whole word is stored, see set_tags()
    fiber.progress = all;
}
/// `failure` has left the body of the fiber.
inline void fail(fiber_record& fiber, std::exception_ptr failure) noexcept {
    fiber.details->failure = std::move(failure);
    fiber.state |= threw;
    fiber.progress |= failed;
}
/// The body of the running fiber has ended: of its state only `threw` stays, it has no owner, and the switch to its resumer
/// is open.
inline void run_out(fiber_record& fiber) noexcept {
    fiber.details->owner = nullptr;
    set_tags(fiber.block, suspendable_tag);
    fiber.state &= threw;
}
/// No other body is to run on the stack of the fiber.
inline void end_with_stack(fiber_record& fiber) noexcept { fiber.progress |= last_body; }

// How a fiber is made ready for a body.

/// Each body of the fiber, which is new, is checked.
inline void set_always_checked(fiber_record& fiber) noexcept { fiber.progress = always_checked; }
/// The body that the fiber has now is checked.
inline void set_checked(fiber_record& fiber) noexcept { fiber.state |= checked; }
/// The fiber has this name; the characters are not copied.
inline void set_name(fiber_record& fiber, const char* name) noexcept {
    fiber.details->name = name;
    fiber.progress |= named;
}
/// Of no_fiber, to which handles without a fiber refer: nothing can resume it.
constexpr void never_begin(fiber_record& fiber) noexcept { fiber.progress = ended; }
/// \pre its progress is ended_plainly
inline void ready_for_next_body(fiber_record& fiber) noexcept { fiber.progress = not_begun; }
/// The body of the fiber, which has not begun or has ended, is gone: nothing may resume the fiber.
inline void forget_body(fiber_record& fiber) noexcept {
    fiber.details->name = nullptr;
    fiber.details->owner = nullptr;
    set_tags(fiber.block, no_tag);
    fiber.state = plain;
}
/// The next body begins as any other one; only always_checked stays.
inline void keep_only_checking(fiber_record& fiber) noexcept { fiber.progress &= always_checked; }

} // namespace weft::detail
