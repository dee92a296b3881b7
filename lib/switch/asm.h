// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

// What ELF and Mach-O spell differently, so that the instructions stand in one text:
//
//   public_function SYMBOL(name)     begins a function that the library exports
//   private_function SYMBOL(name)    begins one that only the library sees
//   end_function SYMBOL(name)        ends either
//   private_label SYMBOL(name)       a place inside a function that only the library sees
//
// Between begin and end stands call frame information (CFI): for every instruction it tells an unwinder (a debugger,
// a thrown exception) where the caller's registers are. CFA, the canonical frame address, is the value that sp had
// before the call of this function; all saved registers are described by their distance from it.

#if defined(__APPLE__)

#    define SYMBOL(name) PREFIXED(name) // two steps, so that a name that is a macro is replaced first
#    define PREFIXED(name) _##name

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

.macro private_label name
    .private_extern \name
    .globl \name
\name:
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

.macro private_label name
    .hidden \name
    .globl \name
\name:
.endm

// Tells the linker which features of the processor (value != 0) every entry of this object is ready for. It keeps a
// feature only where all objects of a program promise it.
.macro elf_features type, value
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
