# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""The objects that are proven: the sources, assembled in each way that changes their code, and linked."""

import dataclasses
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "hardening"))

from architecture import ARCHITECTURES  # noqa: E402
from image import BASE, OUTSIDE, Image  # noqa: E402
from switch import WEFT  # noqa: E402
from toolchain import ASSEMBLY, ROOT, Toolchain, run  # noqa: E402,F401

TOOLS = {"aarch64": "aarch64-linux-gnu-", "x86_64": ""}
# As CMake compiles them (CMakePresets.json); of these flags the assembly only sees those of a variant.
FLAGS = ["-O2", "-g1", "-DNDEBUG"]
SHADOW_CALL_STACK = ["-fsanitize=shadow-call-stack", "-ffixed-x18", "-fno-exceptions", "-DWEFT_SHADOW_CALL_STACK=1"]


@dataclasses.dataclass(frozen=True)
class Variant:
    architecture: str
    name: str
    flags: tuple
    promises: dict

    def implementation(self):
        frame, suffix = ARCHITECTURES[self.architecture].frame, ""
        if self.promises.get("shadow_call_stack"):
            frame, suffix = frame + 16, "_with_shadow_call_stack"
        names = {function: getattr(WEFT, function) + suffix for function in ("make", "jump", "ontop")}
        return dataclasses.replace(WEFT, frame=frame, **names, **self.promises)


def variants():
    protected, both = {"pads": True, "signs": True}, "-mbranch-protection=standard"
    link = "-DWEFT_LINKS_BACKTRACES=1"
    yield Variant("aarch64", "plain", ("-mbranch-protection=none",), {})
    yield Variant("aarch64", "BTI", ("-mbranch-protection=bti",), {"pads": True})
    yield Variant("aarch64", "PAC and BTI", (both,), protected)
    yield Variant("aarch64", "PAC and BTI, linked backtraces", (both, link), {**protected, "links": True})
    yield Variant("aarch64", "shadow call stack", tuple(SHADOW_CALL_STACK), {"shadow_call_stack": True})
    yield Variant(
        "aarch64",
        "shadow call stack, PAC and BTI",
        (*SHADOW_CALL_STACK, both),
        {**protected, "shadow_call_stack": True},
    )
    yield Variant("x86_64", "plain", ("-fcf-protection=none",), {})
    yield Variant("x86_64", "IBT", ("-fcf-protection=branch",), {"pads": True})
    yield Variant("x86_64", "IBT, linked backtraces", ("-fcf-protection=full", link), {"pads": True, "links": True})


def folder_of(variant, folder):
    return pathlib.Path(folder) / variant.architecture / variant.name.replace(" ", "-").replace(",", "")


def compiler(architecture):
    return [TOOLS[architecture] + "g++"]


def toolchain(variant, folder):
    return Toolchain(compiler(variant.architecture), folder, [*FLAGS, *variant.flags])


def link(architecture, objects, target, base=BASE):
    """A program at a fixed address, with call frame information that is relocated; nobody runs it."""
    run(
        [
            TOOLS[architecture] + "ld",
            "-static",
            "-e",
            "0",
            f"-Ttext={base:#x}",
            f"-Ttext-segment={base - 0x80000:#x}",
            *(f"--defsym={name}={address:#x}" for name, address in OUTSIDE.items()),
            *objects,
            "-o",
            target,
        ]
    )
    return Image(ARCHITECTURES[architecture], target)


def assemble(variant, folder, source=None):
    """The linked switch of one variant; `source`: a changed copy of the assembly."""
    folder = folder_of(variant, folder)
    switch = toolchain(variant, folder).compile(source or ROOT / ASSEMBLY[variant.architecture], "switch")
    return link(variant.architecture, [switch], folder / "switch")
