# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""What a calling convention says of each register, for AArch64 (AAPCS64 §6.1) and x86-64 (System V psABI §3.2)."""

import dataclasses

import archinfo
import capstone

# Registers of the machine that VEX has no exact word for. They are kept behind its guest state.
MXCSR, X87_CW = 4096, 4104

# What VEX keeps in its guest state for itself; of the control words it has the rounding modes there.
NOTES = ("emnote", "cmstart", "cmlen", "nraddr", "ip_at_syscall", "sseround", "fpround")


@dataclasses.dataclass(frozen=True)
class Architecture:
    name: str
    vex: archinfo.Arch
    registers: dict  # name: (offset in VEX's guest state, size), each register once
    parts: dict  # likewise, for parts of a register
    sp: str
    link: str  # the register with the return address; "" where it is on the stack
    frame_pointer: str
    base: str  # the other register that the inline switch moves by hand
    arguments: tuple  # of functions
    results: tuple
    kept: tuple  # callee-saved registers, sp apart
    control_words: tuple  # kept as well, by the out-of-line switch
    thread: tuple  # belong to the thread or the platform: the switch neither reads nor writes them
    dwarf: dict  # number of a column in call frame information: register
    frame: int  # bytes that a context at rest takes below its sp at the call (lib/switch/README.md has the picture)
    disassembler: capstone.Cs

    @property
    def is_aarch64(self):
        return self.name == "aarch64"

    def place_of(self, register):
        return self.registers.get(register) or self.parts[register]

    def name_at(self, offset):
        """The register that a byte of VEX's guest state belongs to; "" for VEX's own notes."""
        for name, (first, size) in self.registers.items():
            if first <= offset < first + size:
                return name
        for name in NOTES:
            first, size = self.parts.get(name, (0, 0))
            if first <= offset < first + size:
                return ""
        raise LookupError(f"byte {offset} of VEX's guest state")


def _aarch64():
    vex = archinfo.ArchAArch64()
    names = [f"x{i}" for i in range(31)] + ["xsp", "cc_op", "cc_dep1", "cc_dep2", "cc_ndep", "tpidr_el0"]
    names += [f"q{i}" for i in range(32)] + ["qcflag", "fpcr"]
    return Architecture(
        name="aarch64",
        vex=vex,
        registers={n: vex.registers[n] for n in names},
        parts=vex.registers,
        sp="xsp",
        link="x30",
        frame_pointer="x29",
        base="x19",
        arguments=("x0", "x1", "x2"),
        results=("x0", "x1"),
        kept=tuple(f"x{i}" for i in range(19, 30)) + tuple(f"d{i}" for i in range(8, 16)),
        control_words=(),
        thread=("x18", "tpidr_el0", "fpcr", "qcflag"),
        dwarf={**{i: f"x{i}" for i in range(31)}, 31: "xsp", **{64 + i: f"d{i}" for i in range(32)}},
        frame=0xA0,
        disassembler=capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM),
    )


def _x86_64():
    vex = archinfo.ArchAMD64()
    general = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{i}" for i in range(8, 16))]
    thread = [
        "d",
        "ac",
        "id",
        "fs",
        "gs",
        "ftop",
        "fpreg",
        "fptag",
        "fc3210",
        "cs_seg",
        "ds_seg",
        "es_seg",
        "fs_seg",
        "gs_seg",
        "ss_seg",
    ]
    names = general + ["cc_op", "cc_dep1", "cc_dep2", "cc_ndep"] + [f"ymm{i}" for i in range(16)] + thread
    return Architecture(
        name="x86_64",
        vex=vex,
        registers={**{n: vex.registers[n] for n in names}, "mxcsr": (MXCSR, 4), "x87_cw": (X87_CW, 2)},
        parts=vex.registers,
        sp="rsp",
        link="",
        frame_pointer="rbp",
        base="rbx",
        arguments=("rdi", "rsi", "rdx"),
        results=("rax", "rdx"),
        kept=("rbx", "rbp", "r12", "r13", "r14", "r15"),
        control_words=("mxcsr", "x87_cw"),
        thread=tuple(thread),
        dwarf=dict(
            enumerate(["rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", *(f"r{i}" for i in range(8, 16))])
        ),
        frame=0x38,
        disassembler=capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64),
    )


ARCHITECTURES = {"aarch64": _aarch64(), "x86_64": _x86_64()}
