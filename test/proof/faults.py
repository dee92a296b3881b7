# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Faults planted in a copy of the assembly or of an inline switch's header: the proof must find each, by its name."""

import dataclasses
import pathlib

import inline_switch
from engine import EngineError, Facts
from image import ImageError
from objects_proven import ASSEMBLY, ROOT, assemble, variants
from switch import Switch
from toolchain import INLINE_SWITCH, changed_header


@dataclasses.dataclass(frozen=True)
class Fault:
    architecture: str
    variant: str
    name: str
    old: str  # stands in the assembly
    new: str  # in its place
    said: str  # what the proof has to say
    is_inline: bool = False  # in the header

    @property
    def file(self):
        return (INLINE_SWITCH if self.is_inline else ASSEMBLY)[self.architecture]


def after(line, *more):
    return line, "\n".join([line, *more])


def inline(architecture, variant, name, old, new, said):
    return Fault(architecture, variant, name, old, new, said, True)


LEAVES = "    mov     x9, sp                                      // the leaving context is the address of its frame"
X86_LEAVES = "    movq    %rsp, %rax                              // transfer.from"
FAULTS = [
    Fault(
        "aarch64",
        "plain",
        "d8 and d9 are not saved",
        "    stp     d8, d9, [sp, #WEFT_AARCH64_D8_D9]",
        "",
        "d8 is not what the arriving context had",
    ),
    Fault(
        "aarch64",
        "plain",
        "x21 and x22 exchanged",
        "    ldp     x21, x22,",
        "    ldp     x22, x21,",
        "x21 is not what the arriving context had",
    ),
    Fault(
        "aarch64",
        "plain",
        "x20 saved over x19",
        "    stp     x19, x20,",
        "    stp     x20, x20,",
        "x19 is not what the arriving context had",
    ),
    Fault("aarch64", "plain", "a write below sp", *after(LEAVES, "    str     x9, [sp, #-16]"), "writes below sp"),
    Fault(
        "aarch64",
        "plain",
        "a write above the frame",
        *after(LEAVES, "    str     x9, [sp, #WEFT_AARCH64_FRAME]"),
        "outside of what it may write",
    ),
    Fault(
        "aarch64",
        "plain",
        "a read above the frame",
        *after(LEAVES, "    ldr     x3, [sp, #WEFT_AARCH64_FRAME + 8]"),
        "none of its business",
    ),
    Fault(
        "aarch64",
        "plain",
        "a write through a wild pointer",
        *after(LEAVES, "    str     x9, [x5]"),
        "lies in no stack and no block",
    ),
    Fault("aarch64", "plain", "x18 is touched", *after(LEAVES, "    mov     x18, x9"), "x18 is read or written"),
    Fault(
        "aarch64",
        "plain",
        "the thread pointer is read",
        *after(LEAVES, "    mrs     x3, tpidr_el0"),
        "tpidr_el0 is read or written",
    ),
    Fault("aarch64", "plain", "FPCR is changed", *after(LEAVES, "    msr     fpcr, xzr"), "fpcr is not what it was"),
    Fault(
        "aarch64",
        "plain",
        "sp is not aligned for a while",
        *after(LEAVES, "    sub     sp, sp, #8", "    add     sp, sp, #8"),
        "sp is not aligned",
    ),
    Fault(
        "aarch64",
        "plain",
        "the frame is freed before it is read",
        "    ldp     d14, d15, [sp, #WEFT_AARCH64_D14_D15]",
        "    add     sp, sp, #WEFT_AARCH64_FRAME\n"
        "    ldp     d14, d15, [sp, #WEFT_AARCH64_D14_D15 - WEFT_AARCH64_FRAME]\n"
        "    sub     sp, sp, #WEFT_AARCH64_FRAME",
        "d14 is not what the arriving context had",
    ),
    Fault("aarch64", "plain", "the data are lost", *after(LEAVES, "    mov     x1, xzr"), "x1 is not the data"),
    Fault(
        "aarch64",
        "plain",
        "an entry has no frame pointer 0",
        "    stp     xzr, x9,",
        "    stp     x1, x9,",
        "x29 is not 0, where a walk along frame pointers ends",
    ),
    Fault("aarch64", "plain", "an endless loop", *after(LEAVES, "    b       ."), "no end after"),
    Fault(
        "aarch64",
        "plain",
        "an instruction that is not known",
        *after(LEAVES, "    .inst   0xffffffff"),
        "VEX does not know this instruction",
    ),
    Fault(
        "aarch64",
        "plain",
        "a function is missing",
        "public_function SYMBOL(weft_ontop_context)\n",
        "#define weft_ontop_context other\npublic_function SYMBOL(weft_ontop_context)\n",
        "has no symbol weft_ontop_context",
    ),
    Fault(
        "aarch64",
        "plain",
        "an unwinder is told of another place of x24",
        "    .cfi_rel_offset x24, WEFT_AARCH64_X23_X24 + 8",
        "    .cfi_rel_offset x24, WEFT_AARCH64_X23_X24",
        "an unwinder finds another x24",
    ),
    Fault(
        "aarch64",
        "plain",
        "an unwinder is not told that x29 is back",
        "    .cfi_restore x29 ",
        "    // ",
        "an unwinder finds another x29",
    ),
    Fault(
        "aarch64",
        "plain",
        "an unwinder goes on at a new context",
        "    .cfi_undefined x30 ",
        "    // ",
        "an unwinder goes on, but nobody called this",
    ),
    Fault(
        "aarch64",
        "PAC and BTI",
        "make has no landing pad",
        "    bti     c                                           // a leaf",
        "    nop // a leaf",
        "lands on a landing pad",
    ),
    Fault(
        "aarch64",
        "PAC and BTI",
        "make signs for another sp",
        "    mov     x16, x0 ",
        "    mov     x16, x1 ",
        "goes to another address than the entry",
    ),
    Fault(
        "aarch64",
        "PAC and BTI",
        "make leaves the entry unsigned",
        "    mov     x2, x17\n",
        "",
        "leaves a code address in the new stack that is not signed",
    ),
    Fault(
        "aarch64",
        "PAC and BTI",
        "the object promises no landing pads",
        "    elf_features 0xc0000000",
        "    // ",
        "promises",
    ),
    Fault(
        "aarch64",
        "shadow call stack",
        "x18 is not exchanged",
        "    ldr     x18,",
        "    // ",
        "x18 is not what the arriving",
    ),
    Fault(
        "x86_64", "plain", "MXCSR is not loaded", "    ldmxcsr ", "    # ", "mxcsr is not what the arriving context had"
    ),
    Fault(
        "x86_64",
        "plain",
        "the x87 control word is not loaded",
        "    fldcw   ",
        "    # ",
        "x87_cw is not what the arriving context had",
    ),
    Fault(
        "x86_64",
        "plain",
        "the x87 control word is loaded where it is the same",
        "    je      1f ",
        "    jne     1f ",
        "x87_cw is not what the arriving context had",
    ),
    Fault(
        "x86_64",
        "plain",
        "flags are asked that nobody set",
        "    cmpw    WEFT_X86_64_X87_CW(%rsp), %cx ",
        "    # ",
        "a condition that depends on unknown flags",
    ),
    Fault(
        "x86_64",
        "plain",
        "rbx comes from another place",
        "    movq    WEFT_X86_64_RBX(%rsp), %rbx",
        "    movq    WEFT_X86_64_R15(%rsp), %rbx",
        "rbx is not what the arriving context had",
    ),
    Fault(
        "x86_64",
        "plain",
        "a write into the red zone",
        X86_LEAVES,
        "    movq %rbx, -8(%rsp)\n" + X86_LEAVES,
        "writes below sp",
    ),
    Fault(
        "x86_64", "plain", "fs is read", X86_LEAVES, "    movw %fs, %r9w\n" + X86_LEAVES, "fs_seg is read or written"
    ),
    Fault("x86_64", "plain", "the direction flag is set", X86_LEAVES, "    std\n" + X86_LEAVES, "d is not what it was"),
    Fault(
        "x86_64",
        "IBT",
        "jump goes back as if a landing pad were there",
        "    notrack jmp \\target",
        "    jmp     \\target",
        "where no landing pad is",
    ),
    Fault(
        "x86_64",
        "IBT",
        "make has no landing pad",
        "public_function SYMBOL(weft_make_context)\n    enter\n",
        "public_function SYMBOL(weft_make_context)\n",
        "lands on a landing pad",
    ),
    inline("aarch64", "plain", "x20 is not named as lost", '"x20", ', "", "x20 is not what it was before the call"),
    inline("aarch64", "plain", "v9 is not named as lost", '"v9", ', "", "d9 is not what it was before the call"),
    inline("aarch64", "plain", "x30 is not named as lost", ', "x30", ', ", ", "returns to another address"),
    inline(
        "aarch64", "plain", "x29 and x19 exchanged", '"ldp  x19, x29,', '"ldp  x29, x19,', "x19 is not the arriving one"
    ),
    inline(
        "aarch64",
        "plain",
        "the passed word is changed",
        '"br   x17',
        '"mov x1, x10\\n\\tbr   x17',
        "returns another word",
    ),
    inline(
        "aarch64",
        "plain",
        "labels without tag bits",
        '".fill %c[tag] / 4, 4, 0xd4200000\\n"',
        '""',
        "beyond a multiple of 16",
    ),
    inline(
        "aarch64",
        "plain",
        "sp changes before an unwinder knows",
        '    "mov  x10, sp\\n\\t" ',
        '    "mov  x10, sp\\n\\tmov sp, x9\\n\\t" ',
        "an unwinder finds another sp",
    ),
    inline("aarch64", "PAC and BTI", "the pc is stored unsigned", '    "hint #8\\n\\t" ', '    "" ', "is not signed"),
    inline("aarch64", "PAC and BTI", "no landing pad at label 1", '"hint #36\\n\\t"', '""', "lands on a landing pad"),
    inline(
        "aarch64",
        "shadow call stack",
        "x18 is not exchanged",
        '"mov  x18, x11\\n\\t"',
        '""',
        "x18 is not the arriving one",
    ),
    inline("x86_64", "plain", "r12 is not named as lost", '"r12", ', "", "r12 is not what it was before the call"),
    inline(
        "x86_64",
        "plain",
        "a write into the red zone",
        '"jmp   *%%rdx\\n\\t"',
        '"pushq %%rdx\\n\\tret\\n\\t"',
        "outside of what it may write",
    ),
    inline(
        "x86_64",
        "plain",
        "the block's address is lost",
        '"jmp   *%%rdx',
        '"leaq 1(%%rdi), %%rdi\\n\\tjmp   *%%rdx',
        "the block's address is lost",
    ),
    inline("x86_64", "IBT", "no landing pad at label 1", '"\\n\\tendbr64"', '""', "lands on a landing pad"),
]


class Found(Exception):
    pass


class Expecting(Facts):
    """Facts that wait for one complaint."""

    def __init__(self, said):
        super().__init__()
        self.said = said

    def fail(self, statement, place):
        super().fail(statement, place)
        if self.said in statement:
            raise Found


def find(fault, folder):
    """Why the fault was not found, or None."""
    text = (ROOT / fault.file).read_text(encoding="utf-8")
    if fault.old not in text:
        return f"{fault.file} does not contain {fault.old!r} any more: choose another place for the fault"
    folder = pathlib.Path(folder) / "faults"
    folder.mkdir(parents=True, exist_ok=True)
    facts = Expecting(fault.said)
    try:
        subject(fault, folder, text.replace(fault.old, fault.new, 1), facts).prove()
    except Found:
        return None
    except (EngineError, ImageError) as error:
        return None if fault.said in str(error) else f"not found by its name; said: {error}"
    return f"not found by its name; said: {facts.failures[:3] or 'nothing'}"


def subject(fault, folder, text, facts):
    """What is to be proven of the changed text."""
    ways = inline_switch.VARIANTS if fault.is_inline else variants()
    variant = next(v for v in ways if (v.architecture, v.name) == (fault.architecture, fault.variant))
    if fault.is_inline:
        image = inline_switch.build(variant, folder, changed_header(folder, fault.file, text))
        return inline_switch.Places(image, facts, variant)
    source = folder / "fault.S"
    source.write_text(text, encoding="utf-8")
    return Switch(assemble(variant, folder, source), facts, variant.implementation())
