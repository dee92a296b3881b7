// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/control_block.hpp>

// The inline switch on x86-64. It is not a call: to the compiler it is one statement that may change every register and
// all memory, so the compiler itself spills what is live here, and nothing else. By hand go only rsp, rip, and the two
// registers that cannot be declared clobbered: rbp (the frame pointer) and rbx (Clang's base pointer where the stack is
// realigned). To GCC rbx is a register like others, and a switch costs what its stores cost, one a cycle: so a fiber
// that GCC has compiled goes without its rbx. (A resumer does not: its loop's counter is better off in a register.)
// The arriving rbx is loaded before the stores: a body that finds its variables through it waits for it, and it comes
// later behind them (below three calls: by a third of a round trip).
// Nothing is pushed: a red zone below rsp stays whole. It leaves by an indirect branch and never by `ret`, so the
// processor's stack of predicted returns stays as it was.
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
        ".cfi_def_cfa %%rcx, 0\n\t"         /* the caller's rsp is the arriving one, */                                \
        ".cfi_register %%rip, %%rdx\n\t"    /* it continues at the arriving rip, */                                    \
        ".cfi_same_value %%rbp\n\t"         /* its rbp is in place, */                                                 \
        ".cfi_register %%rbx, %%r9\n\t"     /* its rbx is here, also when it has been moved */
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

#if defined(__clang__)
#    define WEFT_LEAVE_FIBER_BASE WEFT_LEAVE_BASE
#    define WEFT_CLOBBER_FIBER_BASE
#else
#    define WEFT_LEAVE_FIBER_BASE ""
#    define WEFT_CLOBBER_FIBER_BASE , "rbx"
#endif
#define WEFT_LEAVE_BASE "movq  %%rbx, %c[leaving](%%rdi)\n\t"

// Exchanges the running flow of control, whose rbx and rbp belong at `leaving` in the block at rdi, with the one in the
// block, whose own lie at `arriving`. LEAVING_PC and ARRIVING_PC invert that of a fiber, see control_block_mark.
#define WEFT_SWITCH(LEAVING_PC, ARRIVING_PC, LEAVE_BASE)                                                               \
    "leaq  1f(%%rip), %%rax\n\t"            /* where we shall continue */                                              \
    LEAVING_PC                                                                                                         \
    "movq  %c[sp](%%rdi), %%rcx\n\t"        /* the arriving rsp, */                                                    \
    "movq  %c[pc](%%rdi), %%rdx\n\t"        /* rip */                                                                  \
    ARRIVING_PC                                                                                                        \
    "movq  %c[arriving](%%rdi), %%r9\n\t"   /* and rbx, see above */                                                   \
    "movq  %%rsp, %c[sp](%%rdi)\n\t"        /* ours go where they were */                                              \
    "movq  %%rax, %c[pc](%%rdi)\n\t"                                                                                   \
    "movq  %%rbp, %c[leaving]+8(%%rdi)\n\t"                                                                            \
    LEAVE_BASE                                                                                                         \
    "movq  %c[arriving]+8(%%rdi), %%rbp\n\t" /* the arriving context's registers */                                    \
    WEFT_CFI_ARRIVING                                                                                                  \
    "movq  %%r9, %%rbx\n\t"                                                                                            \
    "movq  %%rcx, %%rsp\n\t"                /* now on its stack */                                                     \
    "jmp   *%%rdx\n\t"                      /* goes on there, at its label 1 or at its entry */                        \
    WEFT_CFI_LEAVING                                                                                                   \
    "ud2\n"                                 /* never runs, see above */                                                \
    "1:\n\t"                                /* somebody came back: rsp, rbp and rbx are ours again */                  \
    WEFT_LANDING_PAD

#define WEFT_SWITCH_OPERANDS(BLOCK, LEAVING, ARRIVING)                                                                 \
    "D"(BLOCK), [leaving] "i"(offsetof(control_block, LEAVING)), [arriving] "i"(offsetof(control_block, ARRIVING)),    \
        [sp] "i"(offsetof(control_block, stack_pointer)), [pc] "i"(offsetof(control_block, program_counter))

#define WEFT_SWITCH_CLOBBERS                                                                                           \
    "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3",         \
        "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",                   \
        "xmm15" WEFT_CLOBBER_AVX512, "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "mm0",       \
        "mm1", "mm2", "mm3", "mm4", "mm5", "mm6", "mm7", "cc", "memory"

namespace weft::detail {

/// Leaves the running flow of control, the resumer, in `block` and continues the fiber that was in it. Returns when
/// somebody switches back through the same block, possibly on another thread: no thread-local address may be kept
/// across it. As it is always the same block, rdi arrives as it left: a compiler that keeps the block's address there
/// need not fetch it from a stack. Costs 4 loads, 4 stores and one well-predicted branch; MXCSR and the x87 control
/// word stay the thread's. Returns what the other side handed over, in rsi; anything if it handed over nothing.
WEFT_ALWAYS_INLINE void* switch_to_fiber(control_block& block) noexcept {
    void* handed_over;
    asm volatile(WEFT_SWITCH("", "notq  %%rdx\n\t", WEFT_LEAVE_BASE)
                 : "=S"(handed_over)
                 : WEFT_SWITCH_OPERANDS(&block, resumer_base_register, fiber_base_register)
                 : WEFT_SWITCH_CLOBBERS);
    return handed_over;
}

/// The other way: leaves the fiber in `block` and continues the resumer that was in it. GCC: 3 stores.
WEFT_ALWAYS_INLINE void switch_to_resumer(control_block& block) noexcept {
    asm volatile(WEFT_SWITCH("notq  %%rax\n\t", "", WEFT_LEAVE_FIBER_BASE)
                 :
                 : WEFT_SWITCH_OPERANDS(&block, fiber_base_register, resumer_base_register)
                 : WEFT_SWITCH_CLOBBERS, "rsi" WEFT_CLOBBER_FIBER_BASE);
}

/// The same, and hands something over to the resumer.
WEFT_ALWAYS_INLINE void switch_to_resumer(control_block& block, void* hand_over) noexcept {
    asm volatile(WEFT_SWITCH("notq  %%rax\n\t", "", WEFT_LEAVE_FIBER_BASE)
                 : "+S"(hand_over)
                 : WEFT_SWITCH_OPERANDS(&block, fiber_base_register, resumer_base_register)
                 : WEFT_SWITCH_CLOBBERS WEFT_CLOBBER_FIBER_BASE);
}

/// The first of these of a fiber that is to be continued only after somebody has taken the mark away: it is not
/// resumable.
WEFT_ALWAYS_INLINE void switch_to_resumer_for_good(control_block& block) noexcept {
    asm volatile(WEFT_SWITCH("notq  %%rax\n\t"
                             "btrq  %[not_resumable_bit], %%rax\n\t", /* the mark, inverted as the pc is */
                             "", WEFT_LEAVE_FIBER_BASE)
                 :
                 : WEFT_SWITCH_OPERANDS(&block, fiber_base_register, resumer_base_register),
                   [not_resumable_bit] "i"(__builtin_ctzll(not_resumable))
                 : WEFT_SWITCH_CLOBBERS, "rsi" WEFT_CLOBBER_FIBER_BASE);
}

inline constexpr bool switch_asks_mark = false;

static_assert(offsetof(control_block, fiber_frame_pointer) == offsetof(control_block, fiber_base_register) + 8 &&
              offsetof(control_block, resumer_frame_pointer) == offsetof(control_block, resumer_base_register) + 8);

} // namespace weft::detail

#undef WEFT_SWITCH
#undef WEFT_SWITCH_OPERANDS
#undef WEFT_SWITCH_CLOBBERS
#undef WEFT_LEAVE_BASE
#undef WEFT_LEAVE_FIBER_BASE
#undef WEFT_CLOBBER_FIBER_BASE
#undef WEFT_LANDING_PAD
#undef WEFT_CFI_ARRIVING
#undef WEFT_CFI_LEAVING
#undef WEFT_CLOBBER_AVX512
