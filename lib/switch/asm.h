// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

// What ELF and Mach-O spell differently, so that the instructions stand in one text:
//
//   public_function SYMBOL(name)     begins a function that the library exports
//   private_function SYMBOL(name)    begins one that only the library sees
//   end_function SYMBOL(name)        ends either
//
// Between begin and end stands call frame information (CFI): for every instruction it tells an unwinder (a debugger,
// a thrown exception) where the caller's registers are. CFA, the canonical frame address, is the value that sp had
// before the call of this function; all saved registers are described by their distance from it.

#if defined(__APPLE__)

#    define SYMBOL(name) _##name

.macro public_function name
    .text
    .p2align 4
    .globl \name
\name:
    .cfi_startproc
.endm

.macro private_function name
    .private_extern \name
    public_function \name
.endm

.macro end_function name
    .cfi_endproc
.endm

#else

#    define SYMBOL(name) name

.macro public_function name
    .text
    .p2align 4
    .globl \name
    .type \name, %function
\name:
    .cfi_startproc
.endm

.macro private_function name
    .hidden \name
    public_function \name
.endm

.macro end_function name
    .cfi_endproc
    .size \name, . - \name
.endm

// Tells the linker what this object needs and promises: no executable stack, and (value != 0) the features of the
// processor that every entry of it is ready for. The linker keeps a feature only where all objects promise it.
.macro elf_notes type, value
    .section .note.GNU-stack, "", %progbits
    .if \value
    .section .note.gnu.property, "a", %note
    .p2align 3
    .long 4                  // size of the name
    .long 16                 // size of the description
    .long 5                  // NT_GNU_PROPERTY_TYPE_0
    .asciz "GNU"
    .long \type              // which property
    .long 4                  // size of its value
    .long \value
    .long 0                  // padding to 8 bytes
    .endif
.endm

#endif
