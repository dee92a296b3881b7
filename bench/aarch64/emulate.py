# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Runs a program under QEMU with trace_plugin.so and reads what it counted."""

import dataclasses
import os
import pathlib
import subprocess
import tempfile

COUNTED = ("instructions", "loads", "stores", "misses_16", "misses_32")


@dataclasses.dataclass
class Section:
    """What was executed between two marks: counts by name, and the instructions as pairs of address and word."""

    counts: dict
    executed: list


def trace(plugin, command, emulator="qemu-aarch64"):
    """The sections of one run."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder, "trace")
        plugin_argument = f"{os.path.abspath(plugin)},out={out}"
        done = subprocess.run([emulator, "-cpu", "max", "-plugin", plugin_argument, *command],
                              capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode} under {emulator}:\n"
                             f"{done.stdout}{done.stderr}\n(The plugin is written for QEMU 4.2 to 8.2, built with plugins.)")
        sections = []
        with out.open(encoding="ascii") as lines:
            for line in lines:
                first, *rest = line.split()
                if first == "section":
                    pairs = (item.split("=") for item in rest)
                    sections.append(Section({name: int(value) for name, value in pairs}, []))
                else:
                    sections[-1].executed.append((int(first, 16), int(rest[0], 16)))
        return sections
