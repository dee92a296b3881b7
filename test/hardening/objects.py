# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""objects.py ARCHITECTURE FOLDER --compiler COMMAND... [--tools PREFIX]

Reads the objects of the switch, assembly and inline: the features they promise the linker, a landing pad at every
entry, no use of x18, no executable stack, no text relocation."""

import argparse
import re
import sys

from toolchain import ASSEMBLY, ROOT, BuildError, Toolchain, run

# A translation unit whose only contents are inline switches.
INLINE = """
#include <weft/detail/switch/inline_switch.hpp>
void one(weft::detail::control_block& block) { weft::detail::switch_to_fiber(block); }
bool maybe(weft::detail::control_block& block) {
    if constexpr (weft::detail::switch_tests_tag) return weft::detail::try_switch_to_resumer(block);
    weft::detail::switch_to_resumer(block);
    return true;
}
long two(weft::detail::control_block& block, long a, double b) {
    weft::detail::switch_to_resumer(block);
    weft::detail::switch_to_fiber(block);
    return a + static_cast<long>(b);
}
"""
INLINE_SWITCHES = 4
# What stands up to label 1: what traps, and the way out of try_switch_to_resumer. Nobody falls through to it.
FILLING = {"ud2", "brk", "b"}

PUBLIC = ["weft_make_context", "weft_jump_context", "weft_ontop_context"]


class Reader:
    def __init__(self, tools):
        self.tools = tools

    def features(self, file):
        notes = run([self.tools + "readelf", "--notes", "--wide", file])
        match = re.search(r"Properties: .*feature: (.*)", notes)
        return {f.strip() for f in match[1].split(",")} if match else set()

    def sections(self, file):
        return run([self.tools + "readelf", "--section-headers", "--wide", file])

    def code(self, file):
        """[(symbol, mnemonic, operands)]"""
        listing, symbol, found = run([self.tools + "objdump", "-d", "--no-show-raw-insn", file]), "", []
        for line in listing.splitlines():
            if match := re.match(r"[0-9a-f]+ <(.*)>:", line):
                symbol = match[1]
            elif match := re.match(r" *[0-9a-f]+:\t(\S+(?: (?:jmp|call))?)\s*([^#/]*)", line):
                word = (match[1], match[2].strip())
                found.append((symbol, *(("brk", "#0") if word == (".word", "0xd4200000") else word)))  # written as data
        return found


class Checks:
    def __init__(self, architecture, reader, toolchain):
        self.architecture = architecture
        self.reader = reader
        self.toolchain = toolchain
        self.failures = 0
        self.passed = 0

    def check(self, what, right):
        self.passed += bool(right)
        if not right:
            print(f"FAILED: {what}")
            self.failures += 1

    def object_file(self, assembly, header_folder, switch, flags):
        self.common(switch, flags, "assembly")
        inline = self.toolchain.folder / "inline.cpp"
        inline.write_text(INLINE, encoding="utf-8")
        compiled = self.toolchain.compile(inline, headers=header_folder, flags=[*flags, "-O2"])
        self.common(compiled, flags, "inline switch")
        return compiled

    def common(self, file, flags, what):
        what = f"{what} {' '.join(flags)}"
        sections = self.reader.sections(file)
        stack = re.search(r"\.note\.GNU-stack +PROGBITS +\S+ +\S+ +\S+ +\S+ +([A-Z]*) ", sections)
        self.check(f"{what}: it asks for a stack that cannot be executed", stack and "X" not in stack[1])
        self.check(f"{what}: no section is writable and executable",
                   not re.search(r" (WAX|AXW|XWA) ", sections))
        try:  # the linker refuses relocations that the loader would have to write into the text
            library = self.toolchain.folder / "linked.so"
            run([*self.toolchain.cxx, "-shared", "-nostdlib", "-Wl,-z,text", file, "-o", library])
            dynamic = run([self.reader.tools + "readelf", "--dynamic", library])
            self.check(f"{what}: no text relocation", "TEXTREL" not in dynamic)
        except BuildError as error:
            self.check(f"{what}: it can be linked without text relocations: {error}", False)

    def first_instruction(self, code, symbol):
        return next((f"{mnemonic} {operands}".strip() for s, mnemonic, operands in code if s == symbol), "nothing")

    def entries(self, code, expected, flags):
        for symbol, allowed in expected.items():
            first = self.first_instruction(code, symbol)
            self.check(f"{' '.join(flags)}: {symbol} begins with {first}, should with {' or '.join(allowed)}", first in allowed)

    def returns_inside(self, code, calls, flags):
        """In a function that nobody called, every return address lies inside it, so that every debugger names it."""
        for symbol in ("weft_context_entry", "weft_fiber_start"):
            last = [mnemonic for s, mnemonic, _ in code if s == symbol]
            while last and last[-1] in ("nop", "nopw", "nopl", "xchg", "cs", "data16"):  # the space up to the next function
                last.pop()
            self.check(f"{' '.join(flags)}: {symbol} ends with {last[-1:]}", last and last[-1] not in calls)

    def behind_inline_switches(self, code, jump, pad, flags):
        """Every inline switch is `jump, filling, pad`: label 1 is the landing pad."""
        switches = [i for i, (_, mnemonic, operands) in enumerate(code) if (mnemonic, operands) == jump]
        self.check(f"{' '.join(flags)}: {len(switches)} inline switches, should be {INLINE_SWITCHES}",
                   len(switches) == INLINE_SWITCHES)
        for i in switches:
            i += 1
            self.check(f"{' '.join(flags)}: {code[i][1]} behind the inline switch, should trap", code[i][1] in FILLING)
            while code[i][1] in FILLING:
                i += 1
            found = f"{code[i][1]} {code[i][2]}".strip()
            if pad:
                self.check(f"{' '.join(flags)}: {found} at label 1, should be {pad}", found == pad)

    def aarch64(self, assembly, headers):
        protections = {"none": set(), "bti": {"BTI"}, "pac-ret": {"PAC"}, "standard": {"BTI", "PAC"}}
        for protection, features in protections.items():
            # x18 reserved, as on the platforms that own it; on Linux a compiler may use it around the switch
            flags = [f"-mbranch-protection={protection}", "-ffixed-x18"]
            switch = self.toolchain.compile(assembly, flags=flags)
            inline = self.object_file(assembly, headers, switch, flags)
            for file in (switch, inline):
                found = self.reader.features(file)
                # of PAC alone GCC tells the linker nothing: nobody depends on it
                if file == switch or "BTI" in features or not features:
                    self.check(f"{' '.join(flags)}: {file.name} promises {found}, should {features}", found == features)
            code, inline_code = self.reader.code(switch), self.reader.code(inline)
            for what, listing in (("assembly", code), ("inline switch", inline_code)):
                self.check(f"{' '.join(flags)}: {what} does not touch x18",
                           listing and not any(re.search(r"\b[xw]18\b", operands) for _, _, operands in listing))
            signed, pads = "PAC" in features, "BTI" in features
            called = ["paciasp"] if signed else ["bti c"]
            if features:
                self.entries(code, {"weft_jump_context": called, "weft_ontop_context": called,
                                    "weft_make_context": ["bti c"], "weft_fiber_start": ["bti j"]}, flags)
            self.returns_inside(code, ("bl", "blr"), flags)
            self.behind_inline_switches(inline_code, ("br", "x17"), "bti j" if pads else None, flags)
            count = sum(mnemonic in ("autiasp", "autia1716") for _, mnemonic, _ in code)
            self.check(f"{' '.join(flags)}: {count} checks of signatures", count == (4 if signed else 0))

    def x86_64(self, assembly, headers):
        for protection, features in {"none": set(), "branch": {"IBT"}, "full": {"IBT"}}.items():
            flags = [f"-fcf-protection={protection}"]
            switch = self.toolchain.compile(assembly, flags=flags)
            inline = self.object_file(assembly, headers, switch, flags)
            found = self.reader.features(switch) & {"IBT", "SHSTK"}
            self.check(f"{' '.join(flags)}: {switch.name} promises {found}, should {features}", found == features)
            code, inline_code = self.reader.code(switch), self.reader.code(inline)
            if features:
                self.entries(code, {s: ["endbr64"] for s in PUBLIC + ["weft_fiber_start"]}, flags)
            self.returns_inside(code, ("call",), flags)
            leave = "notrack jmp" if features else "jmp"
            left = [f"{mnemonic} {operands}" for s, mnemonic, operands in code
                    if s == "weft_jump_context" and "jmp" in mnemonic]
            self.check(f"{' '.join(flags)}: jump leaves by {left}", left == [f"{leave} *%r8"])
            self.behind_inline_switches(inline_code, ("jmp", "*%rdx"), "endbr64" if features else None, flags)


def check(architecture, compiler, folder, tools="", assembly=None, headers=None):
    """(failures, passed checks); `assembly` and `headers` may be changed copies."""
    checks = Checks(architecture, Reader(tools), Toolchain(compiler, folder))
    getattr(checks, architecture)(assembly or ROOT / ASSEMBLY[architecture], headers)
    return checks.failures, checks.passed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("architecture", choices=["aarch64", "x86_64"])
    parser.add_argument("folder")
    parser.add_argument("--tools", default="", help="prefix of readelf and objdump")
    parser.add_argument("--compiler", nargs=argparse.REMAINDER, required=True)
    arguments = parser.parse_args()
    failures, passed = check(arguments.architecture, arguments.compiler, arguments.folder, arguments.tools)
    print(f"{passed} checks passed, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
