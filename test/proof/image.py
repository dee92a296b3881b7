# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""A linked program as the proofs see it: its bytes, its symbols, its instructions and its call frame information."""

import functools

import pyvex
from elftools.common.exceptions import ELFError
from elftools.dwarf.callframe import FDE
from elftools.elf.elffile import ELFFile


class ImageError(Exception):
    """The program is not what a proof needs; the message names the place."""


BASE = 0x400000
# Where functions of others lie: nothing is there to be followed.
OUTSIDE = {"abort": 0x10000, "_exit": 0x10010, "weft_refuse_shadow_stack": 0x10020}

lifted = {}  # (architecture, address, bytes): VEX of one instruction; shared by all programs


def features_of(elf):
    """The bits of the property note that say what every entry of the program is ready for."""
    section = elf.get_section_by_name(".note.gnu.property")
    return sum(
        p["pr_data"]
        for note in (section.iter_notes() if section else ())
        for p in note["n_desc"]
        if p["pr_type"] in ("GNU_PROPERTY_AARCH64_FEATURE_1_AND", "GNU_PROPERTY_X86_FEATURE_1_AND")
    )


class Image:
    def __init__(self, architecture, path):
        self.architecture = architecture
        self.name = str(path)
        try:
            with open(path, "rb") as file:
                elf = ELFFile(file)
                self.segments = [(s["p_vaddr"], s.data()) for s in elf.iter_segments("PT_LOAD")]
                self.symbols = {
                    s.name: s["st_value"] for s in elf.get_section_by_name(".symtab").iter_symbols() if s.name
                }
                self.features = features_of(elf)
                text = elf.get_section_by_name(".text")
                self.first, self.last = text["sh_addr"], text["sh_addr"] + text["sh_size"]
                sections = [elf.get_section_by_name(name) for name in (".text", ".eh_frame")]
                self.contents = [section.data() if section else b"" for section in sections]
                self.functions = (
                    [
                        (f.header["initial_location"], f.header["address_range"], f)
                        for f in elf.get_dwarf_info().EH_CFI_entries()
                        if isinstance(f, FDE)
                    ]
                    if elf.get_section_by_name(".eh_frame")
                    else []
                )
        except (OSError, ELFError, AttributeError, AssertionError) as error:
            raise ImageError(f"{path}: cannot be read as a program: {error}") from error
        self.labels = sorted(
            (address, name)
            for name, address in self.symbols.items()
            if self.first <= address < self.last and not name.startswith("$")
        )

    def address(self, symbol):
        if symbol not in self.symbols:
            raise ImageError(f"{self.name}: has no symbol {symbol}")
        return self.symbols[symbol]

    def holds(self, address):
        return self.first <= address < self.last

    def bytes_at(self, address, size):
        for first, data in self.segments:
            if first <= address < first + len(data):
                return data[address - first : address - first + size]
        raise ImageError(f"{self.name}: nothing lies at {address:#x}")

    def instruction(self, address):
        data = self.bytes_at(address, 4 if self.architecture.is_aarch64 else 15)
        key = self.architecture.name, address, data
        if key not in lifted:
            lifted[key] = pyvex.lift(data, address, self.architecture.vex, max_inst=1, opt_level=1)
        return lifted[key], data

    @functools.cache
    def place(self, address):
        """Where that is, for people: function, distance, instruction."""
        name = next((f"{n}+{address - a:#x}" for a, n in reversed(self.labels) if a <= address), f"{address:#x}")
        text = (
            next(
                (
                    f"{i.mnemonic} {i.op_str}".strip()
                    for i in self.architecture.disassembler.disasm(self.bytes_at(address, 15), address, 1)
                ),
                "?",
            )
            if self.holds(address)
            else "outside"
        )
        return f"{name} `{text}`"

    def function_at(self, address):
        """The description of the function for unwinders, or None."""
        return next((f for first, size, f in self.functions if first <= address < first + size), None)
