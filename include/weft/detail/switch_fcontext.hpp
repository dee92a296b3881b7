// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/control_block.hpp>
#include <weft/switch.hpp>

namespace weft::detail {

/// The switch on Boost.Context's fcontext. Control arrives with the context that was left, which belongs into the block
/// that was left through: whoever arrives puts it there. Always inlined, as all that a switch passes through is on one side
/// only or on both alike: ThreadSanitizer counts calls.
WEFT_ALWAYS_INLINE void switch_through(control_block& block) {
    const transfer arrived = jump_context(block.context, &block);
    static_cast<control_block*>(arrived.data)->context = arrived.from;
}

WEFT_ALWAYS_INLINE void switch_to_fiber(control_block& block) {
    switch_through(block);
}
WEFT_ALWAYS_INLINE void switch_to_resumer(control_block& block) {
    switch_through(block);
}

} // namespace weft::detail
