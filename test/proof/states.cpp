// Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

// Runs machine code on given registers and memory and tells what became of them, so that the engine's model of the
// instructions can be compared with a processor (engine_model.py).
//
//   states CODE ADDRESS     maps the file CODE at ADDRESS, then for each case on the standard input answers with a case
//
// A case is a `machine` and the arena's bytes. The code has to end by going to `landing`.

#include <sys/mman.h>
#include <unistd.h>

#include <fcntl.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

struct machine {
    std::uint64_t general[32]; // AArch64: x0 to x30, sp; x86-64: in the order of their numbers, rsp is the fifth
    std::uint64_t vectors[32][2];
    std::uint64_t start; // where to begin
    std::uint32_t mxcsr;
    std::uint32_t x87_cw;
};

extern "C" {
machine state;
void run_case();
void landed();
}

namespace {

constexpr std::uintptr_t arena = 0x20000000, arena_size = 0x3000, landing = 0x30000000;

void* map(std::uintptr_t address, std::size_t size, int protection, int file) {
    const int flags = MAP_PRIVATE | MAP_FIXED_NOREPLACE | (file < 0 ? MAP_ANONYMOUS : 0);
    void* const mapped = mmap(reinterpret_cast<void*>(address), size, protection, flags, file, 0);
    if (mapped != reinterpret_cast<void*>(address)) {
        std::fprintf(stderr, "states: nothing can be mapped at %#zx\n", static_cast<std::size_t>(address));
        std::exit(2);
    }
    return mapped;
}

bool read_all(void* to, std::size_t size) {
    return std::fread(to, 1, size, stdin) == size;
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    const int file = open(argv[1], O_RDONLY);
    if (file < 0) {
        std::perror(argv[1]);
        return 2;
    }
    const auto size = static_cast<std::size_t>(lseek(file, 0, SEEK_END));
    map(std::strtoull(argv[2], nullptr, 0), size, PROT_READ | PROT_EXEC, file);
    void* const memory = map(arena, arena_size, PROT_READ | PROT_WRITE, -1);
    auto* const pad = static_cast<unsigned char*>(map(landing, 4096, PROT_READ | PROT_WRITE, -1));
#if defined(__aarch64__)
    const std::uint32_t go[] = {0x58000051, 0xd61f0220}; // ldr x17, .+8; br x17
#else
    const unsigned char go[] = {0xff, 0x25, 2, 0, 0, 0, 0, 0}; // jmp *2(%rip)
#endif
    const auto target = reinterpret_cast<std::uintptr_t>(&landed);
    std::memcpy(pad, go, 8);
    std::memcpy(pad + 8, &target, 8);
    mprotect(pad, 4096, PROT_READ | PROT_EXEC);
    while (read_all(&state, sizeof state) && read_all(memory, arena_size)) {
        run_case();
        std::fwrite(&state, 1, sizeof state, stdout);
        std::fwrite(memory, 1, arena_size, stdout);
    }
    return std::fflush(stdout) != 0;
}

// run_case keeps its own registers, loads those of `state` and goes to state.start; `landed` does the reverse.
#if defined(__aarch64__)
asm(R"(
    .text
    .globl run_case
    .globl landed
run_case:
    stp x29, x30, [sp, #-176]!
    stp x19, x20, [sp, #16]
    stp x21, x22, [sp, #32]
    stp x23, x24, [sp, #48]
    stp x25, x26, [sp, #64]
    stp x27, x28, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    str x18, [sp, #160]
    mov x16, sp
    adrp x17, own_sp
    str x16, [x17, #:lo12:own_sp]
    adrp x17, state
    add x17, x17, #:lo12:state
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    ldr q\n, [x17, #256 + 16 * \n]
    .endr
    ldr x16, [x17, #8 * 31]
    mov sp, x16
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,18,19,20,21,22,23,24,25,26,27,28,29,30
    ldr x\n, [x17, #8 * \n]
    .endr
    ldr x17, [x17, #768]
    br x17
landed:
    adrp x17, state
    add x17, x17, #:lo12:state
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,18,19,20,21,22,23,24,25,26,27,28,29,30
    str x\n, [x17, #8 * \n]
    .endr
    mov x16, sp
    str x16, [x17, #8 * 31]
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    str q\n, [x17, #256 + 16 * \n]
    .endr
    adrp x17, own_sp
    ldr x16, [x17, #:lo12:own_sp]
    mov sp, x16
    ldr x18, [sp, #160]
    ldp d14, d15, [sp, #144]
    ldp d12, d13, [sp, #128]
    ldp d10, d11, [sp, #112]
    ldp d8, d9, [sp, #96]
    ldp x27, x28, [sp, #80]
    ldp x25, x26, [sp, #64]
    ldp x23, x24, [sp, #48]
    ldp x21, x22, [sp, #32]
    ldp x19, x20, [sp, #16]
    ldp x29, x30, [sp], #176
    ret
    .bss
    .p2align 3
own_sp:
    .skip 8
    .text
)");
#else
asm(R"(
    .text
    .globl run_case
    .globl landed
run_case:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    subq $8, %rsp
    stmxcsr (%rsp)
    fnstcw 4(%rsp)
    movq %rsp, own_sp(%rip)
    ldmxcsr state + 776(%rip)
    fldcw state + 780(%rip)
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    movups state + 256 + 16 * \n(%rip), %xmm\n
    .endr
    movq state + 0(%rip), %rax
    movq state + 8(%rip), %rcx
    movq state + 16(%rip), %rdx
    movq state + 24(%rip), %rbx
    movq state + 32(%rip), %rsp
    movq state + 40(%rip), %rbp
    movq state + 48(%rip), %rsi
    movq state + 56(%rip), %rdi
    .irp n, 8,9,10,11,12,13,14,15
    movq state + 8 * \n(%rip), %r\n
    .endr
    jmp *state + 768(%rip)
landed:
    movq %rax, state + 0(%rip)
    movq %rcx, state + 8(%rip)
    movq %rdx, state + 16(%rip)
    movq %rbx, state + 24(%rip)
    movq %rsp, state + 32(%rip)
    movq %rbp, state + 40(%rip)
    movq %rsi, state + 48(%rip)
    movq %rdi, state + 56(%rip)
    .irp n, 8,9,10,11,12,13,14,15
    movq %r\n, state + 8 * \n(%rip)
    .endr
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    movups %xmm\n, state + 256 + 16 * \n(%rip)
    .endr
    stmxcsr state + 776(%rip)
    fnstcw state + 780(%rip)
    movq own_sp(%rip), %rsp
    ldmxcsr (%rsp)
    fldcw 4(%rsp)
    addq $8, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret
    .bss
    .p2align 3
own_sp:
    .skip 8
    .text
)");
#endif

static_assert(offsetof(machine, vectors) == 256 && offsetof(machine, start) == 768 && offsetof(machine, mxcsr) == 776 &&
              offsetof(machine, x87_cw) == 780);
