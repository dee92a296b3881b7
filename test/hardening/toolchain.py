# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Compiles weft by hand, for checks that change its text or read its objects."""

import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIBRARY = [str(source.relative_to(ROOT)) for part in ("bridge", "debug", "fiber", "stack", "thread")
           for source in sorted((ROOT / "lib" / part).glob("*.cpp"))] + [
               "lib/switch/control_block.cpp", "lib/switch/shadow_stack.cpp", "lib/switch/thread_state.S"]
INLINE_SWITCH = {architecture: f"include/weft/detail/switch/inline_switch_{architecture}.hpp"
                 for architecture in ("aarch64", "x86_64")}
ASSEMBLY = {"aarch64": "lib/switch/aarch64.S", "x86_64": "lib/switch/x86_64.S"}


class BuildError(Exception):
    pass


def run(command, timeout=300):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout, check=False,
                          stdin=subprocess.DEVNULL, errors="replace")
    if done.returncode != 0:
        raise BuildError(" ".join(str(word) for word in command) + "\n" + done.stdout + done.stderr)
    return done.stdout


class Toolchain:
    def __init__(self, cxx, folder, flags=(), link=()):
        self.cxx = list(cxx)
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.flags = list(flags)
        self.link_flags = list(link)

    def compile(self, source, name=None, headers=None, flags=()):
        """The object of one source; `headers`: a folder that is searched before weft's own, for changed copies."""
        source = ROOT / source
        target = self.folder / ((name or source.name.replace(".", "_")) + ".o")
        include = ["-I", headers] if headers else []
        run([*self.cxx, *self.standard(source), *self.flags, *flags, *include, "-I", ROOT / "include",
             "-I", ROOT / "lib/switch", "-c", source, "-o", target])
        return target

    def library(self):
        """The objects of the library without its switch: the sources of C++ are compiled as one, in a third of the time."""
        whole = self.folder / "whole.cpp"
        whole.write_text("".join(f'#include "{ROOT / source}"\n' for source in LIBRARY if source.endswith(".cpp")),
                         encoding="utf-8")
        return [self.compile(whole), *(self.compile(source) for source in LIBRARY if source.endswith(".S"))]

    @staticmethod
    def standard(source):
        return ["-std=c++20"] if source.suffix == ".cpp" else []

    def link(self, objects, name):
        target = self.folder / name
        run([*self.cxx, *self.flags, *self.link_flags, *objects, "-o", target, "-pthread"])
        return target


def changed_header(folder, relative, text):
    """A folder to give as `headers`, in which only this header is another one."""
    target = pathlib.Path(folder) / "headers" / pathlib.Path(relative).relative_to("include")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return pathlib.Path(folder) / "headers"
