// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/base/branch_protection.hpp>
#include <weft/detail/base/config.hpp>
#include <weft/detail/switch/control_block.hpp>

#include <cstddef>
#include <cstdint>

// The inline switch on AArch64. It is not a call: to the compiler it is one statement that may change every register
// but those of the contract below, and all memory, so the compiler itself spills what is live here, and nothing else. By hand
// go only sp, pc, and the two registers that cannot be declared clobbered: x29 (GCC refuses it) and x19 (Clang's base pointer where the stack
// is realigned). Nothing is pushed: a red zone below sp stays whole. It leaves by `br` and never by `ret`, so the
// processor's stack of predicted returns stays as it was.
//
// Its operations, in the order of every machine's header (lib/switch/<architecture>.S has the out-of-line switch):
//   waiting_in(block)                        AArch64 only: what waits there, loaded before the decision to switch
//   switch_to_fiber(block), (block, flow)    resumer to fiber; returns the passed value. The second: AArch64 only
//   switch_to_resumer(block), (block, word)  fiber to resumer, with nothing or a word passed
//   switch_to_resumer_not_resumable(block)   the same, and the fiber is not resumable until let_resume()
//   try_switch_to_resumer(block)             AArch64 only: the same if it is suspendable, in one statement
//   switch_tests_tag                         true if the operations of AArch64 only exist, see inline_switch.hpp
//
// x18 is the platform register. On plain Linux compilers use it as scratch, so it is clobbered there; on Apple, Android
// and Windows it must not even be named. Where it points into a shadow call stack (the processor knows nothing of that,
// functions store and load return addresses there), each flow of control has its own, and x18 is exchanged as sp is.
//
// Labels where a fiber and a resumer go on are aligned differently, see tag_bit.
//
// PAC (see lib/switch/aarch64.S): the pc rests in memory signed with its sp, and is checked before the branch.
// BTI: a branch through x17 may land on `bti j`, and on `bti c`, the landing pad of a function.
//
// Call frame information: until the rule below, an unwinder sees the function that leaves; from there on it sees a frame
// whose caller is the arriving flow. The brk before label 1 never run; they keep the bytes before the label, which
// unwinders look up for a suspended frame, out of that rule. Under PAC a function that changes x30, as this one does, has
// told the unwinder already that its return address is signed, so the rule names the signed pc, checked with CFA = sp.

#if WEFT_BTI
#    define WEFT_LANDING_PAD "hint #36\n\t" /* bti j */
#else
#    define WEFT_LANDING_PAD ""
#endif

#if WEFT_PAC
#    define WEFT_THEIR_PC "x13" /* still signed */
#    define WEFT_OTHER_PC "x17"
#    define WEFT_SIGN_OURS                                                                                             \
        "adr  x17, 1f\n\t"    /* where we shall continue, */                                                           \
        "mov  x16, sp\n\t"    /* signed together with our sp, */                                                       \
        "hint #8\n\t"         /* pacia1716: x17 with modifier x16 */                                                   \
        "mov  x12, x17\n\t"
#    define WEFT_CHECK_THEIRS                                                                                          \
        "mov  x17, x13\n\t"   /* the arriving pc, */                                                                   \
        "mov  x16, x9\n\t"    /* which was signed with its sp: */                                                      \
        "hint #12\n\t"        /* autia1716: strips the signature, or makes x17 an address that faults */
#else
#    define WEFT_THEIR_PC "x17"
#    define WEFT_OTHER_PC "x13"
#    define WEFT_SIGN_OURS "adr  x12, 1f\n\t" /* where we shall continue */
#    define WEFT_CHECK_THEIRS ""
#endif

#if defined(__GCC_HAVE_DWARF2_CFI_ASM)
#    define WEFT_CFI_ARRIVING                                                                                          \
        ".cfi_remember_state\n\t"                                                                                      \
        ".cfi_def_cfa x9, 0\n\t"      /* the caller's sp is the arriving one, */                                       \
        ".cfi_register x30, " WEFT_THEIR_PC "\n\t" /* it continues at the arriving pc, */                              \
        ".cfi_same_value x29\n\t"     /* and its x29 and x19 are in place */                                           \
        ".cfi_same_value x19\n\t"
#    define WEFT_CFI_LEAVING ".cfi_restore_state\n\t"
#else
#    define WEFT_CFI_ARRIVING ""
#    define WEFT_CFI_LEAVING ""
#endif

#if WEFT_SHADOW_CALL_STACK
#    define WEFT_EXCHANGE_SHADOW                                                                                       \
        "ldr  x11, [x0, %c[shadow]]\n\t" /* where the arriving flow stands on its shadow call stack */                 \
        "str  x18, [x0, %c[shadow]]\n\t" /* and we on ours */                                                          \
        "mov  x18, x11\n\t"
#    define WEFT_SHADOW_OPERAND , [shadow] "i"(offsetof(control_block, shadow_call_stack))
#else
#    define WEFT_EXCHANGE_SHADOW ""
#    define WEFT_SHADOW_OPERAND
#endif

#if defined(__linux__) && !defined(__ANDROID__) && !WEFT_SHADOW_CALL_STACK
#    define WEFT_CLOBBER_X18 , "x18"
#else
#    define WEFT_CLOBBER_X18
#endif

// SVE's predicates are clobbered in every function, as `target` can enable SVE for one function of a file compiled without
// it; both compilers take the names. (v0 to v31 stand for z0 to z31.) So is the first-fault register. Clang has no name for
// that one, but keeps no value of its own there: only intrinsics write and read it, in the order of the program.
#if defined(__clang__)
#    define WEFT_CLOBBER_FFR
#else
#    define WEFT_CLOBBER_FFR , "ffr"
#endif

// The register contract of each statement:
//   register                 on entry                              when control comes back
//   -----------------------  ------------------------------------  ------------------------------------------------
//   x0                       the block                             the same block
//   x1                       the value to pass, if there is one    the value that the other side passes, or anything
//   WEFT_THEIR_PC, x9        the arriving pc and sp, if loaded     anything
//   sp, x19, x29             ours                                  ours: sp and the two registers are in the block
//   x18                      the platform's                        clobbered on plain Linux; ours with a shadow call stack;
//                                                                  else it is not touched
//   FPCR, FPSR, TPIDR_EL0    the thread's                          those of the thread that control comes back on
//   every other register     anything                              anything: the statement declares it clobbered

// Exchanges the running flow of control, whose x19 and x29 belong at `leaving` in the block at x0, with the one in the
// block, whose own lie at `arriving`. The alignment of the label where the leaving flow will go on tells whether it is a
// fiber or a resumer, see tag_bit. ASKS looks at the arriving pc, WEFT_THEIR_PC, before anything has changed; OTHERWISE is
// code behind the `br` that it may branch to. TAGS changes the tag bits of our pc, which is in x12.
#define WEFT_EXCHANGE(ASKS, OTHERWISE, TAGS)                                                                           \
    "ldp  " WEFT_THEIR_PC ", x9, [x0, %c[pc_sp]]\n\t" /* the arriving pc and sp */                                     \
    ASKS                                                                                                               \
    WEFT_EXCHANGE_LOADED(OTHERWISE, TAGS)

// The same, where the arriving pc and sp are in WEFT_THEIR_PC and x9.
#define WEFT_EXCHANGE_LOADED(OTHERWISE, TAGS)                                                                          \
    WEFT_SIGN_OURS                          /* x12 = where we shall continue */                                        \
    TAGS                                                                                                               \
    "mov  x10, sp\n\t"                                                                                                 \
    "stp  x12, x10, [x0, %c[pc_sp]]\n\t"    /* ours go where they were */                                              \
    "stp  x19, x29, [x0, %c[leaving]]\n\t"                                                                             \
    "ldp  x19, x29, [x0, %c[arriving]]\n\t" /* the arriving flow's registers */                                        \
    WEFT_CFI_ARRIVING                                                                                                  \
    WEFT_EXCHANGE_SHADOW                                                                                               \
    WEFT_CHECK_THEIRS                       /* x17 = the arriving pc */                                                \
    "mov  sp, x9\n\t"                       /* now on its stack */                                                     \
    "br   x17\n\t"                          /* goes on there, at its label 1 or at its entry */                        \
    WEFT_CFI_LEAVING                                                                                                   \
    OTHERWISE                                                                                                          \
    ".balignl 16, 0xd4200000\n\t"          /* label 1 lies `tag` bytes beyond a multiple of 16, and brk #0, which */   \
    ".fill %c[tag] / 4, 4, 0xd4200000\n"  /* never run, stand before it (for zeros an assembler may write nops) */     \
    "1:\n\t"                                /* control came back: sp, x29 and x19 are ours again */                    \
    WEFT_LANDING_PAD

#define WEFT_SWITCH_OPERANDS(BLOCK, LEAVING, ARRIVING, TAG)                                                            \
    "r"(BLOCK), [leaving] "i"(offsetof(control_block, LEAVING)), [arriving] "i"(offsetof(control_block, ARRIVING)),    \
        [tag] "i"(TAG), [pc_sp] "i"(offsetof(control_block, program_counter)) WEFT_SHADOW_OPERAND

#define WEFT_SWITCH_CLOBBERS WEFT_SWITCH_LOADED_CLOBBERS, "x9", WEFT_THEIR_PC
#define WEFT_SWITCH_LOADED_CLOBBERS                                                                                    \
    "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x10", "x11", "x12", WEFT_OTHER_PC, "x14", "x15",                        \
        "x16" WEFT_CLOBBER_X18, "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x30",                  \
        "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15",          \
        "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29",              \
        "v30", "v31", "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11", "p12", "p13", "p14",   \
        "p15" WEFT_CLOBBER_FFR, "cc", "memory"

namespace weft::detail {

// How many bytes the labels lie beyond a multiple of 16.
inline constexpr std::uintptr_t tag_of_fiber = tag_bits(resumable_tag);
inline constexpr std::uintptr_t tag_of_resumer = tag_bits(suspendable_tag);

/// Where the flow that waits in the block goes on. One load, by which its tags can be asked before the switch.
WEFT_ALWAYS_INLINE suspended_flow waiting_in(const control_block& block) noexcept {
    suspended_flow flow;
    asm("ldp  %0, %1, [%2, %c[pc_sp]]"
        : "=&r"(flow.program_counter), "=r"(flow.stack_pointer)
        : "r"(&block), [pc_sp] "i"(offsetof(control_block, program_counter)),
          "m"(block)); // all of it: Clang computes the address of a part, although nothing uses it
    return flow;
}

/// Leaves the running flow of control, the resumer, in `block` and continues `flow`, which is what waits there. Returns
/// when the other side switches back through the same block, possibly on another thread: no thread-local address may be kept
/// across it. As it is always the same block, x0 arrives as it left: a compiler that keeps the block's address there
/// need not fetch it from a stack. Costs 8 instructions with waiting_in(), 2 of them loads and 2 stores (14 with PAC);
/// FPCR and FPSR stay the thread's. Returns the value that the other side passed, in x1; anything if it passed none.
WEFT_ALWAYS_INLINE void* switch_to_fiber(control_block& block, suspended_flow flow) noexcept {
    register void* pc asm(WEFT_THEIR_PC) = flow.program_counter;
    register void* sp asm("x9") = flow.stack_pointer;
    register control_block* const b asm("x0") = &block;
    register void* passed_value asm("x1");
    asm volatile(WEFT_EXCHANGE_LOADED("", "")
                 : "=r"(passed_value), "+r"(pc), "+r"(sp)
                 : WEFT_SWITCH_OPERANDS(b, resumer_base_register, fiber_base_register, tag_of_resumer)
                 : WEFT_SWITCH_LOADED_CLOBBERS);
    return passed_value;
}
/// The same with waiting_in(block).
WEFT_ALWAYS_INLINE void* switch_to_fiber(control_block& block) noexcept {
    return switch_to_fiber(block, waiting_in(block));
}

/// The other way: leaves the fiber in `block` and continues the resumer that was in it.
WEFT_ALWAYS_INLINE void switch_to_resumer(control_block& block) noexcept {
    register control_block* const b asm("x0") = &block;
    asm volatile(WEFT_EXCHANGE("", "", "")
                 :
                 : WEFT_SWITCH_OPERANDS(b, fiber_base_register, resumer_base_register, tag_of_fiber)
                 : WEFT_SWITCH_CLOBBERS, "x1");
}

/// The same, and passes a value to the resumer.
WEFT_ALWAYS_INLINE void switch_to_resumer(control_block& block, void* value) noexcept {
    register control_block* const b asm("x0") = &block;
    register void* passed asm("x1") = value;
    asm volatile(WEFT_EXCHANGE("", "", "")
                 : "+r"(passed)
                 : WEFT_SWITCH_OPERANDS(b, fiber_base_register, resumer_base_register, tag_of_fiber)
                 : WEFT_SWITCH_CLOBBERS);
}

/// switch_to_resumer(block) of a fiber whose body has ended: no tag holds of the block, so the fiber is not resumable until
/// it is given another body (let_resume()).
WEFT_ALWAYS_INLINE void switch_to_resumer_not_resumable(control_block& block) noexcept {
    register control_block* const b asm("x0") = &block;
    asm volatile(WEFT_EXCHANGE("", "",
                               "orr  x12, x12, %[resumable_tag]\n\t") /* not resumable: a set bit means no (told_by_zero) */
                 :
                 : WEFT_SWITCH_OPERANDS(b, fiber_base_register, resumer_base_register, tag_of_fiber),
                   [resumable_tag] "i"(resumable_tag)
                 : WEFT_SWITCH_CLOBBERS, "x1");
}

/// switch_to_resumer(block) if the block is suspendable; if not, nothing happens and it returns false. The
/// tag bit is tested where the pc is in a register anyway.
WEFT_ALWAYS_INLINE bool try_switch_to_resumer(control_block& block) noexcept {
    register control_block* const b asm("x0") = &block;
    asm goto(WEFT_EXCHANGE("tbnz " WEFT_THEIR_PC ", %c[suspendable_bit], 2f\n\t", "2:\n\tb %l[refused]\n\t", "")
             :
             : WEFT_SWITCH_OPERANDS(b, fiber_base_register, resumer_base_register, tag_of_fiber),
               [suspendable_bit] "i"(__builtin_ctzll(suspendable_tag))
             : WEFT_SWITCH_CLOBBERS, "x1"
             : refused);
    return true;
refused:
    return false;
}

inline constexpr bool switch_tests_tag = true;

static_assert(offsetof(control_block, stack_pointer) == offsetof(control_block, program_counter) + 8 &&
              offsetof(control_block, fiber_frame_pointer) == offsetof(control_block, fiber_base_register) + 8 &&
              offsetof(control_block, resumer_frame_pointer) == offsetof(control_block, resumer_base_register) + 8);

} // namespace weft::detail

#undef WEFT_EXCHANGE
#undef WEFT_EXCHANGE_LOADED
#undef WEFT_SWITCH_OPERANDS
#undef WEFT_SWITCH_CLOBBERS
#undef WEFT_SWITCH_LOADED_CLOBBERS
#undef WEFT_LANDING_PAD
#undef WEFT_THEIR_PC
#undef WEFT_OTHER_PC
#undef WEFT_SIGN_OURS
#undef WEFT_CHECK_THEIRS
#undef WEFT_CFI_ARRIVING
#undef WEFT_CFI_LEAVING
#undef WEFT_EXCHANGE_SHADOW
#undef WEFT_SHADOW_OPERAND
#undef WEFT_CLOBBER_X18
#undef WEFT_CLOBBER_FFR
