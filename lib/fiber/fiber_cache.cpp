// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include "fiber_cache.h"

#include "../stack/process_pools.h"
#include "../stack/stack_keeper.h"
#include "../stack/thread_cache.h"
#include "../thread/thread_state.h"
#include "checksum.h"
#include "leak_roots.h"
#include "records.h"

#include <weft/fiber.hpp>

#include <cstdint>

namespace weft::detail {
namespace {

// A stack that a tool watches begins and ends with its fiber. And a switch that keeps rounding modes would give the
// next body those of the last one.
constexpr bool keeps_any =
    !switch_keeps_fp && !WEFT_ASAN && !WEFT_HWASAN && !WEFT_MSAN && !WEFT_TSAN && !WEFT_TELLS_VALGRIND;

constinit thread_local thread_cache<fiber_record> my_cache{};

void discard(fiber_record& fiber) noexcept {
    const stack_bounds memory = cached_fiber_frame::memory(fiber);
    remove_leak_root(memory.lowest, memory.size);
    fiber.details->sanitizer.destroy();
    cached_fiber_frame::release(fiber);
    free_record(fiber);
}

// The fiber in the thread's state, whatever the thread's limit, or null.
fiber_record* fiber_at_hand(const thread_state& thread) noexcept {
    return thread.cached > not_in_use ? reinterpret_cast<fiber_record*>(thread.cached) : nullptr;
}
void set_at_hand(thread_state& thread, const fiber_record& fiber) noexcept {
    thread.cached = reinterpret_cast<std::uintptr_t>(&fiber);
}

// The one kept last, or null.
fiber_record* take_kept() noexcept {
    thread_state& thread = this_thread();
    if (fiber_record* const fiber = fiber_at_hand(thread)) {
        thread.cached = room_for_one;
        return fiber;
    }
    return my_cache.count != 0 ? my_cache.pop() : nullptr;
}

// Is its stack of the size that is the default now?
bool is_current(const fiber_record& fiber) noexcept {
    return is_default_stack(cached_fiber_frame::memory(fiber).size);
}

void discard_all() noexcept {
    while (my_cache.count != 0) discard(*my_cache.pop());
    thread_state& thread = this_thread();
    fiber_record* const last = fiber_at_hand(thread);
    thread.cached = my_cache.phase == cache_phase::in_use ? room_for_one : not_in_use;
    if (last) discard(*last);
    if (my_cache.phase == cache_phase::closed) unwatch_default_size();
}

std::size_t kept() noexcept {
    const fiber_record* const last = fiber_at_hand(this_thread());
    std::size_t current = last && is_current(*last);
    for (std::size_t n = 0; n < my_cache.count; ++n) current += is_current(*my_cache.kept[n]);
    return current;
}

constinit const stack_keeper keeper{&kept, &discard_all};

// The first time that a thread keeps one.
bool begin_to_keep() noexcept {
    if (my_cache.phase == cache_phase::unused) watch_default_size(this_thread().cache_limit, any_record, ask_library);
    return open_cache<&discard_all>(my_cache.phase);
}

} // namespace

// Nor inlined by the linker into a body, which may have switched.
[[gnu::noinline]] fiber_record& take_another_cached_fiber() {
    fiber_record* fiber;
    while ((fiber = take_kept()) && !is_current(*fiber)) discard(*fiber);
    if (!fiber) return cached_fiber_frame::create(default_stack_allocator{});
    let_resume(fiber->block);
    if (fiber->progress & always_checked) begin_to_check(*fiber);
    return *fiber;
}

[[gnu::noinline]] void cache_fiber(fiber_record& fiber) noexcept {
    forget_body(fiber);
    if (!keeps_any || !begin_to_keep()) return discard(fiber);
    keeper_of_stacks.store(&keeper, std::memory_order_relaxed);
    keep_only_checking(fiber);
    thread_state& thread = this_thread();
    fiber_record* keep = &fiber;
    if (!(fiber.progress & always_checked)) { // to take one with a checksum is not for inline code
        keep = fiber_at_hand(thread);
        set_at_hand(thread, fiber);
    }
    if (!keep) return;
    if (my_cache.count == my_cache.capacity)
        while (my_cache.count > my_cache.capacity / 2) discard(*my_cache.pop());
    my_cache.push(keep);
}

} // namespace weft::detail
