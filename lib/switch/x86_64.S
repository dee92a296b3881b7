// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// The context switch on x86-64, System V (weft/switch.hpp). Same functions in the same order as aarch64.S.
//
//   weft::context  weft_make_context(void* stack_top, size_t size, void (*entry)(transfer));
//   weft::transfer weft_jump_context(context to, void* data);
//   weft::transfer weft_ontop_context(context to, void* data, transfer (*call)(transfer));
//
// Kept, as every function must (psABI §3.2.1): rbx, rbp, r12-r15, rsp, and the control words of MXCSR and x87.
// The call of the switch has pushed the return address, so it lies right above the frame.
// Deliberately not saved: all other registers (any call may change them), the status flags of MXCSR and x87.
//
// transfer is two pointers: passed in rdi (from) and rsi (data), returned in rax and rdx (psABI §3.2.3).
//
// Under -fcf-protection an indirect branch may only land on `endbr64` (IBT), unless it carries the notrack prefix.
// Shadow stacks are not supported, and the note in this object does not claim them.

#if defined(__x86_64__)

#    include "asm.h"
#    include "frame.h"

.att_syntax prefix // also under -masm=intel, which Clang hands on to its assembler

#    if defined(__CET__) && (__CET__ & 1)
#        define IBT 1
#    else
#        define IBT 0
#    endif

// First instruction of whatever is reached by an indirect branch.
.macro enter
#    if IBT
    endbr64
#    endif
.endm

// An indirect branch to a return address, where no endbr64 stands.
.macro jump_back target
#    if IBT
    notrack jmp \target
#    else
    jmp     \target
#    endif
.endm

// Pushes the frame of the context that leaves.
.macro save_callee_saved
    leaq    -WEFT_X86_64_FRAME(%rsp), %rsp          // room for all of it at once
    .cfi_adjust_cfa_offset WEFT_X86_64_FRAME        // unwinder: the CFA is that much further up
    stmxcsr WEFT_X86_64_MXCSR(%rsp)                 // rounding mode and exception masks of SSE ...
    fnstcw  WEFT_X86_64_X87_CW(%rsp)                // ... and of x87
    movq    %r12, WEFT_X86_64_R12(%rsp)             // the six general callee-saved registers
    .cfi_rel_offset %r12, WEFT_X86_64_R12           // unwinder: from here the caller's r12 is in the frame
    movq    %r13, WEFT_X86_64_R13(%rsp)
    .cfi_rel_offset %r13, WEFT_X86_64_R13
    movq    %r14, WEFT_X86_64_R14(%rsp)
    .cfi_rel_offset %r14, WEFT_X86_64_R14
    movq    %r15, WEFT_X86_64_R15(%rsp)
    .cfi_rel_offset %r15, WEFT_X86_64_R15
    movq    %rbx, WEFT_X86_64_RBX(%rsp)
    .cfi_rel_offset %rbx, WEFT_X86_64_RBX
    movq    %rbp, WEFT_X86_64_RBP(%rsp)
    .cfi_rel_offset %rbp, WEFT_X86_64_RBP
.endm

// Pops the frame of the context that arrives. rsp is left at its return address, as at the entry of its call.
// `left` is the register with the frame of the context that leaves.
.macro restore_callee_saved left
    ldmxcsr WEFT_X86_64_MXCSR(%rsp)
    movzwl  WEFT_X86_64_X87_CW(\left), %ecx         // what the x87 control word holds now ...
    cmpw    WEFT_X86_64_X87_CW(%rsp), %cx           // ... is most often what the arriving context wants; and it is much
    je      1f                                      // slower to write than to compare (MXCSR, oddly, is not)
    fldcw   WEFT_X86_64_X87_CW(%rsp)
1:
    movq    WEFT_X86_64_R12(%rsp), %r12
    .cfi_restore %r12                               // unwinder: from here r12 is in its register again
    movq    WEFT_X86_64_R13(%rsp), %r13
    .cfi_restore %r13
    movq    WEFT_X86_64_R14(%rsp), %r14
    .cfi_restore %r14
    movq    WEFT_X86_64_R15(%rsp), %r15
    .cfi_restore %r15
    movq    WEFT_X86_64_RBX(%rsp), %rbx
    .cfi_restore %rbx
    movq    WEFT_X86_64_RBP(%rsp), %rbp
    .cfi_restore %rbp
    leaq    WEFT_X86_64_FRAME(%rsp), %rsp           // the frame is empty; rsp points at its return address
    .cfi_adjust_cfa_offset -WEFT_X86_64_FRAME
.endm

#    if defined(__linux__)
    needs_refusal_of_shadow_stacks R_X86_64_NONE
#    endif

// ---------------------------------------------------------------------------------------------------------------------
// weft_make_context: lays a frame on the new stack, as if the entry below had called jump. rdi = stack top, rsi = size
// (not needed: the stack grows down from its top), rdx = entry. Returns the context in rax.
public_function SYMBOL(weft_make_context)
    enter
    andq    $-16, %rdi                              // the trampoline starts with an aligned rsp
    leaq    -(WEFT_X86_64_FRAME + 8)(%rdi), %rax    // the new context: room for the frame and one return address
    stmxcsr WEFT_X86_64_MXCSR(%rax)                 // a new context begins with the creator's rounding modes
    fnstcw  WEFT_X86_64_X87_CW(%rax)
    movq    %rdx, WEFT_X86_64_RBX(%rax)             // rbx = entry, kept for the trampoline
    movq    $0, WEFT_X86_64_RBP(%rax)               // rbp = 0: a walk along the frame pointers ends here
    leaq    LOCAL(context_entry)(%rip), %rcx
    movq    %rcx, WEFT_X86_64_RIP(%rax)             // "returns" to the trampoline
    ret
end_function SYMBOL(weft_make_context)

// ---------------------------------------------------------------------------------------------------------------------
// weft_jump_context: rdi = to, rsi = data. Returns, in the context `to`, from its own call of jump or ontop.
public_function SYMBOL(weft_jump_context)
    enter
    save_callee_saved
    movq    %rsp, %rax                              // transfer.from: the leaving context is the address of its frame
    movq    %rdi, %rsp                              // from here we stand on the arriving context's stack; its frame
                                                    // has the same layout, so the CFI above holds for it unchanged
    movq    %rsi, %rdx                              // transfer.data
    restore_callee_saved %rax
    popq    %r8                                     // its return address
    .cfi_adjust_cfa_offset -8
    .cfi_register %rip, %r8                         // unwinder: the return address is in r8
    jump_back *%r8                                  // `jmp`, not `ret`: the predictor of returns remembers the caller of
                                                    // this call, which is not where we go
end_function SYMBOL(weft_jump_context)

// ---------------------------------------------------------------------------------------------------------------------
// weft_ontop_context: rdi = to, rsi = data, rdx = call. As jump, but the arriving context calls `call` first: its return
// address is still on its stack, so `call` returns to it directly, with its result in rax and rdx.
public_function SYMBOL(weft_ontop_context)
    enter
    save_callee_saved
    movq    %rsp, %rax                              // the leaving context
    movq    %rdi, %rsp                              // the arriving context's stack
    movq    %rax, %rdi                              // argument of call: {from = who left, data = rsi}
    restore_callee_saved %rdi
    jmp     *%rdx
end_function SYMBOL(weft_ontop_context)

// ---------------------------------------------------------------------------------------------------------------------
// The first return of a context made by make arrives here: rbx = entry, rax and rdx = transfer, rsp = top of the stack.
private_function SYMBOL(weft_context_entry)
    .cfi_undefined %rip                             // unwinder: nobody called us; the stack ends here
    ud2                                             // never runs. An unwinder looks up "return address - 1", and a
                                                    // context that never ran "returns" to the next line
LOCAL(context_entry):
    movq    %rax, %rdi                              // a result becomes an argument: transfer.from ...
    movq    %rdx, %rsi                              // ... and transfer.data
    leaq    1f(%rip), %rcx
    pushq   %rcx                                    // entry's return address, pushed and not left by a `call`: nobody
    jmp     *%rbx                                   // returns there, and the predictor of returns would still expect it.
1:                                                  // (The CFA stays what it is after a return: nobody called us.)
#    if defined(__APPLE__)
    call    SYMBOL(abort)                           // entry returned, but nobody is there to return to
#    else
    call    SYMBOL(abort)@PLT
#    endif
    ud2                                             // so that abort's return address lies inside this function
end_function SYMBOL(weft_context_entry)

// ---------------------------------------------------------------------------------------------------------------------
// First entry of a fiber by the inline switch (weft/detail/switch_x86_64.hpp), which restores only rsp, rip, rbp and rbx.
// make_control_block put the function into rbp and its argument into rbx.
// It left the control block's address in rdi.
private_function SYMBOL(weft_fiber_entry)
    .cfi_undefined %rip                             // unwinder: the stack ends here
#    if LINK_BACKTRACES
    .cfi_signal_frame
#    endif
    ud2                                             // never runs; as in weft_context_entry
private_label SYMBOL(weft_fiber_start)
    enter
    movq    %rbp, %rax                              // the function
#    if LINK_BACKTRACES
    xchgq   %rbx, %rdi                              // its argument; the block where every function keeps it for us
    leaq    WEFT_BLOCK_FRAME(%rbx), %rbp            // the resumer's frame pointer and rip there are the next frame record
    cfi_caller_in_block 3, 3, 6, 16                 // unwinder: rbx (3), rbp (6), rip (16) of the resumer
#    else
    movq    %rbx, %rdi                              // its argument
    xorl    %ebp, %ebp                              // frame pointer 0: a walk along the frame pointers ends here
#    endif
    leaq    1f(%rip), %rcx
    pushq   %rcx                                    // its return address, as in weft_context_entry
    jmp     *%rax                                   // does not come back
1:
    ud2                                             // for those who look up the return address itself
end_function SYMBOL(weft_fiber_entry)

#    if defined(__ELF__)
    elf_features 0xc0000002, IBT                       // GNU_PROPERTY_X86_FEATURE_1_AND: bit 0 IBT, bit 1 shadow stack
#    endif

#endif

#if defined(__ELF__)
    .section .note.GNU-stack, "", %progbits             // this object needs no executable stack, whatever it is built for
#endif
