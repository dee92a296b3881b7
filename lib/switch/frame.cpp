// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// The frames of a suspended context as C++ sees them; nothing here makes code.

#include <weft/detail/switch/control_block.hpp>

#include "frame.h"

#include <cstddef>
#include <cstdint>

namespace weft::detail {
namespace {

struct aarch64_frame {
    std::uint64_t d8_to_d15[8];
    std::uint64_t x19_to_x28[10];
    std::uint64_t x29;
    std::uint64_t x30;
#if WEFT_SHADOW_CALL_STACK
    std::uint64_t x18;
    std::uint64_t unused;
#endif
};

static_assert(WEFT_AARCH64_D8_D9 == offsetof(aarch64_frame, d8_to_d15[0]));
static_assert(WEFT_AARCH64_D10_D11 == offsetof(aarch64_frame, d8_to_d15[2]));
static_assert(WEFT_AARCH64_D12_D13 == offsetof(aarch64_frame, d8_to_d15[4]));
static_assert(WEFT_AARCH64_D14_D15 == offsetof(aarch64_frame, d8_to_d15[6]));
static_assert(WEFT_AARCH64_X19_X20 == offsetof(aarch64_frame, x19_to_x28[0]));
static_assert(WEFT_AARCH64_X21_X22 == offsetof(aarch64_frame, x19_to_x28[2]));
static_assert(WEFT_AARCH64_X23_X24 == offsetof(aarch64_frame, x19_to_x28[4]));
static_assert(WEFT_AARCH64_X25_X26 == offsetof(aarch64_frame, x19_to_x28[6]));
static_assert(WEFT_AARCH64_X27_X28 == offsetof(aarch64_frame, x19_to_x28[8]));
static_assert(WEFT_AARCH64_X29_X30 == offsetof(aarch64_frame, x29));
static_assert(WEFT_AARCH64_X29_X30 + 8 == offsetof(aarch64_frame, x30));
#if WEFT_SHADOW_CALL_STACK
static_assert(WEFT_AARCH64_X18 == offsetof(aarch64_frame, x18));
#endif
static_assert(WEFT_AARCH64_FRAME == sizeof(aarch64_frame) && WEFT_AARCH64_FRAME % 16 == 0);

struct x86_64_frame {
    std::uint32_t mxcsr;
    std::uint16_t x87_cw;
    std::uint16_t unused;
    std::uint64_t r12;
    std::uint64_t r13;
    std::uint64_t r14;
    std::uint64_t r15;
    std::uint64_t rbx;
    std::uint64_t rbp;
    std::uint64_t rip;
};

static_assert(WEFT_X86_64_MXCSR == offsetof(x86_64_frame, mxcsr));
static_assert(WEFT_X86_64_X87_CW == offsetof(x86_64_frame, x87_cw));
static_assert(WEFT_X86_64_R12 == offsetof(x86_64_frame, r12));
static_assert(WEFT_X86_64_R13 == offsetof(x86_64_frame, r13));
static_assert(WEFT_X86_64_R14 == offsetof(x86_64_frame, r14));
static_assert(WEFT_X86_64_R15 == offsetof(x86_64_frame, r15));
static_assert(WEFT_X86_64_RBX == offsetof(x86_64_frame, rbx));
static_assert(WEFT_X86_64_RBP == offsetof(x86_64_frame, rbp));
static_assert(WEFT_X86_64_RIP == offsetof(x86_64_frame, rip));
static_assert(WEFT_X86_64_FRAME == offsetof(x86_64_frame, rip), "the frame ends where the return address begins");

#if WEFT_SWITCH_NATIVE
static_assert(WEFT_BLOCK_BASE == offsetof(control_block, resumer_base_register));
static_assert(WEFT_BLOCK_FRAME == offsetof(control_block, resumer_frame_pointer));
static_assert(WEFT_BLOCK_PC == offsetof(control_block, program_counter));
static_assert(WEFT_BLOCK_SP == offsetof(control_block, stack_pointer));
#endif

} // namespace
} // namespace weft::detail
