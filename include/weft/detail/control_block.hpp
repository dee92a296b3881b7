// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/config.hpp>

#include <cstddef>
#include <cstdint>

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

/// Two bits of the word in a block that says where the waiting flow goes on. They are not set there: the labels of the
/// inline switch are aligned so that their addresses have them. So a fiber's being suspended or running is told by what the
/// switch stores anyway, and asked by a test of one bit.
enum control_block_mark : std::uintptr_t {
    // On AArch64 addresses of instructions are multiples of 4.
#if WEFT_SWITCH_NATIVE && defined(__aarch64__)
    not_suspendable = 4, // the resumer does not wait, or is not to be switched to without more questions
    not_resumable = 8,   // the fiber does not wait, or is not to be switched to without more questions
#else
    not_resumable = 1,
    not_suspendable = 2,
#endif
    all_marks = not_resumable | not_suspendable,
};
/// The labels are aligned to this, and then moved on by their mark.
inline constexpr std::uintptr_t marked_modulus = all_marks + (all_marks & -all_marks);

/// The word that has the marks.
inline constexpr void* control_block::*marked =
#if WEFT_SWITCH_NATIVE
    &control_block::program_counter;
#else
    &control_block::context;
#endif

/// The marks of the block.
inline std::uintptr_t marks_of(const control_block& block) noexcept {
    return reinterpret_cast<std::uintptr_t>(block.*marked) & all_marks;
}
/// Sets them. Before the next switch they must be again what the switch that left them gave them.
inline void set_marks(control_block& block, std::uintptr_t marks) noexcept {
    const auto word = reinterpret_cast<std::uintptr_t>(block.*marked);
    block.*marked = reinterpret_cast<void*>((word & ~std::uintptr_t{all_marks}) | marks);
}

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
