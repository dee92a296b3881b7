# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Compiles weft by hand, for checks that change its text or read its objects."""

import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIBRARY = [str(source.relative_to(ROOT)) for part in ("fiber", "bridge", "stack")
           for source in sorted((ROOT / "lib" / part).glob("*.cpp"))] + [
               "lib/switch/control_block.cpp", "lib/switch/shadow_stack.cpp", "lib/switch/thread_state.S"]
INLINE_SWITCH = {"aarch64": "include/weft/detail/switch_aarch64.hpp", "x86_64": "include/weft/detail/switch_x86_64.hpp"}
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
