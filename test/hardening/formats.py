# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""formats.py FOLDER --clang CLANG++ [--headers ARCHITECTURE FOLDER...]

The same text makes ELF and Mach-O objects: compiles the switch for Linux and for macOS with one compiler and compares the
bytes of all instructions, of the assembly files and of inline switches. Then compiles the rest of the library for macOS.
Apple's own headers are not needed: the C and C++ library headers of Linux stand in for them, so this shows that weft's
code is right for that target, not that it fits Apple's headers."""

import argparse
import pathlib
import struct
import sys

from objects import INLINE, INLINE_SWITCHES
from toolchain import ASSEMBLY, LIBRARY, ROOT, BuildError, run

TARGETS = {  # architecture: ELF, Mach-O, the ways to compile
    "aarch64": ("aarch64-linux-gnu", "arm64-apple-macos13",
                [f"-mbranch-protection={p}" for p in ("none", "bti", "pac-ret", "standard")]),
    "x86_64": ("x86_64-linux-gnu", "x86_64-apple-macos13", [f"-fcf-protection={p}" for p in ("none", "full")]),
}
FREESTANDING = ["-ffreestanding", "-nostdinc++"]


def elf(data):
    """(bytes of .text, {offset of a relocated field})"""
    sections_at, = struct.unpack_from("<Q", data, 0x28)
    size, count, names_index = struct.unpack_from("<HHH", data, 0x3A)
    headers = [struct.unpack_from("<IIQQQQIIQQ", data, sections_at + i * size) for i in range(count)]
    names = data[headers[names_index][4]:]
    text, relocated = b"", set()
    for index, (name, kind, _, _, offset, length, _, info, _, entry) in enumerate(headers):
        if names[name:names.index(b"\0", name)] == b".text":
            text = data[offset:offset + length]
            for _, other, _, _, at, bytes_, _, of, _, step in headers:
                if other == 4 and of == index:  # SHT_RELA
                    relocated |= {struct.unpack_from("<Q", data, at + i)[0] for i in range(0, bytes_, step)}
    return text, relocated


def mach_o(data):
    """(bytes of __text, {offset of a relocated field})"""
    commands, = struct.unpack_from("<I", data, 16)
    at = 32
    for _ in range(commands):
        command, size = struct.unpack_from("<II", data, at)
        if command == 0x19:  # LC_SEGMENT_64
            sections, = struct.unpack_from("<I", data, at + 64)
            for i in range(sections):
                header = at + 72 + i * 80
                if data[header:header + 16].rstrip(b"\0") == b"__text":
                    length, offset, _, relocations_at, relocations = struct.unpack_from("<QIIII", data, header + 40)
                    fields = {struct.unpack_from("<i", data, relocations_at + 8 * n)[0] for n in range(relocations)}
                    return data[offset:offset + length], fields
        at += size
    return b"", set()


def without_fields(architecture, text, fields):
    """The text with relocated fields set to zero: what the linker fills in is no part of the comparison."""
    masked = bytearray(text)
    for field in fields:
        if architecture == "aarch64":
            word = int.from_bytes(masked[field:field + 4], "little") & 0xFC000000  # a branch: 26 bits
            masked[field:field + 4] = word.to_bytes(4, "little")
        else:
            masked[field:field + 4] = bytes(4)
    return bytes(masked)


def inline_switches(architecture, text):
    """The bytes of each inline switch up to the jump that leaves, and the landing pad at label 1. What fills the space between
    them depends on where it lies, and so do the distances to label 1 and beyond, which are set to zero."""
    leave, before, pad = {"aarch64": ("20021fd6", 56, "9f2403d5"), "x86_64": ("ffe20f0b", 47, "f30f1efa")}[architecture]
    leave, pad = bytes.fromhex(leave), bytes.fromhex(pad)
    found, at = [], text.find(leave)
    while at != -1:
        start, end = at - before, at + len(leave)
        if architecture == "aarch64":
            start = begins(text, start, at)
        elif not text[start:].startswith(bytes.fromhex("488d05")):  # leaq 1f(%rip), %rax
            start = -1
        if start < 0:
            raise ValueError(f"the inline switch that leaves at {at:#x} does not begin as expected")
        label = end
        while architecture == "aarch64" and text[label:label + 4] == bytes.fromhex("000020d4"):  # brk #0
            label += 4
        code = without_distances(text[start:end]) if architecture == "aarch64" else text[start:end]
        found.append(code + (pad if text[label:].startswith(pad) else b""))
        at = text.find(leave, end)
    return found


def begins(text, start, end):
    """Where the statement begins on AArch64: by `adr x12` or, with PAC, `adr x17`, our address, and before that by the load
    of the arriving pc and sp, and the question for the mark behind it, where these are its own. A switch to a fiber has them
    from the compiler, which may move them."""
    words = [int.from_bytes(text[at:at + 4], "little") for at in range(start, end, 4)]
    for i in range(len(words) - 1, -1, -1):
        if words[i] & 0x9F00001F in (0x1000000C, 0x10000011):
            asks = i > 1 and words[i - 1] & 0x7F000000 == 0x37000000  # tbnz
            return start + 4 * (i - 2 if asks else i)
    return -1


def without_distances(code):
    words = [int.from_bytes(code[i:i + 4], "little") for i in range(0, len(code), 4)]
    for i, word in enumerate(words):
        if word & 0x9F000000 == 0x10000000:  # adr
            words[i] &= 0x9F00001F
        elif word & 0x7F000000 == 0x37000000:  # tbnz
            words[i] &= 0xFFF8001F
    return b"".join(word.to_bytes(4, "little") for word in words)


class Comparison:
    def __init__(self, clang, folder):
        self.clang = clang
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.failures = 0

    def check(self, right, sentence):
        print(f"{'' if right else 'FAILED: '}{sentence}")
        self.failures += not right

    def compile(self, target, source, flags):
        result = self.folder / "object.o"
        language = ["-std=c++20", "-O2"] if str(source).endswith(".cpp") else []
        run([self.clang, f"--target={target}", *language, *flags, "-I", ROOT / "include", "-I", ROOT / "lib/switch",
             "-c", source, "-o", result])
        return result.read_bytes()

    def assembly(self, architecture, source=None):
        linux, macos, ways = TARGETS[architecture]
        source = source or ROOT / ASSEMBLY[architecture]
        for way in ways:
            one, fields = elf(self.compile(linux, source, [way]))
            other, other_fields = mach_o(self.compile(macos, source, [way]))
            same = without_fields(architecture, one, fields | other_fields) == \
                without_fields(architecture, other, fields | other_fields)
            self.check(same and len(one) > 200,
                       f"{architecture} {way}: {len(one)} bytes in ELF, {len(other)} in Mach-O, "
                       f"{'the same' if same else 'different'} but for the fields to relocate at "
                       f"{', '.join(hex(f) for f in sorted(fields | other_fields))}")

    def inline(self, architecture):
        linux, macos, ways = TARGETS[architecture]
        source = self.folder / "inline.cpp"
        source.write_text(INLINE, encoding="utf-8")
        for way in ways:
            flags = [way, *FREESTANDING, "-I", self.stand_ins(), "-fno-exceptions"]
            one = inline_switches(architecture, elf(self.compile(linux, source, flags))[0])
            other = inline_switches(architecture, mach_o(self.compile(macos, source, flags))[0])
            self.check(len(one) == INLINE_SWITCHES and one == other,
                       f"{architecture} {way}: {len(one)} inline switches of {sorted({len(s) for s in one})} bytes, "
                       f"{'the same' if one == other else 'different'} in Mach-O")

    def stand_ins(self):
        """All that the switch's headers need of the C++ library."""
        folder = self.folder / "freestanding"
        folder.mkdir(exist_ok=True)
        (folder / "cstddef").write_text("#pragma once\n#include <stddef.h>\nnamespace std { using ::size_t; }\n",
                                        encoding="utf-8")
        (folder / "cstdint").write_text("#pragma once\n#include <stdint.h>\nnamespace std { using ::uintptr_t; }\n",
                                        encoding="utf-8")
        return folder

    def library(self, architecture, headers):
        # macros of macOS and of Linux that the headers of Linux's C library do not expect, or do
        flags = ["-U__nonnull", "-D_GNU_SOURCE", "-nostdinc", "-Wall", "-Wextra", "-Werror"]
        for folder in headers:
            flags += ["-isystem", folder]
        whole = self.folder / "whole.cpp"  # by file it is compiled by test/platforms, with the headers of macOS
        whole.write_text("".join(f'#include "{ROOT / source}"\n' for source in [*LIBRARY, "lib/switch/frame.cpp"]
                                 if source.endswith(".cpp")), encoding="utf-8")
        for source in (whole, ROOT / "lib/switch/thread_state.S"):
            try:
                self.compile(TARGETS[architecture][1], source, flags)
            except BuildError as error:
                self.check(False, f"{architecture}: the library does not compile for macOS: {error}")
            else:
                print(f"{architecture}: {source.name} of the library compiles for macOS, with Linux's headers")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--clang", required=True)
    parser.add_argument("--headers", nargs="+", action="append", default=[], metavar=("ARCHITECTURE", "FOLDER"),
                        help="where Clang looks for the headers of C++ and C when it compiles for Linux")
    arguments = parser.parse_args()
    comparison = Comparison(arguments.clang, arguments.folder)
    for architecture in TARGETS:
        comparison.assembly(architecture)
        comparison.inline(architecture)
    for architecture, *folders in arguments.headers:
        comparison.library(architecture, folders)
    return 1 if comparison.failures else 0


if __name__ == "__main__":
    sys.exit(main())
