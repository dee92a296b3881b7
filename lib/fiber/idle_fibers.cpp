// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "idle_fibers.h"

#include "../stack/stack_keeper.h"
#include "../stack/thread_cache.h"
#include "records.h"

#include <weft/fiber.hpp>

namespace weft::detail {
namespace {

// A stack that somebody watches begins and ends with its fiber. And a switch that keeps rounding modes would give the
// next body those of the last one.
constexpr bool keeps_any =
    !switch_keeps_fp && !WEFT_ASAN && !WEFT_HWASAN && !WEFT_MSAN && !WEFT_TSAN && !WEFT_VALGRIND;

#if defined(__linux__)
[[gnu::tls_model("initial-exec")]]
#endif
constinit thread_local thread_cache<fiber_record> mine{};

void discard(fiber_record& fiber) noexcept {
    fiber.details->sanitizer.destroy();
    idle_fiber_frame::release(fiber);
    free_record(fiber);
}

void discard_all() noexcept {
    while (mine.count != 0) discard(*mine.pop());
}

constinit const stack_keeper keeper{[]() noexcept { return mine.count; }, &discard_all};

// When this thread's cache is full, or not in use.
[[gnu::noinline]] void keep_beyond_cache(fiber_record& fiber) noexcept {
    if (!keeps_any || !open_cache<&discard_all>(mine.phase)) return discard(fiber);
    keeper_of_stacks.store(&keeper, std::memory_order_relaxed);
    while (mine.count > mine.capacity / 2) discard(*mine.pop());
    mine.push(&fiber);
}

// When its body has left something.
[[gnu::noinline]] void keep_cleared(fiber_record& fiber) noexcept {
    fiber.details->failure = nullptr; // an exception's destructor may do anything, with fibers, too
    fiber.details->name = nullptr;
    keep_idle_fiber(fiber);
}

} // namespace

// Nor inlined by the linker into a body, which may have switched.
[[gnu::noinline]] fiber_record& WEFT_CONTEXT_ABI::take_idle_fiber() {
    if (mine.count == 0) [[unlikely]]
        return idle_fiber_frame::create(default_stack_allocator{});
    fiber_record& fiber = *mine.pop();
    fiber.progress = prepared;
    fiber.own_fp = false;
    wait_plainly(fiber);
    if constexpr (seals_blocks) seal_block(fiber);
    return fiber;
}

[[gnu::noinline]] void keep_idle_fiber(fiber_record& fiber) noexcept {
    fiber_details& details = *fiber.details;
    details.operations = nullptr; // so debuggers do not take it for one
    if (details.driver) details.driver = nullptr; // cheaper to ask than to store
    if (details.failure || details.name) return keep_cleared(fiber);
    if (mine.phase != cache_phase::in_use || mine.count == mine.capacity) [[unlikely]]
        return keep_beyond_cache(fiber);
    mine.push(&fiber);
}

} // namespace weft::detail
