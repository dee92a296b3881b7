// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Linked after weft and the test, before the C library.

    .text
    .p2align 12
    .globl  guarded_text_end
guarded_text_end:
    udf     #0

    .section .note.GNU-stack, "", %progbits
