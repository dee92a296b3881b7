// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "../thread/thread_state.h"
#include "checksum.h"
#include "errors.h"
#include "fiber_cache.h"
#include "invariants.h"
#include "leak_roots.h"
#include "records.h"
#include "resume.h"

#include <weft/detail/base/throw_or_die.hpp>
#include <weft/detail/fiber/current_fiber.hpp>
#include <weft/detail/fiber/fiber_record.hpp>
#include <weft/detail/fiber/fiber_state.hpp>
#include <weft/detail/fiber/resume.hpp>
#include <weft/detail/fiber/sanitizer_switch.hpp>
#include <weft/detail/switch/control_block.hpp>
#include <weft/detail/thread/exception_in_hand.hpp>
#include <weft/fiber.hpp>

#include <cstdint>
#include <cstdlib>

// How a fiber is made, how its body begins and ends, and how it is destroyed.
namespace weft::detail {

namespace {
[[maybe_unused]] alignas(16) constinit char with_no_tag[16]{};
}
constinit const fiber_record no_fiber = [] {
    fiber_record fiber{};
    if constexpr (told_by_zero & resumable_tag) // else 0 is not resumable
        fiber.block.*tagged = with_no_tag + (tag_bits(no_tag) & 15);
    never_begin(fiber);
    return fiber;
}();

namespace {

[[gnu::used]] constinit const char* const for_debuggers = &seen_by_debuggers;

// The body has ended: control is to go to the resumer, with no more questions.
WEFT_ALWAYS_INLINE void end(fiber_record& fiber) noexcept {
    if (fiber.state != plain) [[unlikely]] {
        if (fiber.state & abandoned) fatal(running_was_destroyed);
        verify_checksum(fiber);
        run_out(fiber); // of one that was unwound or is checked no tag holds
    }
    advance(fiber, ended);
}

#if WEFT_EXCEPTIONS
// In a handler of what no exception_ptr can hold, an exception of another language or the end of the thread: it stays in
// hand, and so it gets to the resumer, see rethrow_foreign(). The handler is never left, so this stack has had its last
// body.
[[gnu::noinline, gnu::cold]] void fail_with_foreign(fiber_record& fiber) noexcept {
    end_with_stack(fiber);
    end(fiber);
    leave_not_resumable(fiber);
    fatal("weft: a fiber that had ended was resumed: its control block was overwritten");
}
#endif

// The first function on a fiber's stack, which never returns. Where a body has ended, another one may follow, see
// take_cached_fiber(); so nothing is to be taken for constant in here. (UndefinedBehaviorSanitizer takes the handler of
// abi::__forced_unwind, of which there is no object, for one of a null reference.)
__attribute__((no_sanitize("null"))) void fiber_main(void* argument) noexcept {
    auto& fiber = *static_cast<fiber_record*>(argument);
    for (;;) {
        advance(fiber, begun);
        sanitizer_switch{}.back_in_fiber(fiber.details->sanitizer);
        if constexpr (checks_contexts) set_checksum(fiber);
#if WEFT_EXCEPTIONS
        try {
            fiber.details->operations->run(fiber);
        } catch (const forced_unwind& unwind) {
            if (!unwind.unwinds(fiber)) fail(fiber, exception_in_hand()); // of an outer fiber: on to our resumer
#    if defined(__GLIBCXX__)
        } catch (const abi::__forced_unwind&) { // by pthread_exit or pthread_cancel; no handler of it may be left
            if (fiber.state & unwinding)
                fatal("weft: a thread was ended (pthread_exit, pthread_cancel) in the body of a fiber that it was "
                      "destroying: end it outside, or disable its cancellation meanwhile");
            fail(fiber, exception_in_hand());
            fail_with_foreign(fiber);
#    endif
        } catch (...) {
            fail(fiber, exception_in_hand());
            if (!fiber.details->failure && !(fiber.state & unwinding)) fail_with_foreign(fiber);
        }
#else
        fiber.details->operations->run(fiber);
#endif
        end(fiber);
        leave_not_resumable(fiber);
        if (fiber.progress & ended) [[unlikely]]
            fatal("weft: a fiber that had ended was resumed: its control block was overwritten");
    }
}

} // namespace

// Nor inlined by the linker into a body, which may have switched: it asks for a thread_local address.
[[gnu::noinline]] fiber_record& prepare(fiber_details& details, stack_bounds memory) {
    const auto size = reinterpret_cast<std::uintptr_t>(&details) - reinterpret_cast<std::uintptr_t>(memory.lowest);
    fiber_record& fiber = *new (allocate_record()) fiber_record;
    fiber.details = &details;
    details.sanitizer.create(memory.lowest, size);
    add_leak_root(memory.lowest, memory.size);
    make_control_block(fiber.block, &details, size, &fiber_main, &fiber);
    if constexpr (checks_contexts) {
        set_always_checked(fiber);
        begin_to_check(fiber);
    }
    return fiber;
}

namespace {

// Can forced_unwind pass through all that waits on its stack and on those of the fibers it has resumed?
bool can_be_unwound(const fiber_record& fiber) noexcept {
    if (!WEFT_EXCEPTIONS) return false;
    const fiber_record* f = &fiber;
    while (f && f->details->operations->unwinds) f = f->details->inner;
    return f == nullptr;
}

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
        abandon_running(fiber);
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
    unwind(fiber); // to the end: then no suspension gives control back
}

} // namespace

void destroy_slow(fiber_record& fiber) noexcept {
    if (!(fiber.progress & ended)) {
        if (!waits(fiber)) return abandon(fiber);
        check_state(fiber);
        end_early(fiber);
    }
    fiber.details->failure = nullptr; // an exception's destructor may do anything, switch to another thread, too
    if (!(fiber.progress & last_body)) return cache_fiber(fiber);
    const stack_bounds memory = fiber.details->operations->memory(fiber);
    remove_leak_root(memory.lowest, memory.size);
    fiber.details->sanitizer.destroy();
    fiber.details->operations->release(fiber);
    free_record(fiber);
}

#if WEFT_ASAN
namespace {

// A body may call exit(). LeakSanitizer, which looks last of all, then takes the body's stack for that of the thread: it is
// told of the thread's own, where the resumer of the outermost fiber has its variables.
void add_stack_of_exiting_thread() {
    const fiber_record* fiber = running_fiber(this_thread());
    if (!fiber) return;
    while (fiber->details->outer) fiber = fiber->details->outer;
    add_leak_root(fiber->details->sanitizer.resumer.lowest, fiber->details->sanitizer.resumer.size);
}
[[maybe_unused]] const int told_at_exit = std::atexit(add_stack_of_exiting_thread);

} // namespace
#endif

} // namespace weft::detail
