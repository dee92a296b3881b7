# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""landing_pads.py FOLDER --emulator "COMMAND..." --compiler COMMAND...

Takes each landing pad out of AArch64's switches in turn. `hardened bti` must then die of SIGILL, and without the change
it must pass: so the enforcement is real, and every landing pad is needed."""

import argparse
import pathlib
import re
import resource
import signal
import subprocess
import sys

from toolchain import ASSEMBLY, INLINE_SWITCH, ROOT, Toolchain, changed_header

# file, the line that is taken out, of what it is the landing pad, the kind of protection
PADS = [
    (ASSEMBLY["aarch64"], r"^ +paciasp .*\n", "paciasp of jump and ontop", "standard"),
    (ASSEMBLY["aarch64"], r"^ +bti +c +// may be called.*\n", "bti c of jump and ontop", "bti"),
    (ASSEMBLY["aarch64"], r"^ +bti +c +// a leaf.*\n", "bti c of make", "bti"),
    (ASSEMBLY["aarch64"], r"^ +bti +c +// a leaf.*\n", "bti c of make", "standard"),
    (ASSEMBLY["aarch64"], r"^ +bti +j .*\n", "bti j of a fiber's first entry", "bti"),
    (ASSEMBLY["aarch64"], r"^ +bti +j .*\n", "bti j of a fiber's first entry", "standard"),
    (INLINE_SWITCH["aarch64"], r'"hint #36\\n\\t"', "bti j behind the inline switch", "bti"),
    (INLINE_SWITCH["aarch64"], r'"hint #36\\n\\t"', "bti j behind the inline switch", "standard"),
]


class Hardened:
    """The program `hardened` with one kind of protection, part of it replaceable."""

    def __init__(self, compiler, folder, protection):
        self.toolchain = Toolchain(compiler, pathlib.Path(folder) / protection,
                                   ["-O2", "-g", f"-mbranch-protection={protection}"], ["-static"])
        compile_ = self.toolchain.compile
        self.begin = compile_("test/hardening/guarded_text_begin.S")
        self.end = compile_("test/hardening/guarded_text_end.S")
        self.library = self.toolchain.library()
        self.test = compile_("test/hardening/hardened.cpp")
        self.switch = compile_(ASSEMBLY["aarch64"])

    def link(self, name, test=None, switch=None):
        return self.toolchain.link([self.begin, test or self.test, switch or self.switch, *self.library, self.end], name)

    def changed(self, file, text):
        folder = self.toolchain.folder
        if file.endswith(".S"):
            (folder / "changed.S").write_text(text, encoding="utf-8")
            return self.link("changed", switch=self.toolchain.compile(folder / "changed.S"))
        headers = changed_header(folder, file, text)
        return self.link("changed", test=self.toolchain.compile("test/hardening/hardened.cpp", "changed_test", headers))


def run(emulator, program):
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return subprocess.run([*emulator, str(program), "bti"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          timeout=120, check=False, cwd=program.parent).returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--emulator", type=str.split, default=[], help="one argument: the words of the command")
    parser.add_argument("--compiler", nargs=argparse.REMAINDER, required=True)
    arguments = parser.parse_args()
    failures = 0
    programs = {p: Hardened(arguments.compiler, arguments.folder, p) for p in ("bti", "standard")}
    for protection, program in programs.items():
        code = run(arguments.emulator, program.link("hardened"))
        print(f"-mbranch-protection={protection}: {'passes' if code == 0 else f'FAILED: exit code {code}'}")
        failures += code != 0
    for file, pattern, what, protection in PADS:
        text, count = re.subn(pattern, "" if file.endswith(".S") else '""', (ROOT / file).read_text(encoding="utf-8"),
                              flags=re.M)
        place = f"{what} ({file}, -mbranch-protection={protection})"
        if count != 1:
            print(f"FAILED: {place}: there are {count} such lines")
            failures += 1
            continue
        code = run(arguments.emulator, programs[protection].changed(file, text))
        right = code in (-signal.SIGILL, 128 + signal.SIGILL)
        print(f"without {place}: {'SIGILL' if right else f'FAILED: exit code {code}'}")
        failures += not right
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
