# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""test_kept_registers.py ARCHITECTURE FOLDER --library FILE [--objdump COMMAND] [--link FLAGS] --compiler COMMAND...

Does kept_registers.py notice a switch that loses a register without having said so? The same program is compiled with
the switch as it is, and with registers left out of what it declares lost."""

import argparse
import re
import sys

import kept_registers
from toolchain import INLINE_SWITCH, ROOT, Toolchain, changed_header

PROGRAM = "test/unit/inline_switch/own_instruction_set.cpp"

ALL_NAMED = ("#if defined(__clang__) || defined(__AVX512F__)", "#if 1")
# what is left out, how, and which registers a finding names then
PLANTED = {
    "x86_64": [
        ("what AVX-512 adds", [ALL_NAMED, (r', "xmm16", [^#]*"k7"', "")], r"v(1[6-9]|2\d|3[01])|k[0-7]"),
        ("r13", [(r'"r13", ', "")], "r13"),
    ],
    "aarch64": [
        ("the predicates", [(r'"p0", [^#]*?"p15"', '"x30"')], r"p\d+"),
        ("v8 to v15", [(r'"v8", [^#]*?"v15",', "")], r"v(8|9|1[0-5])"),
        ("x25", [(r'"x25", ', "")], "x25"),
    ],
}


# Listings, as objdump prints them, that no compiler can be relied upon to make: what stands before the switch, at the
# place where control comes back, and in what the linker has put aside; and which register a finding names, if any.
LISTED = {
    "x86_64": [],
    "aarch64": [
        ("put aside, and right", "ldp x17, x9, [x0, #16]", "b 2000 <e843419@0001_00000001_0>", "mov x20, #0x0", None),
        ("put aside, and wrong", "ldp x17, x9, [x0, #16]", "b 2000 <e843419@0001_00000001_0>", "mov x3, x20", "x20"),
        ("out of a variable", "ldr x17, [sp, #8]", "str x17, [sp, #8]", "nop", None),
        ("out of the block", "ldp x17, x9, [x0, #16]", "str x17, [sp, #8]", "nop", "x17"),
    ],
}


def listing(before, back, aside):
    texts = [before, "adr x12, 1020 <f+0x20>", "mov x10, sp", "stp x12, x10, [x0, #16]", "stp x19, x29, [x0]",
             "ldp x19, x29, [x0, #32]", "mov sp, x9", "br x17", back, "mov x3, x20" if "b 2000" in back else "nop", "brk #0x0"]

    def lines(address, instructions):
        return [f"    {address + 4 * n:x}:\t" + text.replace(" ", "\t", 1) for n, text in enumerate(instructions)]

    return "\n".join(["f:     file format elf64-littleaarch64", "0000000000001000 <f>:", *lines(0x1000, texts),
                      "0000000000002000 <e843419@0001_00000001_0>:", *lines(0x2000, [aside, "b 1024 <f+0x24>"]), ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("architecture", choices=PLANTED)
    parser.add_argument("folder")
    parser.add_argument("--library", required=True)
    parser.add_argument("--objdump", default="objdump")
    parser.add_argument("--link", default="")
    parser.add_argument("--compiler", nargs=argparse.REMAINDER, required=True)
    arguments = parser.parse_args()
    toolchain = Toolchain(arguments.compiler, arguments.folder, ["-O2", "-w", "-DNDEBUG"], arguments.link.split())

    def findings(name, headers):
        program = toolchain.link([toolchain.compile(PROGRAM, name, headers), arguments.library], name)
        program = kept_registers.Program(str(program), arguments.objdump.split())
        assert len(program.switches) > 20, f"{len(program.switches)} inline switches"
        return program.findings()

    failures = 0

    def check(what, right, shown):
        nonlocal failures
        failures += not right
        print(f"{'ok  ' if right else 'FAIL'} {what}", *shown[:3], sep="\n     ")

    found = findings("right", None)
    check("as it is: no finding", not found, found)
    header = INLINE_SWITCH[arguments.architecture]
    for number, (what, changes, register) in enumerate(PLANTED[arguments.architecture]):
        text = (ROOT / header).read_text(encoding="utf-8")
        for old, new in changes:
            text, count = re.subn(old if old.startswith((",", '"')) else re.escape(old), new, text, count=1)
            assert count == 1, f"{old} is not in {header}"
        found = findings(f"without_{number}", changed_header(arguments.folder, header, text))
        there = [f for f in found if re.search(rf"(reads|restored) ({register}),", f)]
        check(f"without {what}: {len(found)} findings", bool(there), there or found)
    for what, before, back, aside, register in LISTED[arguments.architecture]:
        text = toolchain.folder / "listing.txt"
        text.write_text(listing(before, back, aside), encoding="utf-8")
        program = kept_registers.Program(str(text), ["sh", "-c", 'shift 3; cat "$1"', "objdump"])
        assert len(program.switches) == 1
        found = program.findings()
        check(what, len(found) == (1 if register else 0) and all(f"reads {register}," in f for f in found), found)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
