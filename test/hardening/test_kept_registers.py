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
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
