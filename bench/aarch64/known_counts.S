// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// A program of which every count is known: test_plugin.py has the figures, in the same order. Nothing is linked to it.

    .arch armv8.1-a+lse             // swp

.macro begin_counting
    hint    #112
.endm
.macro end_counting
    hint    #113
.endm

// \depth calls, each of which makes the next one, then as many returns, all to different places.
.macro nested_calls depth
    mov     x2, #\depth
    bl      first_of_chain
.endm

    .text
    .globl  _start
    .type   _start, %function
_start:
    adrp    x0, memory
    add     x0, x0, :lo12:memory

    // nothing
    begin_counting
    end_counting

    // 13 instructions; 5 load, 6 store: a pair is one operation, and so is a pair of vector registers; an atomic exchange
    // is a load and a store; a prefetch and a barrier are neither
    begin_counting
    ldr     x1, [x0]
    ldp     x1, x2, [x0]
    ldp     d8, d9, [x0]
    ldp     q0, q1, [x0]
    str     x1, [x0]
    stp     x1, x2, [x0]
    stp     d8, d9, [x0]
    stp     q0, q1, [x0]
    strb    w1, [x0]
    swp     x1, x2, [x0]
    prfm    pldl1keep, [x0]
    dmb     ish
    nop
    end_counting

    // a call and its return: predicted. A branch is neither, though it goes where a return would
    begin_counting
    bl      returns
    adr     x3, returns
    blr     x3
    adr     x3, 1f
    br      x3
1:  end_counting

    // a return to another place than the call's: one miss
    begin_counting
    bl      returns_elsewhere
    nop
elsewhere:
    end_counting

    // a call left by a branch, then a return that belongs to the call before: both miss, since one entry is left over
    begin_counting
    bl      calls_and_leaves
    nop
    end_counting

    // as many calls as a stack has entries, and one more: its oldest entry is lost, and the returns after the sixteen
    // newest ones find stale entries
    begin_counting
    nested_calls 16
    end_counting
    begin_counting
    nested_calls 17
    end_counting
    begin_counting
    nested_calls 32
    end_counting
    begin_counting
    nested_calls 33
    end_counting

    mov     x0, #0
    mov     x8, #93                 // exit
    svc     #0

returns:
    ret

returns_elsewhere:
    adr     x30, elsewhere
    ret

calls_and_leaves:
    mov     x4, x30
    bl      leaves
    nop
leaves:
    adr     x3, 1f
    br      x3
1:  mov     x30, x4
    ret     x30

first_of_chain:
.rept 33
1:  stp     x29, x30, [sp, #-16]!
    subs    x2, x2, #1
    b.eq    2f
    bl      1f                      // the next one of the chain
2:  ldp     x29, x30, [sp], #16
    ret
.endr
1:  brk     #0

    .bss
    .balign 16
memory:
    .skip   64

    .section .note.GNU-stack, "", %progbits
