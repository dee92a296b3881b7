# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Does `sites` notice? Programs whose machine code is right or wrong behind a switch, assembled by hand; bad input; and
a program of the unit tests, compiled with switches that lose more registers than they say."""

import pathlib
import re
import subprocess

from objects_proven import TOOLS, compiler
from toolchain import INLINE_SWITCH, ROOT, Toolchain, changed_header, run

PROGRAM = "test/unit/inline_switch/own_instruction_set.cpp"  # functions with AVX-512, with SVE, with nothing of that
ALL_NAMED = ("#if defined(__clang__) || defined(__AVX512F__)", "#if 1")
# what is left out of the registers that the switch says it loses, how, and which of them are reported then
LESS_LOST = {
    "x86_64": [
        ("what AVX-512 adds", [ALL_NAMED, (r', "xmm16", [^#]*"k7"', "")], r"zmm(1[6-9]|2\d|3[01])|k[0-7]"),
        ("r13", [(r'"r13", ', "")], "r13"),
    ],
    "aarch64": [
        ("the predicates", [(r'"p0", [^#]*?"p15"', '"x30"')], r"p\d+"),
        ("v8 to v15", [(r'"v8", [^#]*?"v15",', "")], r"v(8|9|1[0-5])"),
        ("x25", [(r'"x25", ', "")], "x25"),
    ],
}

# A function with an inline switch to a fiber, 48 bytes below its caller's frame; BACK stands where control comes back.
X86_64 = """
    .text
    .globl  function
    .type   function, @function
function:
    .cfi_startproc
    TABLE
    subq    $48, %rsp
    .cfi_def_cfa_offset 56
    leaq    1f(%rip), %rax
    movq    24(%rdi), %rcx
    movq    16(%rdi), %rdx
    movq    32(%rdi), %r9
    movq    %rsp, 24(%rdi)
    movq    %rax, 16(%rdi)
    movq    %rbp, 8(%rdi)
    movq    %rbx, (%rdi)
    movq    40(%rdi), %rbp
    .cfi_remember_state
    .cfi_def_cfa %rcx, 0
    .cfi_register %rip, %rdx
    movq    %r9, %rbx
    movq    %rcx, %rsp
    jmp     *%rdx
    .cfi_restore_state
    ud2
1:  BACK
    .cfi_endproc
    .size   function, . - function
calls_by_pointer:
    .cfi_startproc
    jmp     *(%rdi)
    .cfi_endproc
    .type   calls_by_pointer, @function
    .size   calls_by_pointer, . - calls_by_pointer
returns:
    .cfi_startproc
    ret
    .cfi_endproc
    .type   returns, @function
    .size   returns, . - returns
stops:
    .cfi_startproc
    ud2
    .cfi_endproc
    .type   stops, @function
    .size   stops, . - stops
"""
AARCH64 = """
    .arch   armv8.5-a+sve
    .text
    .globl  function
    .type   function, %function
function:
    .cfi_startproc
    TABLE
    sub     sp, sp, #192
    .cfi_def_cfa_offset 192
    BEFORE
    ldr     x0, [sp]
    adr     x12, 1f
    mov     x10, sp
    stp     x12, x10, [x0, #16]
    stp     x19, x29, [x0]
    ldp     x19, x29, [x0, #32]
    .cfi_remember_state
    .cfi_def_cfa x9, 0
    .cfi_register x30, x17
    mov     sp, x9
    br      x17
    .cfi_restore_state
    brk     #0
1:  BACK
    .cfi_endproc
    .size   function, . - function
    .type   calls_by_pointer, %function
calls_by_pointer:
    .cfi_startproc
    ldr     x16, [x0]
    br      x16
    .cfi_endproc
    .size   calls_by_pointer, . - calls_by_pointer
"""
RESTORE = {
    "x86_64": "movq (%rsp), %r12; movq 8(%rsp), %r13; movq 16(%rsp), %r14; movq 24(%rsp), %r15; addq $48, %rsp\n"
    ".cfi_def_cfa_offset 8\n",
    "aarch64": "ldp x20, x21, [sp]; ldp x22, x23, [sp, #16]; ldp x24, x25, [sp, #32]; ldp x26, x27, [sp, #48]\n"
    "ldp x28, x30, [sp, #64]; ldp d8, d9, [sp, #80]; ldp d10, d11, [sp, #96]; ldp d12, d13, [sp, #112]\n"
    "ldp d14, d15, [sp, #128]; add sp, sp, #192\n.cfi_def_cfa_offset 0\n",
}
# A table of landing pads, by which an exception out of the code from 5 to 6 goes on at 7.
PADS = """
    .section .gcc_except_table, "a", %progbits
table:
    .byte   0xff, 0xff, 0x01
    .uleb128 9f - 8f
8:  .uleb128 5b - function
    .uleb128 6b - 5b
    .uleb128 7b - function
    .uleb128 0
9:
    .section .data.rel, "aw"
personality:
    .quad   0
    .text
"""
HAS_PADS = ".cfi_personality 0x9b, personality\n.cfi_lsda 0x1b, table"
TABLE_OF_JUMPS = """
    .section .rodata
    .p2align 2
cases:
    .long   3f - cases, 4f - cases
    .text
"""
JUMP = "leaq cases(%rip), %rcx; movslq (%rcx,%rbp,4), %rax; addq %rcx, %rax; notrack jmp *%rax\n3: ud2\n4: "
SHORT_TABLE = """
    .section .rodata
cases:
    .byte   (3f - 2f) / 4, (4f - 2f) / 4, 99
    .text
"""
SHORT_JUMP = (
    "cmp w1, #1; b.hi 3f; adrp x3, cases; add x3, x3, :lo12:cases; ldrb w3, [x3, w1, uxtw]; adr x4, 2f\n"
    "add x3, x4, w3, sxtb #2; br x3\n2:\n3: brk #0\n4: "
)
ROWS = r"    \.cfi_remember_state\n.*?\n(?=    mov)|    \.cfi_restore_state\n"
NOT_KNOWN = "cannot be followed: LLVM .* does not know the instruction"


def x86_64():
    back = RESTORE["x86_64"] + "ret"
    yield "what is kept", "movq %rbx, %rax; addq %rsi, %rax; addq (%rdi), %rax; addq 8(%rbp), %rax\n" + back, None
    yield "r12", "movq %r12, %rax\n" + back, "reads r12"
    yield "a register of which a part was written", "movb $1, %cl; movl %ecx, %eax\n" + back, "reads rcx"
    yield "what was written", "movl $1, %ecx; movl %ecx, %eax\n" + back, None
    yield "a vector register", "vmovaps %ymm3, (%rbp)\n" + back, "reads zmm3"
    yield "one of AVX-512's", "vmovaps %zmm17, (%rbp)\n" + back, "reads zmm17"
    yield "a mask", "kmovw %k3, %eax\n" + back, "reads k3"
    yield "a mask that merges", "kxnorw %k1, %k1, %k1; vmovaps (%rbp), %zmm18{%k1}\n" + back, "reads zmm18"
    yield "a mask that clears", "kxnorw %k1, %k1, %k1; vmovaps (%rbp), %zmm18{%k1}{z}\n" + back, None
    yield "one of APX's", ".byte 0xd5, 0x48, 0x89, 0xc0\n" + back, f"reads r16|{NOT_KNOWN}"
    yield "zeros of nothing", "vpxord %zmm20, %zmm20, %zmm20; vmovaps %zmm20, (%rbp); xorl %ecx, %ecx\n" + back, None
    yield "an exclusive or of two", "xorl %ecx, %edx\n" + back, "reads rcx"
    yield "the flags", "jc 2f\n2: " + back, "reads the flags"
    yield "the x87 stack", "fstpl (%rbp)\n" + back, "reads the x87 stack"
    yield "the x87 stack, filled", "fld1; fstpl (%rbp)\n" + back, None
    yield "a return without r15", back.replace("24(%rsp), %r15", "24(%rsp), %rax"), "without having restored r15"
    yield "another function at the end", RESTORE["x86_64"] + "jmp returns", None
    yield "too early", "jmp returns", "without having restored r12"
    yield "by pointer at the end", RESTORE["x86_64"] + "jmp *8(%rbp)", None
    yield "by pointer before the end", "jmp *8(%rbp)", "jumps by a table that is not found"
    yield "behind a branch", "testl %esi, %esi; je 2f\n" + back + "\n2: movq %r13, %rax\n" + back, "reads r13"
    yield "through a table", TABLE_OF_JUMPS + JUMP + back, None
    yield "through a table, r14", TABLE_OF_JUMPS + JUMP + "movq %r14, %rax\n" + back, "reads r14"
    yield "the result of a call", "call returns; movq %rax, %rcx\n" + back, None
    yield "no result of a call", "call returns; movq %r8, %rax\n" + back, "reads r8"
    yield "behind a call that does not return", "call stops; movq %r8, %rax", None
    yield "push", "pushq %r8; popq %rax\n" + back, None
    yield "an unknown instruction", ".byte 0x06\n" + back, NOT_KNOWN
    yield "data at the beginning", "DATA" + back, None
    yield "beyond the end", "nop", "runs out of its function"
    pad = f"\n5: call CALLED\n6: {back}\n7: movq %r15, %rax\n{back}{PADS}"
    yield "a landing pad", HAS_PADS + pad.replace("CALLED", "calls_by_pointer"), "reads r15"
    yield "one that nothing reaches", HAS_PADS + pad.replace("CALLED", "returns"), None


def aarch64():
    back = RESTORE["aarch64"] + "ret"
    yield "what is kept", "add x2, x19, x1; ldr x3, [x0]; ldr x3, [x29]\n" + back, None
    yield "x20", "mov x2, x20\n" + back, "reads x20"
    yield "x18", "mov x2, x18\n" + back, "reads x18"
    yield "the upper part of a vector", "str z9, [sp]\n" + back, "reads v9"
    yield "a predicate", "ld1w {z0.s}, p3/z, [x0]\n" + back, "reads p3"
    yield "a predicate that was set", "ptrue p3.s; ld1w {z0.s}, p3/z, [x0]\n" + back, None
    yield "the first-fault register", "rdffr p0.b\n" + back, "reads ffr"
    yield "the first-fault register, set", "setffr; rdffr p0.b\n" + back, None
    yield "the flags", "b.eq 2f\n2: " + back, "reads the flags"
    yield "zeros of nothing", "eor v1.16b, v1.16b, v1.16b; str q1, [sp]; eor x2, x2, x2\n" + back, None
    yield "one element", "mov v1.d[1], x19\n" + back, "reads v1"
    yield "the return address", back.replace("x28, x30", "x28, x2"), "reads x30"
    yield "a return without d8", back.replace("d8, d9", "d0, d9"), "without having restored v8"
    yield "by pointer at the end", RESTORE["aarch64"] + "ldr x16, [x0]; br x16", None
    yield "by pointer before the end", "ldr x16, [x0]; br x16", "jumps by a table that is not found"
    yield "through a table", SHORT_TABLE + SHORT_JUMP + back, None
    yield "through a table, x25", SHORT_TABLE + SHORT_JUMP + "mov x2, x25\n" + back, "reads x25"
    yield "an unknown instruction", ".inst 0xffffffff\n" + back, NOT_KNOWN
    pad = f"{HAS_PADS}\n5: bl calls_by_pointer\n6: {back}\n7: mov x2, x28\n{back}{PADS}"
    yield "a landing pad", pad, "reads x28"
    aside = "b e843419@0001_0_0\n2: " + back + "\n.cfi_endproc\n.size function, . - function\n"
    aside += "e843419@0001_0_0: {}; b 2b\n"
    aside = aside.replace("e843419@0001_0_0", '"e843419@0001_0_0"') + ".cfi_startproc"
    yield "put aside by a linker", aside.format("mov x20, #0") + "\nnop", None
    yield "put aside, x20", aside.format("mov x3, x20") + "\nnop", "reads x20"
    yield "put aside, an unknown instruction", aside.format(".inst 0xffffffff") + "\nnop", NOT_KNOWN
    yield "operands that came out of a variable", "stp x17, x9, [sp, #8]\n" + back, None
    yield "operands that came out of the block", "str x17, [sp, #8]; nop\n" + back, "reads x17"


TEXTS = {"x86_64": (X86_64, x86_64), "aarch64": (AARCH64, aarch64)}


def assembled(architecture, folder, text, name):
    source, program = folder / f"{name}.s", folder / name
    source.write_text(text, encoding="utf-8")
    run([TOOLS[architecture] + "as", source, "-o", program.with_suffix(".o")])
    run([TOOLS[architecture] + "ld", "-e", "function", program.with_suffix(".o"), "-o", program])
    return program


def said(tool, *arguments):
    """(exit code, what was printed)"""
    done = subprocess.run([str(tool), *map(str, arguments)], capture_output=True, text=True, check=False, timeout=300)
    return done.returncode, done.stdout


class Cases:
    def __init__(self, tool):
        self.tool, self.count, self.failures = tool, 0, []

    def expect(self, what, expected, *arguments):
        """Nothing is found, or the expected."""
        self.count += 1
        code, output = said(self.tool, *arguments)
        right = code == 0 and "FAILED" not in output if expected is None else code == 1 and re.search(expected, output)
        if not right:
            self.failures.append((f"should have said {expected or 'nothing'}, but said: {output.strip()[:600]}", what))


def by_hand(tool, folder):
    cases = Cases(tool)
    for architecture, (text, each) in TEXTS.items():
        where = pathlib.Path(folder) / architecture / "sites"
        where.mkdir(parents=True, exist_ok=True)
        for number, (name, back, expected) in enumerate(each()):
            text_here = text.replace("subq    $48", "jmp 9f; .byte 6, 6, 6; 9: subq $48") if "DATA" in back else text
            back = back.removeprefix("DATA")
            table, back = (HAS_PADS, back.removeprefix(HAS_PADS)) if back.startswith(HAS_PADS) else ("", back)
            before = "ldp x17, x9, [sp]" if "variable" not in name else "ldr x17, [sp]; ldr x9, [sp, #8]"
            if "e843419" in back:  # what is put aside is no part of the function, whose size BACK tells
                text_here = text_here.replace("    .size   function, . - function\n", "")
            whole = text_here.replace("TABLE", table).replace("BEFORE", before).replace("BACK", back)
            cases.expect(f"{architecture}: {name}", expected, assembled(architecture, where, whole, f"case_{number}"))
        whole = text.replace("TABLE", "").replace("BEFORE", "ldp x17, x9, [sp]")
        whole = whole.replace("BACK", RESTORE[architecture] + "ret")
        bad_input(cases, architecture, where, whole)
    return f"{cases.count - len(cases.failures)} of {cases.count} programs judged rightly", cases.failures


def bad_input(cases, architecture, folder, text):
    silent = assembled(architecture, folder, re.sub(ROWS, "", text, flags=re.DOTALL), "silent")
    cases.expect(f"{architecture}: no call frame information in it", "does not tell of this switch", silent)
    other = text.replace("movq    %rsp, 24(%rdi)", "movq    %rsp, 40(%rdi)").replace("x12, x10,", "x12, x11,")
    other = assembled(architecture, folder, other, "other")
    cases.expect(f"{architecture}: an unknown form", "tells of a switch, but it has no known form", other)
    torn = text.replace("leaq    1f(%rip), %rax", "movq    $1f, %rax").replace("adr     x12, 1f", "ldr     x12, =1b")
    torn = torn.replace("=1b", "[sp]")
    torn = assembled(architecture, folder, torn, "torn")
    cases.expect(f"{architecture}: half of a switch", "no switch of a known form", torn)
    none = assembled(architecture, folder, ".globl function\nfunction: nop\n", "none")
    cases.expect(f"{architecture}: no switch", "has no inline switch", none)
    cases.expect(f"{architecture}: one without a switch", None, "--optional", none, folder / "case_0")
    cases.expect(f"{architecture}: all without a switch", "none of the programs", "--optional", none)
    cases.expect(f"{architecture}: an object file", "is not linked", folder / "none.o")
    cases.expect(f"{architecture}: no program", "cannot be read as a program", folder / "none.s")
    cases.expect(f"{architecture}: no file", "cannot be read as a program", folder / "nowhere")
    run([TOOLS[architecture] + "strip", folder / "case_1", "-o", folder / "stripped"])
    cases.expect(f"{architecture}: stripped", "reads (r12|x20)", folder / "stripped")


def compiled(tool, architecture, folder):
    """Shared objects: what they lack to be programs is nothing to be followed."""
    cases = Cases(tool)
    toolchain = Toolchain(
        compiler(architecture),
        pathlib.Path(folder) / architecture / "sites",
        ["-O2", "-w", "-DNDEBUG", "-fPIC"],
        ["-shared"],
    )
    header = INLINE_SWITCH[architecture]
    original = (ROOT / header).read_text(encoding="utf-8")

    def program(name, headers=None):
        return toolchain.link([toolchain.compile(PROGRAM, name, headers)], f"{name}_program")

    cases.expect("the switch as it is", None, program("right"))
    for number, (what, changes, register) in enumerate(LESS_LOST[architecture]):
        text = original
        for old, new in changes:
            text, count = re.subn(old if old.startswith((",", '"')) else re.escape(old), new, text, count=1)
            if count != 1:
                raise ValueError(f"{header} does not contain {old} any more: choose another place for the fault")
        headers = changed_header(toolchain.folder, header, text)
        cases.expect(f"{what} not lost", rf"(reads|restored) ({register}),", program(f"without_{number}", headers))
    return f"{cases.count - len(cases.failures)} of {cases.count} programs judged rightly", cases.failures
