// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <weft/fiber.hpp>

#include "../switch/frame.h"
#include "checksum.h"
#include "debugger.h"
#include "idle_fibers.h"
#include "leak_roots.h"
#include "migration.h"
#include "records.h"
#include "stack_overflow.h"

#include <weft/detail/throw_or_die.hpp>

#include <array>
#include <atomic>
#include <cstdlib>
#include <string>

extern "C" {

// What a thread_state refers to until the first resume on its thread, instead of the thread's exceptions. Wherever
// busy() looks, there is something in it: so resume() takes the slow path, which asks for the thread's own.
[[gnu::visibility("hidden")]] extern const std::array<std::byte, 128> weft_exceptions_not_asked_for;
[[gnu::used]] alignas(weft::detail::exception_state) constinit const std::array<std::byte, 128>
    weft_exceptions_not_asked_for = [] {
        std::array<std::byte, 128> all;
        all.fill(std::byte{1});
        return all;
    }();

#if WEFT_THREAD_STATE_ELF
// Where inline code of a program asks for the state, no linker sees it before link-time optimization has made that code:
// this brings the object in time.
[[gnu::used]] static constinit const auto find_thread_state = &WEFT_THIS_THREAD;
#else
static constinit thread_local weft::detail::thread_state of_this_thread{weft_exceptions_not_asked_for.data(),
                                                                        weft_exceptions_not_asked_for.data(), nullptr, 0,
                                                                        weft::detail::not_in_use,
                                                                        weft::detail::ask_library};
[[gnu::noinline]] weft::detail::thread_state* WEFT_THIS_THREAD() noexcept {
    asm volatile("" ::: "memory"); // not a pure function of nothing: the thread may have changed since the last call
    return &of_this_thread;
}
#endif

} // extern "C"

// As thread_state.S lays it out.
static_assert(sizeof(weft::detail::thread_state) == WEFT_THREAD_STATE_SIZE || !WEFT_THREAD_STATE_ELF);
static_assert(offsetof(weft::detail::thread_state, asked) == 0 &&
              offsetof(weft::detail::thread_state, at_rest) == sizeof(void*));
static_assert(offsetof(weft::detail::thread_state, idle) == WEFT_THREAD_STATE_SIZE - 16 || !WEFT_THREAD_STATE_ELF);
static_assert(offsetof(weft::detail::thread_state, idle_limit) == WEFT_THREAD_STATE_SIZE - 8 || !WEFT_THREAD_STATE_ELF);
static_assert(WEFT_THREAD_STATE_NOT_IN_USE == weft::detail::not_in_use);
static_assert(std::uintptr_t(WEFT_THREAD_STATE_ASK) == weft::detail::ask_library);

namespace weft {
namespace {

// So that debugger.cpp is part of every program with fibers.
WEFT_FOR_DEBUGGERS constinit const detail::debugger_layout* const for_debuggers = &weft_debugger_layout;

constexpr const char* running_was_destroyed =
    "weft: a running fiber was destroyed: destroy it from outside, after it has suspended or ended";

// The body has ended: control is to go to the resumer, with no more questions.
WEFT_ALWAYS_INLINE void end(detail::fiber_record& fiber) noexcept {
    if (fiber.state != detail::plain) [[unlikely]] {
        if (fiber.state & detail::abandoned) detail::fatal(running_was_destroyed);
        verify_checksum(fiber);
        set_marks(fiber.context, detail::not_resumable); // one that was unwound or is checked has more
        fiber.state &= detail::threw;
    }
    advance(fiber.progress, detail::ended);
}

#if WEFT_EXCEPTIONS
// In a handler: this is what leaves the body.
void fail(detail::fiber_record& fiber) noexcept {
    fiber.details->failure = detail::exception_in_hand();
    fiber.state |= detail::threw;
    fiber.progress |= detail::failed;
}

// In a handler of what no exception_ptr can hold, an exception of another language or the end of the thread: it stays in
// hand, and so it gets to the resumer, see rethrow_foreign(). The handler is never left, so this stack has had its last
// body.
[[gnu::noinline, gnu::cold]] void fail_with_foreign(detail::fiber_record& fiber) noexcept {
    fiber.progress |= detail::own_stack;
    end(fiber);
    detail::departure{}.to_resumer(fiber.details->sanitizer, true);
    detail::switch_to_resumer_for_good(fiber.context);
    detail::fatal("weft: a fiber that had ended was resumed: its control block was overwritten");
}
#endif

// The first function on a fiber's stack, which never returns. Where a body has ended, another one may follow, see
// take_idle_fiber(); so nothing is to be taken for constant in here. (UndefinedBehaviorSanitizer takes the handler of
// abi::__forced_unwind, of which there is no object, for one of a null reference.)
__attribute__((no_sanitize("null"))) void fiber_main(void* argument) noexcept {
    auto& fiber = *static_cast<detail::fiber_record*>(argument);
    for (;;) {
        advance(fiber.progress, detail::begun);
        detail::departure{}.back_in_fiber(fiber.details->sanitizer);
        if constexpr (detail::checks_contexts) set_checksum(fiber);
#if WEFT_EXCEPTIONS
        try {
            fiber.details->operations->run(fiber);
        } catch (const forced_unwind& unwind) {
            if (!unwind.unwinds(fiber)) fail(fiber); // of an outer fiber: on to our resumer
#    if defined(__GLIBCXX__)
        } catch (const abi::__forced_unwind&) { // by pthread_exit or pthread_cancel; no handler of it may be left
            if (fiber.state & detail::unwinding)
                detail::fatal("weft: a thread was ended (pthread_exit, pthread_cancel) in the body of a fiber that it was "
                              "destroying: end it outside, or disable its cancellation meanwhile");
            fail(fiber);
            fail_with_foreign(fiber);
#    endif
        } catch (...) {
            fail(fiber);
            if (!fiber.details->failure && !(fiber.state & detail::unwinding)) fail_with_foreign(fiber);
        }
#else
        fiber.details->operations->run(fiber);
#endif
        end(fiber);
        detail::departure{}.to_resumer(fiber.details->sanitizer, true);
        detail::switch_to_resumer_for_good(fiber.context);
        if (fiber.progress & detail::ended) [[unlikely]]
            detail::fatal("weft: a fiber that had ended was resumed: its control block was overwritten");
    }
}

} // namespace

fiber_error::~fiber_error() = default;
not_in_fiber::~not_in_fiber() = default;

namespace detail {

namespace {
[[maybe_unused]] alignas(16) constinit char with_all_marks[16]{};
}
constinit const fiber_record no_fiber = [] {
    fiber_record fiber{};
    if constexpr (inverted_marks == 0) // else 0 is not resumable
        fiber.context.*marked = with_all_marks + (all_marks & 15);
    fiber.progress = ended;
    return fiber;
}();

// Nor inlined by the linker into a body, which may have switched: it asks for a thread_local address.
[[gnu::noinline]] fiber_record& prepare(fiber_details& details, stack_bounds memory) {
    const auto size = reinterpret_cast<std::uintptr_t>(&details) - reinterpret_cast<std::uintptr_t>(memory.lowest);
    fiber_record& fiber = *new (allocate_record()) fiber_record;
    fiber.details = &details;
    details.sanitizer.create(memory.lowest, size);
    add_leak_root(memory.lowest, memory.size);
    make_control_block(fiber.context, &details, size, &fiber_main, &fiber);
    if constexpr (checks_contexts) {
        fiber.progress = always_checked;
        begin_to_check(fiber);
    }
    return fiber;
}

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

// The process has begun to end: exit() destroys what is in static storage.
constinit std::atomic<bool> exiting{false};

// From now on weft knows this thread's exceptions, and the thread's overflows are reported, if any are.
void get_to_know(thread_state& thread) noexcept {
    if (thread.at_rest != weft_exceptions_not_asked_for.data()) return;
    // exit() goes backwards: so this is known before anything is destroyed that was there before the first resume.
    [[maybe_unused]] static const int registered = std::atexit([] { exiting.store(true, std::memory_order_relaxed); });
    watch_this_thread();
    const bool rests = thread.asked == thread.at_rest;
    thread.at_rest = rest_of(thread_exceptions());
    if (rests) thread.asked = thread.at_rest;
}

// The fiber has suspended, and its resumer's exceptions and control words are in place again.
void wait_until_resumed(fiber_record& fiber) noexcept {
    note_thread(fiber);
    if (fiber.details->inner || fiber.details->bindings || fiber.details->exceptions.any())
        wait_with_care(fiber, 0); // it holds an exception, another fiber, or what belongs to this thread
    else if (fiber.progress & own_fp)
        wait_with_care(fiber, but_for_fp);
    else
        wait_plainly(fiber);
    set_checksum(fiber);
}

// Runs a suspended fiber, whose checksum is right, whatever it or its resumer has beside registers.
void* run(fiber_record& fiber, std::uint32_t and_unwinding = 0) noexcept {
    thread_state& thread = this_thread();
    get_to_know(thread);
    fiber_record* const outer = running_fiber(thread);
    fiber_record& last = innermost(fiber); // where it was suspended: itself, or a fiber it had resumed
    check_migration(fiber);
    if (outer) {
        outer->details->inner = &fiber;
        outer->state |= has_inner;
    }
    fiber.details->outer = outer;
    wait_plainly(fiber);
    fiber.state |= and_unwinding | (fiber.details->inner ? has_inner : 0U);
    set_running_fiber(thread, &last);

    const exception_state mine = exceptions_of(thread);
    exceptions_of(thread) = std::exchange(fiber.details->exceptions, {});
    enter_fp(fiber);

    departure d;
    d.to_fiber(fiber.details->sanitizer, last.details->sanitizer);
    void* const handed_over = switch_to_fiber(fiber.context);
    d.back_in_resumer();

    thread_state& now = this_thread();
    leave_fp(fiber);
    fiber.details->exceptions = std::exchange(exceptions_of(now), mine);
    set_running_fiber(now, outer);
    fiber.details->outer = nullptr;
    if (outer) {
        outer->details->inner = nullptr;
        outer->state &= ~std::uint32_t{has_inner};
    }
    if (fiber.progress & ended) return nullptr;
    wait_until_resumed(fiber);
    return handed_over;
}

// Runs one that is suspended but_for_fp, where no fiber runs and nobody is handling an exception. Out of line: the
// switch is not what this costs.
void* run_with_own_fp(fiber_record& fiber) {
    set_running_fiber(this_thread(), &fiber);
    wait_plainly(fiber);
    fiber.details->fp = fp_state::exchange(fiber.details->fp);

    departure d;
    d.to_fiber(fiber.details->sanitizer, fiber.details->sanitizer);
    void* const handed_over = switch_to_fiber(fiber.context);
    d.back_in_resumer();

    thread_state& now = this_thread();
    set_running_fiber(now, nullptr);
    if (fiber.state != plain || exceptions_of(now).any()) [[unlikely]] {
        came_back_with_care(fiber);
        return handed_over;
    }
    fiber.details->fp = fp_state::exchange(fiber.details->fp);
    wait_with_care(fiber, but_for_fp);
    return handed_over;
}

// Can forced_unwind pass through all that waits on its stack and on those of the fibers it has resumed?
bool can_be_unwound(const fiber_record& fiber) noexcept {
    if (!WEFT_EXCEPTIONS) return false;
    const fiber_record* f = &fiber;
    while (f && f->details->operations->unwinds) f = f->details->inner;
    return f == nullptr;
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

// Runs one that is plain, in `outer`, where nobody is handling an exception.
void* run_in(fiber_record& outer, fiber_record& fiber) {
    thread_state& thread = this_thread();
    outer.details->inner = &fiber;
    outer.state |= has_inner;
    fiber.details->outer = &outer;
    set_running_fiber(thread, &fiber);

    departure d;
    d.to_fiber(fiber.details->sanitizer, fiber.details->sanitizer);
    void* const handed_over = switch_to_fiber(fiber.context);
    d.back_in_resumer();

    thread_state& now = this_thread();
    set_running_fiber(now, &outer);
    outer.details->inner = nullptr;
    outer.state &= ~std::uint32_t{has_inner};
    fiber.details->outer = nullptr;
    if (fiber.state != plain || exceptions_of(now).any()) [[unlikely]]
        came_back_with_care(fiber);
    return handed_over;
}

[[noreturn]] void throw_not_resumable(const fiber_record& fiber) {
    if (!is_fiber(fiber)) throw_or_die(fiber_error("weft: resume() of an empty fiber: it was moved from or never given a body"));
    const bool generator = fiber.details->operations->yields;
    if (fiber.progress & ended)
        throw_or_die(fiber_error(generator ? "weft::generator: ++ of an iterator at the end: compare it with end() before"
                                           : "weft: resume() of a fiber that has ended: ask done() before resuming"));
    if (generator)
        throw_or_die(fiber_error("weft::generator: ++ while the body runs: it is for who takes the elements, not for the "
                                 "body, and for one thread at a time"));
    throw_or_die(
        fiber_error("weft: resume() of a running fiber: only a suspended one can be resumed, by one thread at a time"));
}

} // namespace

void throw_cannot_begin(const fiber_record& fiber) {
    throw_or_die(fiber_error(is_fiber(fiber) ? "weft::generator: begin() was called before, and the elements are made once: "
                                               "keep its iterator, or make another generator"
                                             : "weft::generator: begin() of a generator that was moved from"));
}

void* resume_with_care(fiber_record& fiber) {
    if (!waits(fiber)) throw_not_resumable(fiber);
    thread_state& thread = this_thread();
    get_to_know(thread);
    verify_checksum(fiber);
    if (!exceptions_of(thread).any()) {
        fiber_record* const outer = running_fiber(thread);
        if (resumable(fiber)) return outer ? run_in(*outer, fiber) : resume(fiber);
        if (!outer && fiber.state & but_for_fp) return run_with_own_fp(fiber);
    }
    void* const handed_over = run(fiber);
    rethrow_failure(fiber);
    return handed_over;
}

namespace {
[[gnu::noinline]] void came_back_suspended(fiber_record& fiber) {
    leave_fp(fiber);
    thread_state& thread = this_thread();
    get_to_know(thread);
    fiber.details->exceptions = std::exchange(exceptions_of(thread), {});
    wait_until_resumed(fiber);
}
} // namespace

void came_back_with_care(fiber_record& fiber) {
    if (!(fiber.progress & ended)) return came_back_suspended(fiber);
    if (fiber.progress & own_fp) leave_fp(fiber);
    fiber.details->exceptions = std::exchange(exceptions_of(this_thread()), {}); // none, but for rethrow_foreign()
    rethrow_failure(fiber);
}

namespace {
void throw_if_unwinding([[maybe_unused]] fiber_record& fiber) {
#if WEFT_EXCEPTIONS
    if (!(fiber.state & unwinding)) return;
    set_marks(fiber.context, all_marks); // it may swallow this, and come again
    throw forced_unwind{fiber};
#endif
}

// Before a suspend() by what is checked or does not run, or in one that is being unwound.
void check_leaving(fiber_record& fiber, bool with_value) {
    if (fiber.state & abandoned) fatal(running_was_destroyed);
    if (waits(fiber) || fiber.progress & ended || fiber.state & set_aside)
        throw_or_die(fiber_error(fiber.details->operations->yields
                                     ? "weft::generator: yield() while the body does not run: it is for the body, and for "
                                       "what the body calls"
                                     : "weft: suspend() of a fiber that is not running: only the fiber itself, or one it "
                                       "has resumed, can suspend it"));
    verify_checksum(fiber);
    throw_if_unwinding(fiber);
    if (fiber.state & checked) {
        if (fiber.details->operations->yields && !with_value)
            throw_or_die(fiber_error(
                "weft: a generator's body was suspended without a value: it suspends by yield() alone"));
        set_marks(fiber.context, not_resumable);
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

void suspend_with_care(fiber_record& fiber) {
    check_suspend(fiber);
    departure d;
    d.to_resumer(fiber.details->sanitizer, false);
    switch_to_resumer(fiber.context);
    d.back_in_fiber(fiber.details->sanitizer);
}

void resumed_with_care(fiber_record& fiber) {
    set_checksum(fiber);
    throw_if_unwinding(fiber);
}

namespace {
// Does its body run on this thread, or wait for a fiber that it has resumed, or as a fiber_context?
bool runs_here(const fiber_record& fiber) noexcept {
    const fiber_record* f = running_fiber(this_thread());
    while (f && f != &fiber) f = f->details->outer;
    return f || fiber.state & set_aside;
}

// A fiber that runs is destroyed. When that is done on its own stack it may be by exit(), called in the body, which
// destroys what is in static storage or the thread's: the body does not go on then, and neither is it unwound. If it does
// go on, this was an error, which is told when it comes to a suspension or to its end. On other stacks it is told now,
// unless the process is known to end.
void abandon(fiber_record& fiber) noexcept {
    if (runs_here(fiber)) {
        verify_checksum(fiber);
        fiber.state |= abandoned;
        set_marks(fiber.context, all_marks);
    } else if (!exiting.load(std::memory_order_relaxed)) {
        fatal(running_was_destroyed);
    }
}

// Of a fiber that has not run to its end: ends it.
void end_early(fiber_record& fiber) noexcept {
    if (!(fiber.progress & begun)) return fiber.details->operations->destroy_body(fiber);
    if (!can_be_unwound(fiber))
        fatal("weft: a suspended fiber was destroyed that cannot be unwound: its body, one that it waits for or "
              "weft itself was compiled without exceptions; resume it to its end first");
    verify_checksum(fiber);
    run(fiber, unwinding); // to the end: then no suspension gives control back
}

} // namespace

void destroy_with_care(fiber_record& fiber) noexcept {
    if (!(fiber.progress & ended)) {
        if (!waits(fiber)) return abandon(fiber);
        end_early(fiber);
    }
    fiber.details->failure = nullptr; // an exception's destructor may do anything, switch to another thread, too
    if (!(fiber.progress & own_stack)) return keep_idle_fiber(fiber);
    const stack_bounds memory = fiber.details->operations->memory(fiber);
    remove_leak_root(memory.lowest, memory.size);
    fiber.details->sanitizer.destroy();
    fiber.details->operations->release(fiber);
    free_record(fiber);
}

#if WEFT_ASAN
namespace {

// A body may call exit(). LeakSanitizer, which looks last of all, then takes the body's stack for that of the thread: it is
// told of the thread's own, where whoever resumed the outermost fiber has its variables.
void add_stack_of_exiting_thread() {
    const fiber_record* fiber = running_fiber(this_thread());
    if (!fiber) return;
    while (fiber->details->outer) fiber = fiber->details->outer;
    add_leak_root(fiber->details->sanitizer.resumer.lowest, fiber->details->sanitizer.resumer.size);
}
[[maybe_unused]] const int told_at_exit = std::atexit(add_stack_of_exiting_thread);

} // namespace
#endif

void throw_stack_too_small(std::size_t size, std::size_t needed) {
    throw_or_die(std::invalid_argument("weft: a stack of " + std::to_string(size) +
                                       " bytes cannot hold this fiber's body; give it " + std::to_string(needed) +
                                       " bytes or more, or capture less"));
}

void throw_stack_named_twice() {
    throw_or_die(std::invalid_argument("weft: fiber_options::stack_size beside a stack allocator, which decides on the "
                                       "size: name one of the two"));
}

} // namespace detail

namespace this_fiber {

void suspend() {
    fiber_ref fiber = get();
    fiber.suspend();
}

fiber_ref get() {
    if (detail::fiber_record* const current = detail::running_fiber(detail::this_thread())) return fiber_ref{*current};
    detail::throw_or_die(
        not_in_fiber("weft: this_fiber is used outside of a fiber: call it from a fiber's body or below it"));
}

} // namespace this_fiber

} // namespace weft
