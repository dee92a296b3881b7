// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/base/config.hpp>

#include <cstddef>
#include <cstdint>

namespace weft::detail {

/// The suspended one of two flows of control, a fiber and its resumer, as the inline switch leaves it. A switch
/// exchanges the running flow with the one in the block: the block of a suspended fiber holds the fiber, the block of a
/// running one holds its resumer. Each flow has its own place for the two registers which then need no exchange but a
/// store and a load.
struct WEFT_ABI_TAG control_block {
#if WEFT_SWITCH_NATIVE
    void* resumer_base_register;
    void* resumer_frame_pointer; // together with the next: a frame record, for unwinders that walk along them
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
        void* passed_value; // of a flow that has begun
    };
#endif
};

/// Two bits of the word in a block that says where the waiting flow goes on: may a plain resume, or a plain suspend, switch
/// to what waits? A plain switch does not set them: they are there because of which flow waits. So whether a fiber is
/// suspended or runs is told by what the switch stores anyway, and read by a test of one bit. Where neither holds, the
/// slow path looks further.
enum tag_bit : std::uintptr_t {
#if WEFT_SWITCH_NATIVE && defined(__x86_64__)
    // A fiber's pc is stored inverted: the highest bits of an address are 0. (To give its label an alignment of its own
    // would be free, too, but predictors tell branches by the lowest bits of their targets.)
    suspendable_tag = std::uintptr_t{1} << 62, // the resumer waits, and a plain suspend may switch to it
    resumable_tag = std::uintptr_t{1} << 63,   // the fiber waits, and a plain resume may switch to it
#elif WEFT_SWITCH_NATIVE
    // Addresses of instructions are multiples of 4. The labels where a fiber and a resumer go on lie so many bytes
    // beyond a multiple of 16.
    suspendable_tag = 4,
    resumable_tag = 8,
#else
    // A context is at least 4-byte aligned.
    resumable_tag = 1,
    suspendable_tag = 2,
#endif
    no_tag = 0,
    all_tags = resumable_tag | suspendable_tag,
};
/// The tags that hold where their bit is 0.
#if WEFT_SWITCH_NATIVE && defined(__x86_64__)
inline constexpr std::uintptr_t told_by_zero = suspendable_tag;
#else
inline constexpr std::uintptr_t told_by_zero = all_tags;
#endif
/// The bits of the word where these tags hold, and no other.
constexpr std::uintptr_t tag_bits(std::uintptr_t tags) noexcept { return tags ^ told_by_zero; }

/// The word that has the tag bits.
inline constexpr void* control_block::*tagged =
#if WEFT_SWITCH_NATIVE
    &control_block::program_counter;
#else
    &control_block::context;
#endif

/// The tags that hold of the block.
inline std::uintptr_t tags_of(const control_block& block) noexcept {
    return tag_bits(reinterpret_cast<std::uintptr_t>(block.*tagged)) & all_tags;
}
/// From now on these hold. Before the next switch they must be again what the switch that left them gave them.
inline void set_tags(control_block& block, std::uintptr_t tags) noexcept {
    auto word = reinterpret_cast<std::uintptr_t>(block.*tagged);
    word = (word & ~std::uintptr_t{all_tags}) | tag_bits(tags);
    asm("" : "+r"(word)); // not a byte of it alone: the whole, which is read soon, would have to come from the cache then
    block.*tagged = reinterpret_cast<void*>(word);
}

/// Makes the fiber resumable that has left by switch_to_resumer_not_resumable().
inline void let_resume(control_block& block) noexcept {
    auto word = reinterpret_cast<std::uintptr_t>(block.*tagged);
    word ^= resumable_tag;
    asm("" : "+r"(word)); // as in set_tags()
    block.*tagged = reinterpret_cast<void*>(word);
}

/// Makes a block whose first switch, to the fiber, calls `entry(argument)` on the stack that ends below `stack_top`
/// (16-byte aligned). `entry` must not return and no exception may leave it.
WEFT_API void make_control_block(control_block& block, void* stack_top, std::size_t size, void (*entry)(void*),
                                 void* argument) noexcept;

/// Where a flow that waits in a block goes on. On AArch64 a resume loads it for the question that the tag bits answer, and
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
