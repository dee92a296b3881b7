// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/control_block.hpp>
#include <weft/switch.hpp>

namespace weft::detail {

/// The switch on Boost.Context's fcontext. Control arrives with the context that was left, which belongs into the block
/// that was left through: whoever arrives puts it there, with the marks of the flow that was left. Always inlined, as all that a switch passes through is on one side
/// only or on both alike: ThreadSanitizer counts calls.
WEFT_ALWAYS_INLINE void switch_through(control_block& block, std::uintptr_t marks) {
    set_marks(block, 0);
    const transfer arrived = jump_context(block.context, &block);
    control_block& left = *static_cast<control_block*>(arrived.data);
    left.context = arrived.from;
    set_marks(left, marks);
}

WEFT_ALWAYS_INLINE void switch_to_fiber(control_block& block) {
    switch_through(block, not_suspendable);
}
WEFT_ALWAYS_INLINE void switch_to_resumer(control_block& block) {
    switch_through(block, not_resumable);
}

inline constexpr bool switch_asks_mark = false;

} // namespace weft::detail
