// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
#pragma once

#include <weft/detail/base/branch_protection.hpp>
#include <weft/detail/base/config.hpp>
#include <weft/detail/switch/control_block.hpp>

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
// Its operations, in the order of every machine's header (lib/switch/<architecture>.S has the out-of-line switch):
//   waiting_in(block)                        AArch64 only: what waits there, loaded before the decision to switch
//   switch_to_fiber(block), (block, flow)    resumer to fiber; returns the passed value. The second: AArch64 only
//   switch_to_resumer(block), (block, word)  fiber to resumer, with nothing or a word passed
//   switch_to_resumer_not_resumable(block)   the same, and the fiber is not resumable until let_resume()
//   try_switch_to_resumer(block)             AArch64 only: the same if it is suspendable, in one statement
//   switch_tests_tag                         true if the operations of AArch64 only exist, see inline_switch.hpp
//
// Call frame information: until the rule below, an unwinder sees the function that leaves; from there on it sees a frame
// whose caller is the arriving flow. `ud2` never runs; it keeps the byte before label 1, which unwinders look up for
// a suspended frame, out of that rule.
//
// The text is in AT&T's syntax. Where the compiler writes Intel's (-masm=intel), `{AT&T|Intel}` makes the assembler
// read AT&T's for as long as the statement lasts. It prints no operand, which a compiler would write in its own syntax:
// the offsets are numbers, checked below. An immediate needs both syntaxes, since Clang drops the `$` in Intel's.

#if WEFT_IBT
#    define WEFT_LANDING_PAD "\n\tendbr64"
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

// Which registers the statement loses follows the function it is inlined into, not the macros of the file: a function
// can have an instruction set of its own (`target`, `target_clones`, a pragma, link-time optimization).
//
// AVX-512 adds zmm16 to zmm31 and k0 to k7. Clang takes their names as clobbers in every function. GCC refuses them in
// a function without AVX-512. Where the file has AVX-512 they are named all the same, and GCC refuses a switch in a
// function with target("no-avx512f"). In other files the statement has 24 outputs, with two alternatives for all:
//   - The first puts 8 of them into mask registers and 16 into vector registers that are not clobbered by name. In a
//     function with AVX-512 these are exactly k0 to k7 and zmm16 to zmm31. In any other function it is impossible, as
//     `k` is an empty class there.
//   - The second is memory, which the text does not write to: no instruction, no place in the frame.
// GCC chooses an alternative with `!` only if it needs no reload or no other alternative can be made to work. It must
// not be the one without a reload: so rax and rcx are outputs, each in the other's variable, in both alternatives.
// No code reads them, so the reloads cost nothing. In a function with AVX-512 GCC stores the registers into these
// variables behind the switch, each of them without optimization, else the last ones.
//
// The `!` before D, in both alternatives, chooses nothing. Without it GCC (12 to 16) takes the D of an operand whose
// number is 20 or more for a digit, "the same as operand 20", in what its allocator reckons with (record_reg_classes of
// ira-costs.cc), and keeps the block's address in worse registers.
#if defined(__clang__) || defined(__AVX512F__)
#    define WEFT_SWITCH_VARIABLES
#    define WEFT_SWITCH_OUTPUTS(...) __VA_ARGS__
#    define WEFT_IN(REGISTER) REGISTER
#    define WEFT_CLOBBER_AVX512                                                                                        \
        , "rax", "rcx", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",      \
            "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#    if defined(__code_model_large__) // the address of a variable needs a register there, of a local one it does not
#        define WEFT_UNREAD                                                                                            \
            volatile short unread_mask __attribute__((uninitialized));                                                 \
            volatile float unread_vector __attribute__((uninitialized));
#    else
#        define WEFT_UNREAD
namespace weft::detail {
/// What the outputs name; never read.
WEFT_ABI_TAG __attribute__((visibility("hidden"))) inline short unread_mask;
WEFT_ABI_TAG __attribute__((visibility("hidden"))) inline float unread_vector;
} // namespace weft::detail
#    endif
#    define WEFT_SWITCH_VARIABLES                                                                                      \
        WEFT_UNREAD                                                                                                    \
        register long rax asm("rax"), rcx asm("rcx");
#    define WEFT_MASK "=k,!m"(unread_mask)
#    define WEFT_VECTOR "=v,!m"(unread_vector)
#    define WEFT_4_MASKS WEFT_MASK, WEFT_MASK, WEFT_MASK, WEFT_MASK
#    define WEFT_4_VECTORS WEFT_VECTOR, WEFT_VECTOR, WEFT_VECTOR, WEFT_VECTOR
#    define WEFT_SWITCH_OUTPUTS(...)                                                                                   \
        __VA_ARGS__ __VA_OPT__(, ) "=c,c"(rax), "=a,a"(rcx), WEFT_4_MASKS, WEFT_4_MASKS, WEFT_4_VECTORS,               \
            WEFT_4_VECTORS, WEFT_4_VECTORS, WEFT_4_VECTORS
#    define WEFT_IN(REGISTER) REGISTER "," REGISTER
#    define WEFT_CLOBBER_AVX512
#endif

// APX adds r16 to r31. Clang knows their names since version 19 and takes them in every function. GCC takes them in a
// function with APX only, and has no operand left for another way: what lives there is lost in a function of a file
// without -mapxf that GCC compiles with target("apxf"), or with -mapx-features. `test/run proof sites` finds such a
// function in a linked program.
#if defined(__APX_F__) || defined(__EGPR__) ||                                                                         \
    (defined(__clang__) && !defined(__apple_build_version__) && __clang_major__ >= 19)
#    define WEFT_CLOBBER_APX                                                                                           \
        , "r16", "r17", "r18", "r19", "r20", "r21", "r22", "r23", "r24", "r25", "r26", "r27", "r28", "r29", "r30", "r31"
#else
#    define WEFT_CLOBBER_APX
#endif

#if defined(__clang__)
#    define WEFT_LEAVE_FIBER_BASE WEFT_LEAVE_BASE
#    define WEFT_CLOBBER_FIBER_BASE
#else
#    define WEFT_LEAVE_FIBER_BASE(LEAVING) ""
#    define WEFT_CLOBBER_FIBER_BASE , "rbx"
#endif
#define WEFT_LEAVE_BASE(LEAVING) "movq  %%rbx, " LEAVING "(%%rdi)\n\t"

// Where things lie in the block, see the assertion below.
#define WEFT_AT_resumer_base_register "0"
#define WEFT_AT_fiber_base_register "32"
#define WEFT_PC "16"
#define WEFT_SP "24"

// The register contract of each statement:
//   register                 on entry                              when control comes back
//   -----------------------  ------------------------------------  ------------------------------------------------
//   rdi                      the block                             the same block
//   rsi                      the value to pass, if there is one    the value that the other side passes, or anything
//   rsp, rbp, rbx            ours                                  ours: the block has them. Not rbx of a fiber that
//                                                                  GCC compiled: there it is clobbered
//   MXCSR, x87 control       the thread's                          those of the thread that control comes back on
//   word, fs, gs
//   every other register     anything                              anything: clobbered, or an output that is never read

// Exchanges the running flow of control, whose rbx and rbp belong at LEAVING in the block at rdi, with the one in the
// block, whose own lie at ARRIVING. LEAVING_PC and ARRIVING_PC invert that of a fiber, see tag_bit.
#define WEFT_EXCHANGE(LEAVING_PC, ARRIVING_PC, LEAVE_BASE, LEAVING, ARRIVING)                                          \
    WEFT_SWITCH_TEXT(LEAVING_PC, ARRIVING_PC, LEAVE_BASE, WEFT_AT_##LEAVING, WEFT_AT_##ARRIVING)
#define WEFT_SWITCH_TEXT(LEAVING_PC, ARRIVING_PC, LEAVE_BASE, LEAVING, ARRIVING)                                       \
    "{|.att_syntax prefix\n\t}"                                                                                        \
    "leaq  1f(%%rip), %%rax\n\t"            /* where we shall continue */                                              \
    LEAVING_PC                                                                                                         \
    "movq  " WEFT_SP "(%%rdi), %%rcx\n\t"   /* the arriving rsp, */                                                    \
    "movq  " WEFT_PC "(%%rdi), %%rdx\n\t"   /* rip */                                                                  \
    ARRIVING_PC                                                                                                        \
    "movq  " ARRIVING "(%%rdi), %%r9\n\t"   /* and rbx, see above */                                                   \
    "movq  %%rsp, " WEFT_SP "(%%rdi)\n\t"   /* ours go where they were */                                              \
    "movq  %%rax, " WEFT_PC "(%%rdi)\n\t"                                                                              \
    "movq  %%rbp, " LEAVING "+8(%%rdi)\n\t"                                                                            \
    LEAVE_BASE(LEAVING)                                                                                                \
    "movq  " ARRIVING "+8(%%rdi), %%rbp\n\t" /* the arriving flow's registers */                                       \
    WEFT_CFI_ARRIVING                                                                                                  \
    "movq  %%r9, %%rbx\n\t"                                                                                            \
    "movq  %%rcx, %%rsp\n\t"                /* now on its stack */                                                     \
    "jmp   *%%rdx\n\t"                      /* goes on there, at its label 1 or at its entry */                        \
    WEFT_CFI_LEAVING                                                                                                   \
    "ud2\n"                                 /* never runs, see above */                                                \
    "1:\t{|.intel_syntax noprefix}"         /* control came back: rsp, rbp and rbx are ours again */                   \
    WEFT_LANDING_PAD

#define WEFT_SWITCH_CLOBBERS                                                                                           \
    "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",       \
        "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",                                   \
        "xmm15" WEFT_CLOBBER_AVX512 WEFT_CLOBBER_APX, "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)",      \
        "st(7)", "mm0", "mm1", "mm2", "mm3", "mm4", "mm5", "mm6", "mm7", "cc", "memory"

namespace weft::detail {

/// Leaves the running flow of control, the resumer, in `block` and continues the fiber that was in it. Returns when
/// the other side switches back through the same block, possibly on another thread: no thread-local address may be kept
/// across it. As it is always the same block, rdi arrives as it left: a compiler that keeps the block's address there
/// need not fetch it from a stack. Costs 4 loads, 4 stores and one well-predicted branch; MXCSR and the x87 control
/// word stay the thread's. Returns the value that the other side passed, in rsi; anything if it passed none.
WEFT_ALWAYS_INLINE void* switch_to_fiber(control_block& block) noexcept {
    void* passed_value;
    WEFT_SWITCH_VARIABLES
    asm volatile(WEFT_EXCHANGE("", "notq  %%rdx\n\t", WEFT_LEAVE_BASE, resumer_base_register, fiber_base_register)
                 : WEFT_SWITCH_OUTPUTS("=" WEFT_IN("S")(passed_value))
                 : WEFT_IN("!D")(&block)
                 : WEFT_SWITCH_CLOBBERS);
    return passed_value;
}

/// The other way: leaves the fiber in `block` and continues the resumer that was in it. GCC: 3 stores.
WEFT_ALWAYS_INLINE void switch_to_resumer(control_block& block) noexcept {
    WEFT_SWITCH_VARIABLES
    asm volatile(WEFT_EXCHANGE("notq  %%rax\n\t", "", WEFT_LEAVE_FIBER_BASE, fiber_base_register, resumer_base_register)
                 : WEFT_SWITCH_OUTPUTS()
                 : WEFT_IN("!D")(&block)
                 : WEFT_SWITCH_CLOBBERS, "rsi" WEFT_CLOBBER_FIBER_BASE);
}

/// The same, and passes a value to the resumer.
WEFT_ALWAYS_INLINE void switch_to_resumer(control_block& block, void* value) noexcept {
    WEFT_SWITCH_VARIABLES
    asm volatile(WEFT_EXCHANGE("notq  %%rax\n\t", "", WEFT_LEAVE_FIBER_BASE, fiber_base_register, resumer_base_register)
                 : WEFT_SWITCH_OUTPUTS("+" WEFT_IN("S")(value))
                 : WEFT_IN("!D")(&block)
                 : WEFT_SWITCH_CLOBBERS WEFT_CLOBBER_FIBER_BASE);
}

/// switch_to_resumer(block) of a fiber whose body has ended: no tag holds of the block, so the fiber is not resumable until
/// it is given another body (let_resume()).
WEFT_ALWAYS_INLINE void switch_to_resumer_not_resumable(control_block& block) noexcept {
    WEFT_SWITCH_VARIABLES
    asm volatile(WEFT_EXCHANGE("notq  %%rax\n\t"
                               "{"
                               "btrq  $63, %%rax\n\t" /* resumable_tag, in an inverted pc */
                               "|.intel_syntax noprefix\n\tbtr rax, 63\n\t.att_syntax prefix\n\t}",
                               "", WEFT_LEAVE_FIBER_BASE, fiber_base_register, resumer_base_register)
                 : WEFT_SWITCH_OUTPUTS()
                 : WEFT_IN("!D")(&block)
                 : WEFT_SWITCH_CLOBBERS, "rsi" WEFT_CLOBBER_FIBER_BASE);
}

inline constexpr bool switch_tests_tag = false;

static_assert(offsetof(control_block, resumer_base_register) == 0);
static_assert(offsetof(control_block, resumer_frame_pointer) == 8);
static_assert(offsetof(control_block, program_counter) == 16 && offsetof(control_block, stack_pointer) == 24);
static_assert(offsetof(control_block, fiber_base_register) == 32);
static_assert(offsetof(control_block, fiber_frame_pointer) == 40);
static_assert(resumable_tag == std::uintptr_t{1} << 63);

} // namespace weft::detail

#undef WEFT_EXCHANGE
#undef WEFT_SWITCH_TEXT
#undef WEFT_SWITCH_VARIABLES
#undef WEFT_SWITCH_OUTPUTS
#undef WEFT_SWITCH_CLOBBERS
#undef WEFT_IN
#undef WEFT_UNREAD
#undef WEFT_MASK
#undef WEFT_VECTOR
#undef WEFT_4_MASKS
#undef WEFT_4_VECTORS
#undef WEFT_AT_resumer_base_register
#undef WEFT_AT_fiber_base_register
#undef WEFT_PC
#undef WEFT_SP
#undef WEFT_LEAVE_BASE
#undef WEFT_LEAVE_FIBER_BASE
#undef WEFT_CLOBBER_FIBER_BASE
#undef WEFT_LANDING_PAD
#undef WEFT_CFI_ARRIVING
#undef WEFT_CFI_LEAVING
#undef WEFT_CLOBBER_AVX512
#undef WEFT_CLOBBER_APX
