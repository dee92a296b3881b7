// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "idle_fibers.h"

#include "../stack/stack_keeper.h"
#include "../stack/thread_cache.h"
#include "checksum.h"
#include "leak_roots.h"
#include "records.h"

#include <weft/fiber.hpp>

#include <cstdint>

namespace weft::detail {
namespace {

// A stack that somebody watches begins and ends with its fiber. And a switch that keeps rounding modes would give the
// next body those of the last one.
constexpr bool keeps_any =
    !switch_keeps_fp && !WEFT_ASAN && !WEFT_HWASAN && !WEFT_MSAN && !WEFT_TSAN && !WEFT_VALGRIND;

constinit thread_local thread_cache<fiber_record> mine{};

void discard(fiber_record& fiber) noexcept {
    const stack_bounds memory = idle_fiber_frame::memory(fiber);
    remove_leak_root(memory.lowest, memory.size);
    fiber.details->sanitizer.destroy();
    idle_fiber_frame::release(fiber);
    free_record(fiber);
}

fiber_record& fiber_at_hand(const thread_state& thread) noexcept {
    return *reinterpret_cast<fiber_record*>(thread.idle);
}
void set_at_hand(thread_state& thread, const fiber_record& fiber) noexcept {
    thread.idle = reinterpret_cast<std::uintptr_t>(&fiber);
}

void discard_all() noexcept {
    while (mine.count != 0) discard(*mine.pop());
    thread_state& thread = this_thread();
    fiber_record* const last = at_hand(thread) ? &fiber_at_hand(thread) : nullptr;
    thread.idle = mine.phase == cache_phase::in_use ? room_for_one : not_in_use;
    if (last) discard(*last);
}

constinit const stack_keeper keeper{[]() noexcept { return mine.count + at_hand(this_thread()); }, &discard_all};

} // namespace

// Nor inlined by the linker into a body, which may have switched.
[[gnu::noinline]] fiber_record& take_another_idle_fiber() {
    if (mine.count == 0) return idle_fiber_frame::create(default_stack_allocator{});
    fiber_record& fiber = *mine.pop();
    let_resume(fiber.context);
    if (fiber.progress & always_checked) begin_to_check(fiber);
    return fiber;
}

[[gnu::noinline]] void keep_idle_fiber(fiber_record& fiber) noexcept {
    fiber_details& details = *fiber.details;
    details.name = nullptr;
    details.driver = nullptr; // of one that was unwound
    set_marks(fiber.context, all_marks); // of one that has not begun
    fiber.state = plain;
    if (!keeps_any || !open_cache<&discard_all>(mine.phase)) return discard(fiber);
    keeper_of_stacks.store(&keeper, std::memory_order_relaxed);
    fiber.progress &= always_checked;
    thread_state& thread = this_thread();
    fiber_record* keep = &fiber;
    if (!(fiber.progress & always_checked)) { // to take one with a checksum is not for inline code
        keep = at_hand(thread) ? &fiber_at_hand(thread) : nullptr;
        set_at_hand(thread, fiber);
    }
    if (!keep) return;
    if (mine.count == mine.capacity)
        while (mine.count > mine.capacity / 2) discard(*mine.pop());
    mine.push(keep);
}

} // namespace weft::detail
