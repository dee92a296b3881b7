// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// The probes on AArch64 (registers.hpp). Same functions in the same order as registers_x86_64.S.
//
//   weft::transfer registers_switch(probe*);
//   void           registers_entry(weft::transfer);
//   void           registers_inline_entry(message*);
//   weft::transfer registers_ontop(weft::transfer);

#if defined(__aarch64__)

#    include "asm.h"
#    include "registers.h"

// The frame of registers_switch: what its own caller wants back.
#    define FRAME       0xc0
#    define FRAME_PROBE 0x00 // the argument
#    define FRAME_FPCR  0x08
#    define FRAME_X19   0x10
#    define FRAME_X21   0x20
#    define FRAME_X23   0x30
#    define FRAME_X25   0x40
#    define FRAME_X27   0x50
#    define FRAME_X29   0x60
#    define FRAME_D8    0x70
#    define FRAME_D10   0x80
#    define FRAME_D12   0x90
#    define FRAME_D14   0xa0
#    define FRAME_X18   0xb0

// Stores at \to all that a switch has to say something about. Changes x10 only.
.macro store_registers to
    stp     x18, x19, [\to, #AARCH64_X18]               // the platform register, and the callee-saved ones
    stp     x20, x21, [\to, #AARCH64_X20]
    stp     x22, x23, [\to, #AARCH64_X22]
    stp     x24, x25, [\to, #AARCH64_X24]
    stp     x26, x27, [\to, #AARCH64_X26]
    stp     x28, x29, [\to, #AARCH64_X28]
    mov     x10, sp                                     // sp itself cannot be stored
    str     x10, [\to, #AARCH64_SP]
    mrs     x10, fpcr
    str     x10, [\to, #AARCH64_FPCR]
    stp     q8, q9, [\to, #AARCH64_V8]                  // both halves, though only the low ones are callee-saved
    stp     q10, q11, [\to, #AARCH64_V10]
    stp     q12, q13, [\to, #AARCH64_V12]
    stp     q14, q15, [\to, #AARCH64_V14]
.endm

// Fills every register that a call may change, except x0-x2 and x16-x17, from the table at \from (register x16).
.macro scramble_scratch from
    ldp     x3, x4, [\from, #0x00]
    ldp     x5, x6, [\from, #0x10]
    ldp     x7, x8, [\from, #0x20]
    ldp     x9, x10, [\from, #0x30]
    ldp     x11, x12, [\from, #0x40]
    ldp     x13, x14, [\from, #0x50]
    ldr     x15, [\from, #0x60]
    ldp     q0, q1, [\from, #0x00]
    ldp     q2, q3, [\from, #0x20]
    ldp     q4, q5, [\from, #0x40]
    ldp     q6, q7, [\from, #0x60]
    ldp     q16, q17, [\from, #0x00]
    ldp     q18, q19, [\from, #0x20]
    ldp     q20, q21, [\from, #0x40]
    ldp     q22, q23, [\from, #0x60]
    ldp     q24, q25, [\from, #0x00]
    ldp     q26, q27, [\from, #0x20]
    ldp     q28, q29, [\from, #0x40]
    ldp     q30, q31, [\from, #0x60]
    cmp     x3, x4                                      // and the flags
.endm

// ---------------------------------------------------------------------------------------------------------------------
// registers_switch: x0 = probe. Loads its registers, calls its function with (to, data, call), stores the registers as
// they are when that returns. Returns what the function returned.
public_function SYMBOL(registers_switch)
    bti     c                                           // may be called through a pointer
    sub     sp, sp, #FRAME
    .cfi_adjust_cfa_offset FRAME                        // unwinder: the CFA is that much further up
    stp     x29, x30, [sp, #FRAME_X29]                  // the caller's callee-saved registers
    .cfi_rel_offset x29, FRAME_X29                      // unwinder: these two are in the frame
    .cfi_rel_offset x30, FRAME_X29 + 8
    stp     x19, x20, [sp, #FRAME_X19]
    stp     x21, x22, [sp, #FRAME_X21]
    stp     x23, x24, [sp, #FRAME_X23]
    stp     x25, x26, [sp, #FRAME_X25]
    stp     x27, x28, [sp, #FRAME_X27]
    stp     d8, d9, [sp, #FRAME_D8]
    stp     d10, d11, [sp, #FRAME_D10]
    stp     d12, d13, [sp, #FRAME_D12]
    stp     d14, d15, [sp, #FRAME_D14]
    str     x18, [sp, #FRAME_X18]                       // where it is the platform's, its value must come back
    mrs     x9, fpcr
    stp     x0, x9, [sp, #FRAME_PROBE]                  // the argument: no register will remember it

    mov     x9, sp
    str     x9, [x0, #AARCH64_SP]                       // sp is not loaded, but noted
    ldr     x9, [x0, #AARCH64_FPCR]
    msr     fpcr, x9
    ldp     x18, x19, [x0, #AARCH64_X18]
    ldp     x20, x21, [x0, #AARCH64_X20]
    ldp     x22, x23, [x0, #AARCH64_X22]
    ldp     x24, x25, [x0, #AARCH64_X24]
    ldp     x26, x27, [x0, #AARCH64_X26]
    ldp     x28, x29, [x0, #AARCH64_X28]
    ldp     q8, q9, [x0, #AARCH64_V8]
    ldp     q10, q11, [x0, #AARCH64_V10]
    ldp     q12, q13, [x0, #AARCH64_V12]
    ldp     q14, q15, [x0, #AARCH64_V14]
    add     x16, x0, #PROBE_SCRATCH
    scramble_scratch x16
    add     x16, x0, #PROBE_FUNCTION                    // ldp does not reach further
    ldp     x17, x0, [x16, #0]                          // the function, to
    ldp     x1, x2, [x16, #PROBE_DATA - PROBE_FUNCTION] // data, call
    blr     x17

    ldr     x9, [sp, #FRAME_PROBE]                      // if sp is wrong, this reads nonsense and the store below faults
    add     x9, x9, #PROBE_FOUND
    store_registers x9

    ldr     x9, [sp, #FRAME_FPCR]                       // back to what the caller had
    msr     fpcr, x9
    ldr     x18, [sp, #FRAME_X18]
    ldp     d14, d15, [sp, #FRAME_D14]
    ldp     d12, d13, [sp, #FRAME_D12]
    ldp     d10, d11, [sp, #FRAME_D10]
    ldp     d8, d9, [sp, #FRAME_D8]
    ldp     x27, x28, [sp, #FRAME_X27]
    ldp     x25, x26, [sp, #FRAME_X25]
    ldp     x23, x24, [sp, #FRAME_X23]
    ldp     x21, x22, [sp, #FRAME_X21]
    ldp     x19, x20, [sp, #FRAME_X19]
    ldp     x29, x30, [sp, #FRAME_X29]
    add     sp, sp, #FRAME
    .cfi_adjust_cfa_offset -FRAME
    ret
end_function SYMBOL(registers_switch)

// ---------------------------------------------------------------------------------------------------------------------
// registers_entry: the first function of a context; x0 = from, x1 = a message. Stores the registers it finds in the
// message and goes on in C++, with the modes that C++ expects.
public_function SYMBOL(registers_entry)
    bti     c                                           // called through a pointer
    .cfi_undefined x30                                  // unwinder: the stack ends here
    store_registers x1
    msr     fpcr, xzr                                   // round to nearest, no flushing
    bl      SYMBOL(registers_first_entry)               // (from, message); does not come back
    brk     #0
end_function SYMBOL(registers_entry)

// registers_inline_entry: the same for the inline switch, which passes one argument: x0 = a message.
public_function SYMBOL(registers_inline_entry)
    bti     c
    mov     x1, x0                                      // from is in memory
    b       SYMBOL(registers_entry)
end_function SYMBOL(registers_inline_entry)

// ---------------------------------------------------------------------------------------------------------------------
// registers_ontop: runs on top of an arriving context; x0 = from, x1 = a message. Stores the registers it finds in the
// message, changes all that a function may, and returns from with the message's reply.
public_function SYMBOL(registers_ontop)
    bti     c                                           // called through a pointer
    store_registers x1
    mov     x16, x1
    scramble_scratch x16
    ldr     x1, [x16, #MESSAGE_REPLY]
    ret
end_function SYMBOL(registers_ontop)

#endif

#if defined(__ELF__)
    .section .note.GNU-stack, "", %progbits             // no executable stack
#endif
