// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/control_block.hpp>

// The inline switch on x86-64. It is not a call: to the compiler it is one statement that may change every register and
// all memory, so the compiler itself spills what is live here, and nothing else. By hand go only rsp, rip, and the two
// registers that cannot be declared clobbered: rbp (the frame pointer) and rbx (Clang's base pointer where the stack is
// realigned). Nothing is pushed: a red zone below rsp stays whole. It leaves by an indirect branch and never by `ret`,
// so the processor's stack of predicted returns stays as it was.
//
// Call frame information: until the row below, an unwinder sees the function that leaves; from there on it sees a frame
// whose caller is the arriving context. `ud2` never runs; it keeps the byte before label 1, which unwinders look up for
// a suspended frame, out of that row.

#if defined(__CET__) && (__CET__ & 1)
#    define WEFT_LANDING_PAD "endbr64\n\t"
#else
#    define WEFT_LANDING_PAD ""
#endif

#if defined(__GCC_HAVE_DWARF2_CFI_ASM)
#    define WEFT_CFI_ARRIVING                                                                                          \
        ".cfi_remember_state\n\t"                                                                                      \
        ".cfi_def_cfa %%rcx, 0\n\t"     /* the caller's rsp is the arriving one, */                                    \
        ".cfi_register %%rip, %%rdx\n\t" /* it continues at the arriving rip, */                                       \
        ".cfi_register %%rbp, %%rsi\n\t" /* and these are its rbp and rbx */                                           \
        ".cfi_register %%rbx, %%r8\n\t"
#    define WEFT_CFI_LEAVING ".cfi_restore_state\n\t"
#else
#    define WEFT_CFI_ARRIVING ""
#    define WEFT_CFI_LEAVING ""
#endif

#if defined(__AVX512F__)
#    define WEFT_CLOBBER_AVX512                                                                                        \
        , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27",  \
            "xmm28", "xmm29", "xmm30", "xmm31", "k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#    define WEFT_CLOBBER_AVX512
#endif

namespace weft::detail {

/// Exchanges the running flow of control with the one in `block`. Returns when somebody switches through the block that
/// then holds this one, possibly on another thread: no thread-local address may be kept across it.
/// Costs 4 loads, 4 stores and one well-predicted branch; MXCSR and the x87 control word stay the thread's.
WEFT_ALWAYS_INLINE void switch_to(control_block& block) noexcept {
    control_block* b = &block;
    asm volatile("leaq  1f(%%rip), %%rax\n\t"  // where we shall continue
                 "movq  0(%%rdi), %%rcx\n\t"   // the arriving rsp
                 "movq  8(%%rdi), %%rdx\n\t"   // the arriving rip
                 "movq  16(%%rdi), %%rsi\n\t"  // the arriving rbp
                 "movq  24(%%rdi), %%r8\n\t"   // the arriving rbx
                 "movq  %%rsp, 0(%%rdi)\n\t"   // ours go where they were
                 "movq  %%rax, 8(%%rdi)\n\t"   //
                 "movq  %%rbp, 16(%%rdi)\n\t"  //
                 "movq  %%rbx, 24(%%rdi)\n\t"  //
                 WEFT_CFI_ARRIVING             //
                 "movq  %%rsi, %%rbp\n\t"      // the arriving context's registers
                 "movq  %%r8, %%rbx\n\t"       //
                 "movq  %%rcx, %%rsp\n\t"      // now on its stack
                 "jmp   *%%rdx\n\t"            // goes on there, at its label 1 or at its entry
                 WEFT_CFI_LEAVING              //
                 "ud2\n"                       // never runs, see above
                 "1:\n\t"                      // somebody came back: rsp, rbp and rbx are ours again
                 WEFT_LANDING_PAD              //
                 : "+D"(b)
                 :
                 : "rax", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1",
                   "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",
                   "xmm14", "xmm15" WEFT_CLOBBER_AVX512, "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)",
                   "st(7)", "mm0", "mm1", "mm2", "mm3", "mm4", "mm5", "mm6", "mm7", "cc", "memory");
}

static_assert(offsetof(control_block, stack_pointer) == 0 && offsetof(control_block, program_counter) == 8 &&
              offsetof(control_block, frame_pointer) == 16 && offsetof(control_block, base_register) == 24);

} // namespace weft::detail

#undef WEFT_LANDING_PAD
#undef WEFT_CFI_ARRIVING
#undef WEFT_CFI_LEAVING
#undef WEFT_CLOBBER_AVX512
