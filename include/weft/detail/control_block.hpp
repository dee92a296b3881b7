// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/config.hpp>

#include <cstddef>
#include <cstdint>

namespace weft::detail {

struct WEFT_TAGGED fiber_record; // the block and what else there is of a fiber; tagged where it is first declared

/// The suspended one of two flows of control, a fiber and its resumer, as the inline switch leaves it. A switch
/// exchanges the running flow with the one in the block: the block of a suspended fiber holds the fiber, the block of a
/// running one holds its resumer. Each flow has its own place for the two registers which then need no exchange but a
/// store and a load.
struct WEFT_TAGGED control_block {
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
    union {
        void* entry_argument;
        void* handed_over; // of a flow that has begun
    };
#endif
};

/// Two bits of the word in a block that says where the waiting flow goes on. Nobody sets them for a plain switch: they
/// are there because of which flow it is. So a fiber's being suspended or running is told by what the switch stores
/// anyway, and asked by a test of one bit.
enum control_block_mark : std::uintptr_t {
#if WEFT_SWITCH_NATIVE && defined(__x86_64__)
    // A fiber's pc is stored inverted: the highest bits of an address are 0. (To give its label an alignment of its own
    // would be free, too, but predictors tell branches by the lowest bits of their targets.)
    not_suspendable = std::uintptr_t{1} << 62, // the resumer does not wait, or is not to be switched to without more questions
    not_resumable = std::uintptr_t{1} << 63,   // the fiber does not wait, or is not to be switched to without more questions
#elif WEFT_SWITCH_NATIVE
    // Addresses of instructions are multiples of 4. The labels where a fiber and a resumer go on lie so many bytes
    // beyond a multiple of 16.
    not_suspendable = 4,
    not_resumable = 8,
#else
    // A context is at least 4-byte aligned.
    not_resumable = 1,
    not_suspendable = 2,
#endif
    all_marks = not_resumable | not_suspendable,
};
/// The marks that are there when their bit is not.
#if WEFT_SWITCH_NATIVE && defined(__x86_64__)
inline constexpr std::uintptr_t inverted_marks = not_resumable;
#else
inline constexpr std::uintptr_t inverted_marks = 0;
#endif

/// The word that has the marks.
inline constexpr void* control_block::*marked =
#if WEFT_SWITCH_NATIVE
    &control_block::program_counter;
#else
    &control_block::context;
#endif

/// The marks of the block.
inline std::uintptr_t marks_of(const control_block& block) noexcept {
    return (reinterpret_cast<std::uintptr_t>(block.*marked) ^ inverted_marks) & all_marks;
}
/// Sets them. Before the next switch they must be again what the switch that left them gave them.
inline void set_marks(control_block& block, std::uintptr_t marks) noexcept {
    auto word = reinterpret_cast<std::uintptr_t>(block.*marked);
    word = (word & ~std::uintptr_t{all_marks}) | (marks ^ inverted_marks);
    asm("" : "+r"(word)); // not a byte of it alone: the whole, which is read soon, would have to come from the cache then
    block.*marked = reinterpret_cast<void*>(word);
}

/// Takes the mark away that the switch with which a fiber ends has set.
inline void let_resume(control_block& block) noexcept {
    auto word = reinterpret_cast<std::uintptr_t>(block.*marked);
    word ^= not_resumable;
    asm("" : "+r"(word)); // as in set_marks()
    block.*marked = reinterpret_cast<void*>(word);
}

/// Makes a block whose first switch, to the fiber, calls `entry(argument)` on the stack that ends below `stack_top`
/// (16-byte aligned). `entry` must not return and no exception may leave it.
WEFT_API void make_control_block(control_block& block, void* stack_top, std::size_t size, void (*entry)(void*),
                                 void* argument) noexcept;

/// Where a flow that waits in a block goes on. On AArch64 a resume loads it for the question that the marks answer, and
/// keeps it for the switch.
struct suspended_flow {
    void* program_counter;
    void* stack_pointer;
};

/// The end of the stack of the flow that waits in the block.
inline const void* waiting_stack(const control_block& block) noexcept {
#if WEFT_SWITCH_NATIVE
    return block.stack_pointer;
#else
    return block.context; // Boost.Context keeps the registers there
#endif
}

} // namespace weft::detail
