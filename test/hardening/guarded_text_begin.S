// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Linked first: what follows up to guarded_text_end.S begins on a page of its own.

    .text
    .p2align 12
    .globl  guarded_text_begin
guarded_text_begin:

    .globl  without_landing_pad
    .type   without_landing_pad, %function
without_landing_pad:
    ret
    .size   without_landing_pad, . - without_landing_pad

    .section .note.GNU-stack, "", %progbits
