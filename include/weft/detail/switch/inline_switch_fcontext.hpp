// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/switch/control_block.hpp>
#include <weft/switch.hpp>

#include <cstdint>

// The switch of a control block on Boost.Context's fcontext.
//
// Its operations, in the order of every machine's header (lib/switch/<architecture>.S has the out-of-line switch):
//   waiting_in(block)                        AArch64 only: what waits there, loaded before the decision to switch
//   switch_to_fiber(block), (block, flow)    resumer to fiber; returns the passed value. The second: AArch64 only
//   switch_to_resumer(block), (block, word)  fiber to resumer, with nothing or a word passed
//   switch_to_resumer_not_resumable(block)   the same, and the fiber is not resumable until let_resume()
//   try_switch_to_resumer(block)             AArch64 only: the same if it is suspendable, in one statement
//   switch_tests_tag                         true if the operations of AArch64 only exist, see inline_switch.hpp

namespace weft::detail {

/// Control arrives with the context that was left and, in the address of the block that was left through, with the
/// tag bits of that flow: the flow that arrives puts both where they belong.
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
    return block.passed_value;
}
WEFT_ALWAYS_INLINE void switch_to_resumer(control_block& block) {
    switch_through(block, resumable_tag);
}
WEFT_ALWAYS_INLINE void switch_to_resumer(control_block& block, void* value) {
    block.passed_value = value;
    switch_through(block, resumable_tag);
}
WEFT_ALWAYS_INLINE void switch_to_resumer_not_resumable(control_block& block) {
    switch_through(block, no_tag);
}

inline constexpr bool switch_tests_tag = false;

} // namespace weft::detail
