// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/config.hpp>

#include <cstddef>

namespace weft::detail {
inline namespace WEFT_CONTEXT_ABI {

/// The suspended one of two flows of control, a fiber and its resumer, as the inline switch leaves it. A switch exchanges
/// the running flow with the one in the block: the block of a suspended fiber holds the fiber, the block of a running one
/// holds its resumer. Each flow has its own place for the two registers which then need no exchange but a store and a load.
struct control_block {
#if WEFT_SWITCH_NATIVE
    void* resumer_base_register;
    void* resumer_frame_pointer; // together with the next: a frame record, for those who walk along them
    void* program_counter;       // AArch64 with PAC: signed with stack_pointer
    void* stack_pointer;
    void* fiber_base_register;   // x19, rbx: compilers may address the frame through it, so it cannot be declared clobbered
    void* fiber_frame_pointer;   // x29, rbp
#    if WEFT_SHADOW_CALL_STACK
    void* shadow_call_stack;     // x18; exchanged with pc and sp
#    endif
#else
    void* context; // of Boost.Context
    void* entry_function;
    void* entry_argument;
#endif
};

/// Makes a block whose first switch, to the fiber, calls `entry(argument)` on the stack that ends below `stack_top` (16-byte aligned).
/// `entry` must not return and no exception may leave it.
WEFT_API void make_control_block(control_block& block, void* stack_top, std::size_t size, void (*entry)(void*),
                                 void* argument) noexcept;

/// The end of the stack of the flow that waits in the block.
inline const void* waiting_stack(const control_block& block) noexcept {
#if WEFT_SWITCH_NATIVE
    return block.stack_pointer;
#else
    return block.context; // Boost.Context keeps the registers there
#endif
}

} // namespace WEFT_CONTEXT_ABI
} // namespace weft::detail
