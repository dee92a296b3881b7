// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/switch/control_block.hpp>
#include <weft/switch.hpp>

namespace weft::detail {

/// Control arrives with the context that was left and, in the address of the block that was left through, with the
/// marks of that flow: whoever arrives puts both where they belong.
WEFT_ALWAYS_INLINE control_block& put_into_block(context left, void* block_and_marks) noexcept {
    const auto marks = reinterpret_cast<std::uintptr_t>(block_and_marks) & all_marks;
    auto& block = *reinterpret_cast<control_block*>(reinterpret_cast<std::uintptr_t>(block_and_marks) - marks);
    block.context = left;
    set_marks(block, marks);
    return block;
}

/// The switch on Boost.Context's fcontext; leaves a flow with `marks`. Always inlined, as all that a switch passes
/// through is on one side only or on both alike: ThreadSanitizer counts calls.
WEFT_ALWAYS_INLINE void switch_through(control_block& block, std::uintptr_t marks) {
    set_marks(block, 0);
    const transfer arrived =
        jump_context(block.context, reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(&block) + marks));
    put_into_block(arrived.from, arrived.data);
}

WEFT_ALWAYS_INLINE void* switch_to_fiber(control_block& block) {
    switch_through(block, not_resumable);
    return block.handed_over;
}
WEFT_ALWAYS_INLINE void switch_to_resumer(control_block& block) {
    switch_through(block, not_suspendable);
}
WEFT_ALWAYS_INLINE void switch_to_resumer(control_block& block, void* hand_over) {
    block.handed_over = hand_over;
    switch_through(block, not_suspendable);
}
WEFT_ALWAYS_INLINE void switch_to_resumer_for_good(control_block& block) {
    switch_through(block, all_marks);
}

inline constexpr bool switch_asks_mark = false;

} // namespace weft::detail
