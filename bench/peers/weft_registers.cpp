// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

#include <weft/detail/base/config.hpp>

#if WEFT_SWITCH_NATIVE && !WEFT_SIGNED_CONTEXTS

#    include <harness/owned_stack.hpp>
#    include <harness/peer.hpp>
#    include <peers/weft_stacks.hpp>

namespace {

/// The other side of a switch, in registers from one switch to the next.
struct other_side {
    void* stack_pointer;
    void* program_counter;
    void* frame_pointer;
    void* base_register;
};

// As weft's inline switch, but what leaves is handed over in the registers that held the other side. Each side has to
// be a single function that keeps it there: a bound for a library's switch, not one that a library can have.
[[gnu::always_inline]] inline void exchange(other_side& other) {
#    if defined(__x86_64__)
    asm volatile("movq  %%rdx, %%r8\n\t"
                 "leaq  1f(%%rip), %%rdx\n\t"
                 "xchgq %%rcx, %%rsp\n\t"
                 "xchgq %%rdi, %%rbx\n\t"
                 "jmp   *%%r8\n"
                 "1:"
                 : "+c"(other.stack_pointer), "+d"(other.program_counter), "+D"(other.base_register)
                 :
                 : "rax", "rbp", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1", "xmm2",
                   "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
                   "xmm15", "cc", "memory");
#    else
    register void* sp asm("x0") = other.stack_pointer;
    register void* pc asm("x1") = other.program_counter;
    register void* fp asm("x2") = other.frame_pointer;
    register void* base asm("x3") = other.base_register;
    asm volatile("mov  x17, x1\n\t"
                 "adr  x1, 1f\n\t"
                 "mov  x9, x0\n\t"
                 "mov  x0, sp\n\t"
                 "mov  sp, x9\n\t"
                 "mov  x10, x2\n\t"
                 "mov  x2, x29\n\t"
                 "mov  x29, x10\n\t"
                 "mov  x11, x3\n\t"
                 "mov  x3, x19\n\t"
                 "mov  x19, x11\n\t"
                 "br   x17\n"
                 "1:\n\t"
                 "hint #36" // bti j
                 : "+r"(sp), "+r"(pc), "+r"(fp), "+r"(base)
                 :
                 : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18",
                   "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x30", "v0", "v1", "v2", "v3", "v4", "v5",
                   "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20",
                   "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31", "cc", "memory");
    other = {sp, pc, fp, base};
#    endif
}

/// A body that switches back whenever it is switched to, for ever.
extern "C" void weft_bench_switch_back();
asm(".text\n"
    ".local weft_bench_switch_back\n"
    "weft_bench_switch_back:\n\t"
#    if defined(__x86_64__)
    "movq  %rdx, %r8\n\t"
    "leaq  weft_bench_switch_back(%rip), %rdx\n\t"
    "xchgq %rcx, %rsp\n\t"
    "xchgq %rdi, %rbx\n\t"
    "jmp   *%r8\n"
#    else
    "hint  #36\n\t" // bti j
    "mov   x17, x1\n\t"
    "adr   x1, weft_bench_switch_back\n\t"
    "mov   x9, x0\n\t"
    "mov   x0, sp\n\t"
    "mov   sp, x9\n\t"
    "mov   x10, x2\n\t"
    "mov   x2, x29\n\t"
    "mov   x29, x10\n\t"
    "mov   x11, x3\n\t"
    "mov   x3, x19\n\t"
    "mov   x19, x11\n\t"
    "br    x17\n"
#    endif
);

struct inline_switch_in_registers {
    static constexpr const char* name = "weft inline switch in registers";
};

/// A function of its own, so that nothing but the loop has a say in which registers hold the other side.
[[gnu::noinline]] void resume(other_side& c, int times) {
    other_side there = c;
    for (; times > 0; --times) exchange(there);
    c = there;
}

void round_trip_in_registers(benchmark::State& state) {
    bench::displaced([&state]() __attribute__((always_inline)) {
        bench::owned_stack stack{bench::weft_stacks::usual{}};
        other_side c{stack.top(), reinterpret_cast<void*>(&weft_bench_switch_back), nullptr, nullptr};
        while (state.KeepRunningBatch(1000)) resume(c, 1000);
    });
}

const auto* const registered = bench::add<inline_switch_in_registers>("round trip flat", round_trip_in_registers);

} // namespace

#endif
