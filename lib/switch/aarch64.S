// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// The context switch on AArch64 (weft/switch.hpp). lib/README.md explains it and has the picture of the frame.
//
//   weft::context  weft_make_context(void* stack_top, size_t size, void (*entry)(transfer));
//   weft::transfer weft_jump_context(context to, void* data);
//   weft::transfer weft_ontop_context(context to, void* data, transfer (*call)(transfer));
//
// A call of jump is, to its caller, a function call that takes long. So it must keep what every function keeps, and
// nothing else (AAPCS64 §6.1.1, §6.1.2): x19-x28, x29 (frame pointer), sp, and d8-d15, the low halves of v8-v15.
// x30 (link register) holds the address to return to: `bl` put it there, no stack is involved.
// Deliberately not saved: x0-x17, v0-v7, v16-v31, the upper halves of v8-v15 and the flags (any call may change them),
// x18 (the platform's, not read or written here but for a shadow call stack), FPCR and FPSR (the thread's), TPIDR_EL0
// (the thread pointer).
//
// transfer is two pointers, so it is passed and returned in x0 (from) and x1 (data) (AAPCS64 §6.8.2, §6.9).
//
// Under -mbranch-protection=standard
//   BTI: an indirect branch (br, blr) may only land on a `bti` instruction; `ret` may land anywhere. `paciasp` counts
//        as landing pad for calls.
//   PAC: `paciasp` signs x30 with a key of the process and with sp; `autiasp` checks and strips the signature and
//        faults if x30 or sp is not what was signed. A return address saved in memory is therefore saved signed.
// All four are hints: on a processor without the feature they do nothing.

#if defined(__aarch64__)

#    include "asm.h"
#    include "frame.h"

#    if defined(__ARM_FEATURE_PAC_DEFAULT)
#        define PAC 1
#    else
#        define PAC 0
#    endif
#    if defined(__ARM_FEATURE_BTI_DEFAULT)
#        define BTI 1
#    else
#        define BTI 0
#    endif

// First instruction of a function that is called: landing pad, and x30 signed while sp is still the caller's.
.macro enter
#    if PAC
    paciasp                                             // sign x30; a landing pad too
    .cfi_negate_ra_state                                // unwinder: from here the return address is signed
#    elif BTI
    bti     c                                           // may be called through a pointer
#    endif
.endm

// Pushes the frame of the context that leaves. Every line: whose caller needs it back when we are resumed.
.macro save_callee_saved
    sub     sp, sp, #WEFT_AARCH64_FRAME                 // room for all of it at once; sp stays 16-byte aligned
    .cfi_adjust_cfa_offset WEFT_AARCH64_FRAME           // unwinder: the CFA is now sp + frame
    stp     x29, x30, [sp, #WEFT_AARCH64_X29_X30]       // frame pointer, and where to return to
    .cfi_rel_offset x29, WEFT_AARCH64_X29_X30           // unwinder: from here the caller's x29 and x30 are in the frame
    .cfi_rel_offset x30, WEFT_AARCH64_X29_X30 + 8
    stp     x19, x20, [sp, #WEFT_AARCH64_X19_X20]       // the ten general callee-saved registers
    .cfi_rel_offset x19, WEFT_AARCH64_X19_X20
    .cfi_rel_offset x20, WEFT_AARCH64_X19_X20 + 8
    stp     x21, x22, [sp, #WEFT_AARCH64_X21_X22]
    .cfi_rel_offset x21, WEFT_AARCH64_X21_X22
    .cfi_rel_offset x22, WEFT_AARCH64_X21_X22 + 8
    stp     x23, x24, [sp, #WEFT_AARCH64_X23_X24]
    .cfi_rel_offset x23, WEFT_AARCH64_X23_X24
    .cfi_rel_offset x24, WEFT_AARCH64_X23_X24 + 8
    stp     x25, x26, [sp, #WEFT_AARCH64_X25_X26]
    .cfi_rel_offset x25, WEFT_AARCH64_X25_X26
    .cfi_rel_offset x26, WEFT_AARCH64_X25_X26 + 8
    stp     x27, x28, [sp, #WEFT_AARCH64_X27_X28]
    .cfi_rel_offset x27, WEFT_AARCH64_X27_X28
    .cfi_rel_offset x28, WEFT_AARCH64_X27_X28 + 8
    stp     d8, d9, [sp, #WEFT_AARCH64_D8_D9]           // callee-saved too: forget them and a caller's doubles change
    .cfi_rel_offset d8, WEFT_AARCH64_D8_D9
    .cfi_rel_offset d9, WEFT_AARCH64_D8_D9 + 8
    stp     d10, d11, [sp, #WEFT_AARCH64_D10_D11]
    .cfi_rel_offset d10, WEFT_AARCH64_D10_D11
    .cfi_rel_offset d11, WEFT_AARCH64_D10_D11 + 8
    stp     d12, d13, [sp, #WEFT_AARCH64_D12_D13]
    .cfi_rel_offset d12, WEFT_AARCH64_D12_D13
    .cfi_rel_offset d13, WEFT_AARCH64_D12_D13 + 8
    stp     d14, d15, [sp, #WEFT_AARCH64_D14_D15]
    .cfi_rel_offset d14, WEFT_AARCH64_D14_D15
    .cfi_rel_offset d15, WEFT_AARCH64_D14_D15 + 8
#    if WEFT_SHADOW_CALL_STACK
    str     x18, [sp, #WEFT_AARCH64_X18]                // where it stands on its shadow call stack
#    endif
.endm

// Pops the frame of the context that arrives, in the order it was pushed. Ends as if that context's call of the
// switch were about to return: its sp, its x30.
.macro restore_callee_saved
    ldp     x29, x30, [sp, #WEFT_AARCH64_X29_X30]       // its frame pointer, its (signed) way back
    .cfi_restore x29                                    // unwinder: from here these are in their registers again
    .cfi_restore x30
    ldp     x19, x20, [sp, #WEFT_AARCH64_X19_X20]
    .cfi_restore x19
    .cfi_restore x20
    ldp     x21, x22, [sp, #WEFT_AARCH64_X21_X22]
    .cfi_restore x21
    .cfi_restore x22
    ldp     x23, x24, [sp, #WEFT_AARCH64_X23_X24]
    .cfi_restore x23
    .cfi_restore x24
    ldp     x25, x26, [sp, #WEFT_AARCH64_X25_X26]
    .cfi_restore x25
    .cfi_restore x26
    ldp     x27, x28, [sp, #WEFT_AARCH64_X27_X28]
    .cfi_restore x27
    .cfi_restore x28
    ldp     d8, d9, [sp, #WEFT_AARCH64_D8_D9]
    .cfi_restore d8
    .cfi_restore d9
    ldp     d10, d11, [sp, #WEFT_AARCH64_D10_D11]
    .cfi_restore d10
    .cfi_restore d11
    ldp     d12, d13, [sp, #WEFT_AARCH64_D12_D13]
    .cfi_restore d12
    .cfi_restore d13
    ldp     d14, d15, [sp, #WEFT_AARCH64_D14_D15]
    .cfi_restore d14
    .cfi_restore d15
#    if WEFT_SHADOW_CALL_STACK
    ldr     x18, [sp, #WEFT_AARCH64_X18]                // from here calls store their return addresses on its own
#    endif
    add     sp, sp, #WEFT_AARCH64_FRAME                 // the frame is empty: sp as before that context's call
    .cfi_adjust_cfa_offset -WEFT_AARCH64_FRAME          // unwinder: the CFA is sp itself
#    if PAC
    autiasp                                             // check x30 against the sp it was signed with
    .cfi_negate_ra_state                                // unwinder: the return address is a plain one again
#    endif
.endm

#    if defined(__linux__)
    needs_refusal_of_shadow_stacks R_AARCH64_NONE
#    endif

// ---------------------------------------------------------------------------------------------------------------------
// weft_make_context: lays a frame on the new stack, as if the entry below had called jump. x0 = stack top, x1 = size
// (needed for a shadow call stack alone: the stack grows down from its top), x2 = entry. Returns the context in x0.
public_function SYMBOL(weft_make_context)
#    if BTI || PAC
    bti     c                                           // a leaf: x30 stays in its register and is not signed
#    endif
#    if WEFT_SHADOW_CALL_STACK
    mov     x9, #3                                      // the uppermost third becomes the shadow call stack, which grows
    udiv    x9, x1, x9                                  // up (see make_control_block in control_block.cpp)
    sub     x0, x0, x9
    sub     x0, x0, #16
#    endif
    and     x0, x0, #~15                                // the entry starts with an aligned sp
#    if PAC
    mov     x16, x0                                     // what the entry's sp will be when these are checked
    adr     x17, LOCAL(context_entry)
    pacia1716                                           // sign x17 with x16: what `autiasp` will expect in x30
    mov     x9, x17
    mov     x17, x2
    pacia1716                                           // sign the entry function too: it rests in memory until then
    mov     x2, x17
#    else
    adr     x9, LOCAL(context_entry)                    // "returns" to the trampoline
#    endif
    sub     x0, x0, #WEFT_AARCH64_FRAME                 // the new context: address of its frame
#    if WEFT_SHADOW_CALL_STACK
    add     x10, x0, #WEFT_AARCH64_FRAME                // it begins where the other one does
    str     x10, [x0, #WEFT_AARCH64_X18]
#    endif
    stp     xzr, x9, [x0, #WEFT_AARCH64_X29_X30]        // x29 = 0: a walk along the frame pointers ends here
    str     x2, [x0, #WEFT_AARCH64_X19_X20]             // x19 = entry, kept for the trampoline
    ret
end_function SYMBOL(weft_make_context)

// ---------------------------------------------------------------------------------------------------------------------
// weft_jump_context: x0 = to, x1 = data. Returns, in the context `to`, from its own call of jump or ontop.
public_function SYMBOL(weft_jump_context)
    enter
    save_callee_saved
    mov     x9, sp                                      // the leaving context is the address of its frame
    mov     sp, x0                                      // from here we stand on the arriving context's stack; its frame
                                                        // has the same layout, so the CFI above holds for it unchanged
    mov     x0, x9                                      // transfer.from = who left; transfer.data is in x1 already
    restore_callee_saved
    ret                                                 // `ret`, not `br`: it may land where there is no `bti`
end_function SYMBOL(weft_jump_context)

// ---------------------------------------------------------------------------------------------------------------------
// weft_ontop_context: x0 = to, x1 = data, x2 = call. As jump, but the arriving context calls `call` first: x30 still
// holds its way back, so `call` returns to it directly, with its result in x0 and x1.
public_function SYMBOL(weft_ontop_context)
    enter
    save_callee_saved
    mov     x9, sp                                      // the leaving context
    mov     sp, x0                                      // the arriving context's stack
    mov     x0, x9                                      // argument of call: {from = who left, data = x1}
    restore_callee_saved
    mov     x16, x2                                     // a branch through x16 or x17 may land on `bti c`, the landing
    br      x16                                         // pad of a function; x2 may hold anything for `call`
end_function SYMBOL(weft_ontop_context)

// ---------------------------------------------------------------------------------------------------------------------
// The first return of a context made by make arrives here: x19 = entry, x0 and x1 = transfer, sp = top of the stack.
// On x86 the entry could be "returned" to, with its own return address pushed beside it; here the return address belongs
// into x30, so somebody must put it there.
private_function SYMBOL(weft_context_entry)
    .cfi_undefined x30                                  // unwinder: nobody called us; the stack ends here
    brk     #0                                          // never runs. An unwinder looks up "return address - 1", and a
                                                        // context that never ran "returns" to the next line
LOCAL(context_entry):
#    if PAC
    mov     x17, x19
    mov     x16, sp
    autia1716                                           // check the entry function against what make signed
#    else
    mov     x17, x19                                    // (a branch through x17 may land on `bti c`)
#    endif
    adr     x30, 1f                                     // entry's return address, put there and not left by a `blr`:
                                                        // nobody returns, and the predictor of returns would expect it
    br      x17                                         // entry(transfer)
1:
    bl      SYMBOL(abort)                               // entry returned, but nobody is there to return to
    brk     #0                                          // so that abort's return address lies inside this function
end_function SYMBOL(weft_context_entry)

// ---------------------------------------------------------------------------------------------------------------------
// First entry of a fiber by the inline switch (weft/detail/switch_aarch64.hpp), which restores only sp, pc, x29 and x19.
// make_control_block put the function into x29 and its argument into x19.
// It left the control block's address in x0.
private_function SYMBOL(weft_fiber_entry)
    .cfi_undefined x30                                  // unwinder: the stack ends here
#    if LINK_BACKTRACES
    .cfi_signal_frame
#    endif
    brk     #0                                          // never runs; as in weft_context_entry
private_label SYMBOL(weft_fiber_start)                  // 4 beyond a multiple of 16: a fiber's mark (control_block_mark)
#    if BTI || PAC
    bti     j                                           // the inline switch comes by a branch
#    endif
    mov     x17, x29                                    // the function
#    if LINK_BACKTRACES
    add     x29, x0, #WEFT_BLOCK_FRAME                  // the resumer's x29 and pc there are the next frame record
    mov     x9, x19
    mov     x19, x0                                     // the block, where every function keeps it for us
    mov     x0, x9                                      // its argument
    cfi_caller_in_block 19, 19, 29, 30                  // unwinder: x19, x29 and the pc of the resumer
#        if PAC
    .cfi_negate_ra_state                                // and that pc is signed, with the resumer's sp
#        endif
#    else
    mov     x0, x19                                     // its argument
    mov     x29, xzr                                    // frame pointer 0: a walk along the frame pointers ends here
#    endif
#    if PAC
    mov     x16, sp
    autia1716                                           // check the function against what make_control_block signed
#    endif
    adr     x30, 1f                                     // its return address, as in weft_context_entry
    br      x17                                         // does not come back
1:
    brk     #0                                          // for those who look up the return address itself
end_function SYMBOL(weft_fiber_entry)

#    if defined(__ELF__)
    elf_features 0xc0000000, (BTI | PAC << 1)              // GNU_PROPERTY_AARCH64_FEATURE_1_AND: bit 0 BTI, bit 1 PAC
#    endif

#endif

#if defined(__ELF__)
    .section .note.GNU-stack, "", %progbits             // this object needs no executable stack, whatever it is built for
#endif
