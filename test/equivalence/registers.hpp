// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "registers.h"

#include <weft/switch.hpp>

#include <cstddef>
#include <cstdint>

/// What a switch has to say something about: what it must preserve, what it must leave alone, and the upper halves of
/// v8 to v15, which it may change.
struct registers {
#if defined(__aarch64__)
    std::uint64_t x18;
    std::uint64_t x19_to_x29[11];
    std::uint64_t stack_pointer;
    std::uint64_t fpcr;
    struct {
        std::uint64_t low;
        std::uint64_t high;
    } v8_to_v15[8];
#else
    std::uint64_t rbx;
    std::uint64_t rbp;
    std::uint64_t r12_to_r15[4];
    std::uint64_t stack_pointer;
    std::uint32_t mxcsr;
    std::uint16_t x87_control;
    std::uint16_t unused;
#endif
};

/// One call of a switch with chosen registers.
struct probe {
    registers loaded; // stack_pointer: noted by registers_switch
    registers found;
    void* function; // jump, or ontop
    weft::context to;
    void* data;
    weft::transfer (*call)(weft::transfer);
    std::uint64_t scratch[16]; // for the registers that any call may change
};

/// What is sent with a switch; noted in it, the registers found by the first function that gets it.
struct message {
    registers found;
    message* reply;
    std::uint64_t more[16]; // registers_ontop scrambles its scratch registers with these words and those above
    unsigned number;
};

// registers_<architecture>.S
extern "C" {
weft::transfer registers_switch(probe*);
void registers_entry(weft::transfer);
void registers_inline_entry(void*);
weft::transfer registers_ontop(weft::transfer);
}

#if defined(__aarch64__)
static_assert(offsetof(registers, x18) == AARCH64_X18);
static_assert(offsetof(registers, x19_to_x29[1]) == AARCH64_X20);
static_assert(offsetof(registers, x19_to_x29[3]) == AARCH64_X22);
static_assert(offsetof(registers, x19_to_x29[5]) == AARCH64_X24);
static_assert(offsetof(registers, x19_to_x29[7]) == AARCH64_X26);
static_assert(offsetof(registers, x19_to_x29[9]) == AARCH64_X28);
static_assert(offsetof(registers, stack_pointer) == AARCH64_SP);
static_assert(offsetof(registers, fpcr) == AARCH64_FPCR);
static_assert(offsetof(registers, v8_to_v15[0]) == AARCH64_V8);
static_assert(offsetof(registers, v8_to_v15[2]) == AARCH64_V10);
static_assert(offsetof(registers, v8_to_v15[4]) == AARCH64_V12);
static_assert(offsetof(registers, v8_to_v15[6]) == AARCH64_V14);
#else
static_assert(offsetof(registers, rbx) == X86_64_RBX);
static_assert(offsetof(registers, rbp) == X86_64_RBP);
static_assert(offsetof(registers, r12_to_r15[0]) == X86_64_R12);
static_assert(offsetof(registers, r12_to_r15[1]) == X86_64_R13);
static_assert(offsetof(registers, r12_to_r15[2]) == X86_64_R14);
static_assert(offsetof(registers, r12_to_r15[3]) == X86_64_R15);
static_assert(offsetof(registers, stack_pointer) == X86_64_RSP);
static_assert(offsetof(registers, mxcsr) == X86_64_MXCSR);
static_assert(offsetof(registers, x87_control) == X86_64_X87_CW);
#endif
static_assert(sizeof(registers) == REGISTERS);
static_assert(offsetof(probe, found) == PROBE_FOUND);
static_assert(offsetof(probe, function) == PROBE_FUNCTION);
static_assert(offsetof(probe, to) == PROBE_TO);
static_assert(offsetof(probe, data) == PROBE_DATA);
static_assert(offsetof(probe, call) == PROBE_CALL);
static_assert(offsetof(probe, scratch) == PROBE_SCRATCH);
static_assert(offsetof(message, reply) == MESSAGE_REPLY);
