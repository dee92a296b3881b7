// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include "frame.h"

// What ELF and Mach-O spell differently, so that the instructions stand in one text:
//
//   public_function SYMBOL(name)     begins a function that the library exports
//   private_function SYMBOL(name)    begins one that only the library sees
//   end_function SYMBOL(name)        ends either
//   private_label SYMBOL(name)       a place inside a function that only the library sees
//   LOCAL(name):                     one that only this file sees, and that is no symbol
//
// With shadow call stacks the three functions of weft/switch.hpp have names of their own, so that code with and without
// does not link. (fcontext.S has its own names for them.)
#if WEFT_SHADOW_CALL_STACK && !defined(weft_jump_context)
#    define weft_make_context weft_make_context_with_shadow_call_stack
#    define weft_jump_context weft_jump_context_with_shadow_call_stack
#    define weft_ontop_context weft_ontop_context_with_shadow_call_stack
#endif

// Between begin and end stands call frame information (CFI): for every instruction it tells an unwinder (a debugger,
// a thrown exception) where the caller's registers are. CFA, the canonical frame address, is the value that sp had
// before the call of this function; all saved registers are described by their distance from it.

//
// With WEFT_LINK_BACKTRACES a backtrace goes on from the entry of a fiber to its resumer; else it ends there.

#if defined(WEFT_LINK_BACKTRACES) && WEFT_LINK_BACKTRACES
#    define LINK_BACKTRACES 1
#else
#    define LINK_BACKTRACES 0
#endif

// For the unwinder: the caller of what follows is the flow of control in the control_block that register number \reg
// (of DWARF; \fp, \base and \pc likewise) points at: its sp is what the block says (DW_CFA_def_cfa_expression: breg,
// deref), its other registers lie in the block (DW_CFA_expression: breg). A debugger shows such a frame as it shows a
// signal's: here, too, the stack changes, and the caller was not left by a call.
.macro cfi_caller_in_block reg, base, fp, pc
    .cfi_escape 0x0f, 3, 0x70 + \reg, WEFT_BLOCK_SP, 0x06
    .cfi_escape 0x10, \base, 2, 0x70 + \reg, WEFT_BLOCK_BASE
    .cfi_escape 0x10, \fp, 2, 0x70 + \reg, WEFT_BLOCK_FRAME
    .cfi_escape 0x10, \pc, 2, 0x70 + \reg, WEFT_BLOCK_PC
.endm

#if defined(__APPLE__)

#    define SYMBOL(name) PREFIXED(name) // two steps, so that a name that is a macro is replaced first
#    define PREFIXED(name) _##name
#    define LOCAL(name) L##name

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
    .alt_entry \name // no function of its own: the linker and the assembler keep both parts together
\name:
.endm

#else

#    define SYMBOL(name) name
#    define LOCAL(name) .L##name

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

// Makes the linker take shadow_stack.cpp wherever it takes this object: a relocation that changes nothing, of the first
// instruction that follows (gold takes none of a place where no byte is).
.macro needs_refusal_of_shadow_stacks type
    .text
    .globl weft_refuse_shadow_stack // or Clang's assembler forgets the name
    .reloc ., \type, weft_refuse_shadow_stack
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
