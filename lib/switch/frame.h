// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

// Where a suspended context keeps its registers: byte offsets from its saved stack pointer.
// Included by the assembly and by frame.cpp, which checks every offset against a C++ struct.
// lib/README.md has the picture.

// Is x18 to be kept, too? See weft/detail/config.hpp.
#if !defined(WEFT_SHADOW_CALL_STACK) && defined(__has_feature)
#    if __has_feature(shadow_call_stack)
#        define WEFT_SHADOW_CALL_STACK 1
#    endif
#endif
#if !defined(WEFT_SHADOW_CALL_STACK)
#    define WEFT_SHADOW_CALL_STACK 0
#endif

// AArch64: 160 bytes, a multiple of 16, because sp must stay 16-byte aligned (AAPCS64 §6.4.5.1). 176 with x18.
#define WEFT_AARCH64_D8_D9   0x00
#define WEFT_AARCH64_D10_D11 0x10
#define WEFT_AARCH64_D12_D13 0x20
#define WEFT_AARCH64_D14_D15 0x30
#define WEFT_AARCH64_X19_X20 0x40
#define WEFT_AARCH64_X21_X22 0x50
#define WEFT_AARCH64_X23_X24 0x60
#define WEFT_AARCH64_X25_X26 0x70
#define WEFT_AARCH64_X27_X28 0x80
#define WEFT_AARCH64_X29_X30 0x90
#if WEFT_SHADOW_CALL_STACK
#    define WEFT_AARCH64_X18   0xa0
#    define WEFT_AARCH64_FRAME 0xb0
#else
#    define WEFT_AARCH64_FRAME 0xa0
#endif

// x86-64: 56 bytes below the return address that the call of the switch pushed.
#define WEFT_X86_64_MXCSR  0x00
#define WEFT_X86_64_X87_CW 0x04
#define WEFT_X86_64_R12    0x08
#define WEFT_X86_64_R13    0x10
#define WEFT_X86_64_R14    0x18
#define WEFT_X86_64_R15    0x20
#define WEFT_X86_64_RBX    0x28
#define WEFT_X86_64_RBP    0x30
#define WEFT_X86_64_RIP    0x38
#define WEFT_X86_64_FRAME  0x38

// weft::detail::control_block, as far as the first entry of a fiber needs it. While a fiber runs it holds the resumer.
#define WEFT_BLOCK_BASE  0x00   /* x19, rbx of the resumer */
#define WEFT_BLOCK_FRAME 0x08   /* x29, rbp of the resumer; with the next a frame record */
#define WEFT_BLOCK_PC    0x10
#define WEFT_BLOCK_SP    0x18

// A thread's state, see thread_state.S; checked in fiber.cpp.
#define WEFT_THREAD_STATE_SIZE 48
#define WEFT_THREAD_STATE_NOT_IN_USE 1
#define WEFT_THREAD_STATE_ASK -1 /* idle_limit: ask_library */
