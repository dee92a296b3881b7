// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// The state of a thread (thread_state.hpp), and the function that finds it from any shared object:
//
//   thread_local weft::detail::thread_state weft_thread_state;
//   weft::detail::thread_state* weft_this_thread() noexcept;
//
// In assembly, because both are then the same whatever the compiler makes of a thread_local: a function that it has
// compiled may keep the address for longer than a thread runs it, and with -femulated-tls the state has no place that a
// linker knows.
//
// A TLS descriptor is two words, a function and its argument. Called with the descriptor's address, the function
// returns the distance of the state to the thread pointer, and keeps every other register but what a call itself
// changes. The loader chooses it: where there is room beside the variables that existed when the program started, one
// that returns a constant; elsewhere, one that allocates at the thread's first call. A linker that knows the distance puts
// a constant in the call's place.

#include <weft/detail/base/branch_protection.hpp>
#include <weft/detail/base/config.hpp>

#if WEFT_THREAD_STATE_ELF

#    include "asm.h"
#    include "../thread/thread_state.h"


    .section .tdata, "awT", %progbits
    .globl  SYMBOL(WEFT_THREAD_STATE)
    .type   SYMBOL(WEFT_THREAD_STATE), %tls_object
    .size   SYMBOL(WEFT_THREAD_STATE), WEFT_THREAD_STATE_SIZE
    .p2align 3
SYMBOL(WEFT_THREAD_STATE):
    .quad   SYMBOL(weft_exceptions_unknown)   // current: always busy, so that the first resume asks
    .quad   SYMBOL(weft_exceptions_unknown)   // idle_sentinel
    .quad   0                                       // context
    .quad   0                                       // number
    .quad   WEFT_THREAD_STATE_NOT_IN_USE            // cached
    .quad   WEFT_THREAD_STATE_ASK                   // cache_limit
    .hidden SYMBOL(weft_exceptions_unknown)   // in thread_state.cpp

#    if defined(__x86_64__)

public_function SYMBOL(WEFT_THIS_THREAD)
#        if WEFT_IBT
    endbr64                                         // a landing pad: may be called through a pointer
#        endif
    subq    $8, %rsp                                // rsp is a multiple of 16 where a function is called
    .cfi_adjust_cfa_offset 8
    leaq    WEFT_THREAD_STATE@tlsdesc(%rip), %rax   // linkers know these two by their form
    call    *WEFT_THREAD_STATE@tlscall(%rax)        // rax = the distance
    addq    $8, %rsp
    .cfi_adjust_cfa_offset -8
    addq    %fs:0, %rax                             // the word there is the thread pointer itself
    ret
end_function SYMBOL(WEFT_THIS_THREAD)

    elf_features 0xc0000002, WEFT_IBT                    // as x86_64.S

#    else

public_function SYMBOL(WEFT_THIS_THREAD)
#        if WEFT_BTI || WEFT_PAC
    bti     c                                       // a landing pad: may be called through a pointer
#        endif
    mov     x2, x30                                 // the return address: a descriptor's function keeps x2, so nothing
    .cfi_register x30, x2                           // of it lies in memory, where it would have to be signed
    adrp    x0, :tlsdesc:WEFT_THREAD_STATE          // linkers know these four by their form
    ldr     x1, [x0, :tlsdesc_lo12:WEFT_THREAD_STATE]
    add     x0, x0, :tlsdesc_lo12:WEFT_THREAD_STATE
    .tlsdesccall WEFT_THREAD_STATE
    blr     x1                                      // x0 = the distance
    mrs     x1, tpidr_el0
    add     x0, x0, x1
    ret     x2
end_function SYMBOL(WEFT_THIS_THREAD)

    elf_features 0xc0000000, (WEFT_BTI | WEFT_PAC << 1)       // as aarch64.S

#    endif

#endif

#if defined(__ELF__)
    .section .note.GNU-stack, "", %progbits         // this object needs no executable stack, whatever it is built for
#endif
