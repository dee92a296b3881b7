# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""cross.py FOLDER --zig COMMAND

Builds weft for systems that this machine is not, with a toolchain that brings their own headers and libraries (Zig's
Clang): macOS and musl, on both processors. For each: the library and a program are compiled and linked; what a Linux kernel
runs is run, the other processor's under emulation; the switch must have the same instruction bytes everywhere.

For processors without a switch of weft's own, and for Windows, the library on Boost.Context's switch is compiled, and not
linked, for want of a Boost.Context: on Windows all but what maps stacks and handles signals by POSIX's calls."""

import argparse
import pathlib
import platform
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test/hardening"))
from formats import elf, mach_o, without_fields  # noqa: E402 (found by the line above)

SYSTEMS = {"musl": "linux-musl", "macOS": "macos"}
PROCESSORS = ("aarch64", "x86_64")
BEGINNINGS = {"musl": b"\x7fELF", "macOS": b"\xcf\xfa\xed\xfe"}
EMULATORS = {"aarch64": ["qemu-aarch64", "-cpu", "max"], "x86_64": ["qemu-x86_64"]}
WARNINGS = ["-Wall", "-Wextra", "-Werror"]
ON_BOOST = {"riscv64": "riscv64-linux-musl", "arm, 32 bits": "arm-linux-musleabihf", "Windows x86_64": "x86_64-windows-gnu"}
POSIX = {"stack_overflow.cpp", "guard.cpp", "map.cpp", "pool.cpp", "records.cpp", "usage.cpp"}
NATIVE = {"control_block.cpp", "frame.cpp", "shadow_stack.cpp"}


class Failure(Exception):
    pass


def run(*command):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, timeout=1200)
    if done.returncode != 0:
        raise Failure(f"{shlex.join(str(word) for word in command)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


class Target:
    def __init__(self, zig, folder, processor, system):
        self.processor, self.system = processor, system
        self.folder = folder / f"{processor}-{system}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.compiler = [*zig, "c++", "-target", f"{processor}-{SYSTEMS[system]}"]
        self.include = ["-I", ROOT / "include", "-I", folder / "include"]

    def compile(self, source, flags):
        target = self.folder / (source.parent.name + "_" + source.name.replace(".", "_") + ".o")
        standard = ["-std=c++20"] if source.suffix == ".cpp" else []
        run(*self.compiler, *standard, "-O2", "-g0", *flags, *self.include, "-c", source, "-o", target)
        return target

    def library(self):
        sources = [*sorted((ROOT / "lib").glob("*/*.cpp")), *sorted((ROOT / "lib").glob("*/*.S"))]
        return [self.compile(source, WARNINGS) for source in sources if source.name != "fcontext.cpp"]

    def program(self, name, objects):
        path = self.folder / name
        run(*self.compiler, *objects, "-o", path)
        if not path.read_bytes().startswith(BEGINNINGS[self.system]):
            raise Failure(f"{path} is no program of {self.system}")
        return path

    def runs(self):
        return self.system == "musl" and platform.system() == "Linux"

    def run(self, program):
        emulator = [] if platform.machine() == self.processor else EMULATORS[self.processor]
        return run(*emulator, program)

    def switch(self):
        read = elf if self.system == "musl" else mach_o
        return [read((self.folder / f"switch_{self.processor}_S.o").read_bytes()),
                read((self.folder / "fcontext_fcontext_S.o").read_bytes())]


def build(target, hello):
    weft = [target.compile(hello, WARNINGS), *target.library()]
    program = target.program("hello", weft)
    if not target.runs():
        return "compiled and linked; not run"
    printed = target.run(program)
    if not re.fullmatch(r"weft [0-9.]+, \d+: 42\n", printed):
        raise Failure(f"{program} printed {printed}")
    return "compiled, linked and run"


def compile_on_boost(zig, folder, target):
    """All of the library on Boost.Context's switch, against the headers of this machine's Boost, and of nothing else here."""
    headers = folder / "boost"
    headers.mkdir(parents=True, exist_ok=True)
    if not (headers / "boost").exists():
        found = [place for place in ("/usr/include", "/usr/local/include") if pathlib.Path(place, "boost/version.hpp").exists()]
        if not found:
            raise Failure("install Boost's headers: the switch for other processors is Boost.Context's")
        (headers / "boost").symlink_to(pathlib.Path(found[0], "boost"))
    without = NATIVE | (POSIX if "windows" in target else set())
    sources = [source for source in sorted((ROOT / "lib").glob("*/*.cpp")) if source.name not in without]
    for source in sources:
        run(*zig, "c++", "-target", target, "-std=c++20", "-O2", "-g0", *WARNINGS, "-DWEFT_SWITCH_FCONTEXT=1",
            "-I", ROOT / "include", "-isystem", headers, "-c", source, "-o", folder / "on_boost.o")
    left_out = f", without {len(POSIX)} of POSIX's calls" if "windows" in target else ""
    return f"compiled on Boost.Context's switch, {len(sources)} files{left_out}"


def compare(processor, one, other):
    """The same instructions, but for the fields that a linker fills in."""
    sizes = []
    for (a, fields), (b, other_fields) in zip(one.switch(), other.switch()):
        fields = fields | other_fields
        if len(a) < 200 or without_fields(processor, a, fields) != without_fields(processor, b, fields):
            raise Failure(f"the switch for {processor} is {len(a)} bytes on Linux and {len(b)} other ones on macOS")
        sizes.append(len(a))
    return f"the switch: the same {sizes[0]} bytes, as fcontext {sizes[1]}"


def attempt(name, step, words):
    """How many failures that makes."""
    try:
        print(f"{name}: {step(*words)}", flush=True)
        return 0
    except Failure as failure:
        print(f"FAILED {name}: {failure}", flush=True)
        return 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--zig", required=True)
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    version = re.search(r"^ *VERSION ((\d+)\.(\d+)\.(\d+))$", (ROOT / "CMakeLists.txt").read_text(), re.MULTILINE)
    number = int(version[2]) * 10000 + int(version[3]) * 100 + int(version[4])
    header = (ROOT / "lib/version.hpp.in").read_text().replace("@PROJECT_VERSION@", version[1])
    (folder / "include/weft").mkdir(parents=True, exist_ok=True)
    (folder / "include/weft/version.hpp").write_text(header.replace("@version_number@", str(number)))

    failures = 0
    for processor in PROCESSORS:
        targets = [Target(shlex.split(arguments.zig), folder, processor, system) for system in SYSTEMS]
        steps = [(f"{target.system} {processor}", build, (target, ROOT / "test/package/hello.cpp"))
                 for target in targets]
        for name, step, words in [*steps, (f"Linux and macOS {processor}", compare, (processor, *targets))]:
            failures += attempt(name, step, words)
    for name, target in ON_BOOST.items():
        failures += attempt(f"on Boost {name}", compile_on_boost, (shlex.split(arguments.zig), folder, target))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
