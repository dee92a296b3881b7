// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/switch/control_block.hpp>
#include <weft/switch.hpp>

#include <cstdint>

// The switch of a control block on Boost.Context's fcontext.
//
// Its operations, in the order of every machine's header (lib/switch/<architecture>.S has those of the bare switch):
//   waiting_in(block)                        what waits there, loaded before it is decided whether to switch; AArch64 only
//   switch_to_fiber(block), (block, flow)    resumer to fiber; returns what is passed to the resumer. The second: AArch64 only
//   switch_to_resumer(block), (block, word)  fiber to resumer, with nothing or a word passed
//   switch_to_resumer_for_good(block)        the same of a fiber that is not resumable until it is released
//   try_switch_to_resumer(block)             the same if it is suspendable, in one statement; AArch64 only
//   switch_tests_tag                         are there those that only AArch64 has? See inline_switch.hpp

namespace weft::detail {

/// Control arrives with the context that was left and, in the address of the block that was left through, with the
/// tag bits of that flow: whoever arrives puts both where they belong.
WEFT_ALWAYS_INLINE control_block& put_into_block(context left, void* block_and_bits) noexcept {
    const auto bits = reinterpret_cast<std::uintptr_t>(block_and_bits) & all_tags;
    auto& block = *reinterpret_cast<control_block*>(reinterpret_cast<std::uintptr_t>(block_and_bits) - bits);
    block.context = left;
    set_tags(block, tag_bits(bits));
    return block;
}

/// The switch on Boost.Context's fcontext; leaves a flow of which these tags hold. Always inlined, as all that a switch passes
/// through is on one side only or on both alike: ThreadSanitizer counts calls.
WEFT_ALWAYS_INLINE void switch_through(control_block& block, std::uintptr_t tags) {
    set_tags(block, all_tags);
    const transfer arrived =
        jump_context(block.context, reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(&block) + tag_bits(tags)));
    put_into_block(arrived.from, arrived.data);
}

WEFT_ALWAYS_INLINE void* switch_to_fiber(control_block& block) {
    switch_through(block, suspendable_tag);
    return block.handed_over;
}
WEFT_ALWAYS_INLINE void switch_to_resumer(control_block& block) {
    switch_through(block, resumable_tag);
}
WEFT_ALWAYS_INLINE void switch_to_resumer(control_block& block, void* hand_over) {
    block.handed_over = hand_over;
    switch_through(block, resumable_tag);
}
WEFT_ALWAYS_INLINE void switch_to_resumer_for_good(control_block& block) {
    switch_through(block, no_tag);
}

inline constexpr bool switch_tests_tag = false;

} // namespace weft::detail
