// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "resume.h"

#include "../thread/thread_state.h"
#include "checksum.h"
#include "errors.h"
#include "invariants.h"
#include "migration.h"
#include "stack_overflow.h"

#include <weft/detail/base/throw_or_die.hpp>
#include <weft/detail/fiber/current_fiber.hpp>
#include <weft/detail/fiber/fiber_state.hpp>
#include <weft/detail/fiber/resume.hpp>
#include <weft/detail/switch/fp_state.hpp>
#include <weft/detail/thread/exception_in_hand.hpp>
#include <weft/fiber.hpp>

#include <cstdlib>
#include <exception>
#include <utility>

// The slow paths of a resume and of a suspend, which the inline ones of resume.hpp go over to.
namespace weft::detail {

constinit std::atomic<bool> exiting{false};

namespace {

fiber_record& innermost(fiber_record& fiber) noexcept {
    fiber_record* last = &fiber;
    while (last->details->inner) last = last->details->inner;
    return *last;
}

// The control words of a fiber with its own, and of those that it has resumed, give way to their resumers', or come
// back: while one runs, its record has those of its resumer.
void enter_fp(fiber_record& fiber) noexcept {
    for (fiber_record* f = &fiber; f; f = f->details->inner)
        if (f->progress & own_fp) f->details->fp = fp_state::exchange(f->details->fp);
}
void leave_fp(fiber_record& fiber) noexcept {
    for (fiber_record* f = &innermost(fiber);; f = f->details->outer) {
        if (f->progress & own_fp) f->details->fp = fp_state::exchange(f->details->fp);
        if (f == &fiber) return;
    }
}

// From now on weft knows this thread's exceptions, and the thread's overflows are reported, if any are.
void get_to_know(thread_state& thread) noexcept {
    if (thread.idle_sentinel != weft_exceptions_unknown.data()) return;
    // exit() goes backwards: so this is known before anything is destroyed that was there before the first resume.
    [[maybe_unused]] static const int registered = std::atexit([] { exiting.store(true, std::memory_order_relaxed); });
    watch_this_thread();
    const bool rests = thread.current == thread.idle_sentinel;
    thread.idle_sentinel = sentinel_of(thread_exceptions());
    if (rests) thread.current = thread.idle_sentinel;
}

// The fiber has suspended, and its resumer's exceptions and control words are in place again.
void wait_until_resumed(fiber_record& fiber) noexcept {
    note_thread(fiber);
    if (fiber.details->inner || fiber.details->bindings || fiber.details->exceptions.any())
        wait_slow(fiber, 0); // it holds an exception, another fiber, or what belongs to this thread
    else
        wait_with_nothing_else(fiber);
    set_checksum(fiber);
}

// Runs a suspended fiber, whose checksum is right, whatever it or its resumer has beside registers.
void* run(fiber_record& fiber, std::uint32_t and_unwinding = 0) noexcept {
    thread_state& thread = this_thread();
    get_to_know(thread);
    fiber_record* const outer = running_fiber(thread);
    fiber_record& last = innermost(fiber); // where it was suspended: itself, or a fiber it had resumed
    check_migration(fiber);
    enter_inner(outer, fiber);
    run_again(fiber, and_unwinding);
    set_running_fiber(thread, &last);

    const exception_state mine = exceptions_of(thread);
    exceptions_of(thread) = std::exchange(fiber.details->exceptions, {});
    enter_fp(fiber);

    void* const passed_value = switch_and_return(fiber, last);

    thread_state& now = this_thread();
    leave_fp(fiber);
    fiber.details->exceptions = std::exchange(exceptions_of(now), mine);
    set_running_fiber(now, outer);
    leave_inner(outer, fiber);
    if (fiber.progress & ended) return nullptr;
    wait_until_resumed(fiber);
    return passed_value;
}

// Runs one that is suspended but_for_fp, where no fiber runs and the thread handles no exception. Out of line: the
// switch is not what this costs.
void* run_with_own_fp(fiber_record& fiber) {
    set_running_fiber(this_thread(), &fiber);
    wait_plainly(fiber);
    fiber.details->fp = fp_state::exchange(fiber.details->fp);

    void* const passed_value = switch_and_return(fiber, fiber);

    thread_state& now = this_thread();
    set_running_fiber(now, nullptr);
    if (fiber.state != plain || exceptions_of(now).any()) [[unlikely]] {
        came_back_slow(fiber);
        return passed_value;
    }
    fiber.details->fp = fp_state::exchange(fiber.details->fp);
    wait_slow(fiber, but_for_fp);
    return passed_value;
}

// What left its body is no C++ exception. To raise it again is all that the C++ runtime can do with it: `throw;`, as if
// in the handler it was caught in. An exception of another language is raised anew; the end of the thread goes on with
// this stack's frames.
[[noreturn, gnu::noinline, gnu::cold]] void rethrow_foreign([[maybe_unused]] fiber_record& fiber) {
#if WEFT_EXCEPTIONS
    struct resumers_own {
        exception_state mine;
        ~resumers_own() { thread_exceptions() = mine; }
    } const afterwards{thread_exceptions()};
    thread_exceptions() = std::exchange(fiber.details->exceptions, {});
    throw_foreign_again();
#else
    fatal("weft: an exception left a body, but weft was compiled without exceptions");
#endif
}

// If it is done and has thrown.
void rethrow_failure(fiber_record& fiber) {
    if (!(fiber.state & threw)) return;
    if (!fiber.details->failure) rethrow_foreign(fiber);
    std::rethrow_exception(std::exchange(fiber.details->failure, nullptr));
}

// Runs one that is plain, in `outer`, where the thread handles no exception.
void* run_in(fiber_record& outer, fiber_record& fiber) {
    thread_state& thread = this_thread();
    enter_inner(&outer, fiber);
    set_running_fiber(thread, &fiber);

    void* const passed_value = switch_and_return(fiber, fiber);

    thread_state& now = this_thread();
    set_running_fiber(now, &outer);
    leave_inner(&outer, fiber);
    if (fiber.state != plain || exceptions_of(now).any()) [[unlikely]]
        came_back_slow(fiber);
    return passed_value;
}

} // namespace

void unwind(fiber_record& fiber) noexcept {
    run(fiber, unwinding);
}

void* resume_slow(fiber_record& fiber) {
    if (!waits(fiber)) throw_not_resumable(fiber);
    check_state(fiber);
    thread_state& thread = this_thread();
    get_to_know(thread);
    verify_checksum(fiber);
    if (!exceptions_of(thread).any()) {
        fiber_record* const outer = running_fiber(thread);
        if (resumable(fiber)) return outer ? run_in(*outer, fiber) : resume(fiber);
        if (!outer && fiber.state & but_for_fp) return run_with_own_fp(fiber);
    }
    void* const passed_value = run(fiber);
    check_state(fiber);
    rethrow_failure(fiber);
    return passed_value;
}

namespace {
[[gnu::noinline]] void came_back_suspended(fiber_record& fiber) {
    leave_fp(fiber);
    thread_state& thread = this_thread();
    get_to_know(thread);
    fiber.details->exceptions = std::exchange(exceptions_of(thread), {});
    wait_until_resumed(fiber);
    check_state(fiber);
}
} // namespace

void came_back_slow(fiber_record& fiber) {
    if (!(fiber.progress & ended)) return came_back_suspended(fiber);
    if (fiber.progress & own_fp) leave_fp(fiber);
    fiber.details->exceptions = std::exchange(exceptions_of(this_thread()), {}); // none, but for rethrow_foreign()
    check_state(fiber);
    rethrow_failure(fiber);
}

namespace {
void throw_if_unwinding([[maybe_unused]] fiber_record& fiber) {
#if WEFT_EXCEPTIONS
    if (!(fiber.state & unwinding)) return;
    suspend_by_slow_path(fiber); // it may swallow this, and come again
    throw forced_unwind{fiber};
#endif
}

// Before a suspend() by what is checked or does not run, or in one that is being unwound.
void check_leaving(fiber_record& fiber, bool with_value) {
    check_state(fiber);
    if (fiber.state & abandoned) fatal(running_was_destroyed);
    if (waits(fiber) || fiber.progress & ended || fiber.state & set_aside)
        throw_not_suspendable(fiber);
    verify_checksum(fiber);
    throw_if_unwinding(fiber);
    if (fiber.state & checked) {
        check_suspended_with(fiber, with_value);
        may_leave(fiber);
    }
    if (!suspendable(fiber)) fatal("weft: the control block of a running fiber was overwritten");
}
} // namespace

void check_suspend(fiber_record& fiber) {
    check_leaving(fiber, false);
}

void check_suspend_with_value(fiber_record& fiber) {
    check_leaving(fiber, true);
}

void suspend_slow(fiber_record& fiber) {
    check_suspend(fiber);
    leave_and_return(fiber);
}

void resumed_slow(fiber_record& fiber) {
    set_checksum(fiber);
    check_state(fiber);
    throw_if_unwinding(fiber);
}

} // namespace weft::detail
