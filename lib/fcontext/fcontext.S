// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// weft's context switch under Boost.Context's names: make_fcontext, jump_fcontext and ontop_fcontext have the same
// contract as make, jump and ontop of weft/switch.hpp, so the same text is assembled once more. The hidden functions are
// renamed too, so that a program may link this and weft itself.
//
// Boost's headers declare the three as C functions up to 1.86, later as C++ functions of boost::context::detail, whose
// arguments and results travel in the same registers: each has both names.

#define weft_make_context  make_fcontext
#define weft_jump_context  jump_fcontext
#define weft_ontop_context ontop_fcontext
#define weft_context_entry weft_fcontext_entry
#define weft_fiber_entry   weft_fcontext_fiber_entry
#define weft_fiber_start   weft_fcontext_fiber_start

#if defined(__aarch64__)
#    include "../switch/aarch64.S"
#else
#    include "../switch/x86_64.S"
#endif

.macro also_named name, other
    .globl \other
    .set \other, \name
.endm

also_named SYMBOL(make_fcontext), SYMBOL(_ZN5boost7context6detail13make_fcontextEPvmPFvNS1_10transfer_tEE)
also_named SYMBOL(jump_fcontext), SYMBOL(_ZN5boost7context6detail13jump_fcontextEPvS2_)
also_named SYMBOL(ontop_fcontext), SYMBOL(_ZN5boost7context6detail14ontop_fcontextEPvS2_PFNS1_10transfer_tES3_E)
