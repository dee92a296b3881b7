// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

// Where the probes of registers_<architecture>.S keep what. registers.hpp checks every offset against its structs.

// struct registers, AArch64: x18 to x29, sp, FPCR, v8 to v15.
#define AARCH64_X18       0x00
#define AARCH64_X20       0x10
#define AARCH64_X22       0x20
#define AARCH64_X24       0x30
#define AARCH64_X26       0x40
#define AARCH64_X28       0x50
#define AARCH64_SP        0x60
#define AARCH64_FPCR      0x68
#define AARCH64_V8        0x70
#define AARCH64_V10       0x90
#define AARCH64_V12       0xb0
#define AARCH64_V14       0xd0
#define AARCH64_REGISTERS 0xf0

// struct registers, x86-64.
#define X86_64_RBX       0x00
#define X86_64_RBP       0x08
#define X86_64_R12       0x10
#define X86_64_R13       0x18
#define X86_64_R14       0x20
#define X86_64_R15       0x28
#define X86_64_RSP       0x30
#define X86_64_MXCSR     0x38
#define X86_64_X87_CW    0x3c
#define X86_64_REGISTERS 0x40

#if defined(__aarch64__)
#    define REGISTERS AARCH64_REGISTERS
#else
#    define REGISTERS X86_64_REGISTERS
#endif

// struct probe: the registers to load, those found, then
#define PROBE_FOUND    REGISTERS
#define PROBE_FUNCTION (2 * REGISTERS)
#define PROBE_TO       (2 * REGISTERS + 0x08)
#define PROBE_DATA     (2 * REGISTERS + 0x10)
#define PROBE_CALL     (2 * REGISTERS + 0x18)
#define PROBE_SCRATCH  (2 * REGISTERS + 0x20)

// struct message: the registers found by whoever it reached first, then
#define MESSAGE_REPLY REGISTERS
