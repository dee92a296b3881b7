// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// The probes on x86-64, System V (registers.hpp). Same functions in the same order as registers_aarch64.S.
//
//   weft::transfer registers_switch(probe*);
//   void           registers_entry(weft::transfer);
//   void           registers_inline_entry(message*);
//   weft::transfer registers_ontop(weft::transfer);

#if defined(__x86_64__)

#    include "asm.h"
#    include "registers.h"

// The frame of registers_switch, below the six registers it pushes.
#    define FRAME          0x18
#    define FRAME_PROBE    0x00 // the argument
#    define FRAME_MXCSR    0x08
#    define FRAME_X87_CW   0x0c
#    define FRAME_FUNCTION 0x10 // what to call

// Stores at \to all that a switch has to say something about. Changes nothing.
.macro store_registers to
    movq    %rbx, X86_64_RBX(\to)                   // the callee-saved registers
    movq    %rbp, X86_64_RBP(\to)
    movq    %r12, X86_64_R12(\to)
    movq    %r13, X86_64_R13(\to)
    movq    %r14, X86_64_R14(\to)
    movq    %r15, X86_64_R15(\to)
    movq    %rsp, X86_64_RSP(\to)
    stmxcsr X86_64_MXCSR(\to)                       // and the two control words
    fnstcw  X86_64_X87_CW(\to)
.endm

// Fills every register that a call may change, except rax, rdi, rsi, rdx and rcx, from the table at \from.
.macro scramble_scratch from
    movq    0x00(\from), %r8
    movq    0x08(\from), %r9
    movq    0x10(\from), %r10
    movq    0x18(\from), %r11
    movups  0x00(\from), %xmm0
    movups  0x10(\from), %xmm1
    movups  0x20(\from), %xmm2
    movups  0x30(\from), %xmm3
    movups  0x40(\from), %xmm4
    movups  0x50(\from), %xmm5
    movups  0x60(\from), %xmm6
    movups  0x70(\from), %xmm7
    movups  0x00(\from), %xmm8
    movups  0x10(\from), %xmm9
    movups  0x20(\from), %xmm10
    movups  0x30(\from), %xmm11
    movups  0x40(\from), %xmm12
    movups  0x50(\from), %xmm13
    movups  0x60(\from), %xmm14
    movups  0x70(\from), %xmm15
    cmpq    %r8, %r9                                // and the flags
.endm

// ---------------------------------------------------------------------------------------------------------------------
// registers_switch: rdi = probe. Loads its registers, calls its function with (to, data, call), stores the registers as
// they are when that returns. Returns what the function returned.
public_function SYMBOL(registers_switch)
    endbr64                                         // may be called through a pointer
    pushq   %rbp                                    // the caller's callee-saved registers
    .cfi_adjust_cfa_offset 8                        // unwinder: the CFA is that much further up
    pushq   %rbx
    .cfi_adjust_cfa_offset 8
    pushq   %r12
    .cfi_adjust_cfa_offset 8
    pushq   %r13
    .cfi_adjust_cfa_offset 8
    pushq   %r14
    .cfi_adjust_cfa_offset 8
    pushq   %r15
    .cfi_adjust_cfa_offset 8
    subq    $FRAME, %rsp                            // now aligned to 16 bytes for the call
    .cfi_adjust_cfa_offset FRAME
    stmxcsr FRAME_MXCSR(%rsp)
    fnstcw  FRAME_X87_CW(%rsp)
    movq    %rdi, FRAME_PROBE(%rsp)                 // the argument: no register will remember it
    movq    PROBE_FUNCTION(%rdi), %rax
    movq    %rax, FRAME_FUNCTION(%rsp)

    movq    %rsp, X86_64_RSP(%rdi)                  // rsp is not loaded, but noted
    ldmxcsr X86_64_MXCSR(%rdi)
    fldcw   X86_64_X87_CW(%rdi)
    movq    X86_64_RBX(%rdi), %rbx
    movq    X86_64_RBP(%rdi), %rbp
    movq    X86_64_R12(%rdi), %r12
    movq    X86_64_R13(%rdi), %r13
    movq    X86_64_R14(%rdi), %r14
    movq    X86_64_R15(%rdi), %r15
    leaq    PROBE_SCRATCH(%rdi), %rax
    scramble_scratch %rax
    movq    0x20(%rax), %rcx
    movq    0x28(%rax), %rax
    movq    PROBE_DATA(%rdi), %rsi
    movq    PROBE_CALL(%rdi), %rdx
    movq    PROBE_TO(%rdi), %rdi
    call    *FRAME_FUNCTION(%rsp)

    movq    FRAME_PROBE(%rsp), %rcx                 // if rsp is wrong, this reads nonsense and the store below faults
    leaq    PROBE_FOUND(%rcx), %rcx
    store_registers %rcx

    fldcw   FRAME_X87_CW(%rsp)                      // back to what the caller had
    ldmxcsr FRAME_MXCSR(%rsp)
    addq    $FRAME, %rsp
    .cfi_adjust_cfa_offset -FRAME
    popq    %r15
    .cfi_adjust_cfa_offset -8
    popq    %r14
    .cfi_adjust_cfa_offset -8
    popq    %r13
    .cfi_adjust_cfa_offset -8
    popq    %r12
    .cfi_adjust_cfa_offset -8
    popq    %rbx
    .cfi_adjust_cfa_offset -8
    popq    %rbp
    .cfi_adjust_cfa_offset -8
    ret
end_function SYMBOL(registers_switch)

// ---------------------------------------------------------------------------------------------------------------------
// registers_entry: the first function of a context; rdi = from, rsi = a message. Stores the registers it finds in the
// message and goes on in C++, with the modes that C++ expects.
public_function SYMBOL(registers_entry)
    endbr64                                         // called through a pointer
    .cfi_undefined %rip                             // unwinder: the stack ends here
    store_registers %rsi
    subq    $8, %rsp                                // aligned to 16 bytes for the call
    movl    $0x1f80, (%rsp)                         // round to nearest, all exceptions masked, no flushing
    ldmxcsr (%rsp)
    fninit                                          // the same for x87
    call    SYMBOL(registers_first_entry)           // (from, message); does not come back
    ud2
end_function SYMBOL(registers_entry)

// registers_inline_entry: the same for the inline switch, which passes one argument: rdi = a message.
public_function SYMBOL(registers_inline_entry)
    endbr64
    movq    %rdi, %rsi                              // from is in memory
    jmp     SYMBOL(registers_entry)
end_function SYMBOL(registers_inline_entry)

// ---------------------------------------------------------------------------------------------------------------------
// registers_ontop: runs on top of an arriving context; rdi = from, rsi = a message. Stores the registers it finds in the
// message, changes all that a function may, and returns from with the message's reply.
public_function SYMBOL(registers_ontop)
    endbr64                                         // called through a pointer
    store_registers %rsi
    movq    %rdi, %rax                              // from
    movq    MESSAGE_REPLY(%rsi), %rdx
    scramble_scratch %rsi
    movq    0x00(%rsi), %rcx                        // the argument registers are scratch too
    movq    0x08(%rsi), %rdi
    movq    0x10(%rsi), %rsi
    ret
end_function SYMBOL(registers_ontop)

#endif

#if defined(__ELF__)
    .section .note.GNU-stack, "", %progbits         // no executable stack
#endif
