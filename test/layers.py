#!/usr/bin/env python3
# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""layers.py [ROOT]

Each file of the library includes only what stands in its own layer or in a lower one. The layers are folders of
include/weft/detail and of lib; the public headers, which have no folder, are listed here. Fails on an include that looks
up, on a file that is in no layer, on a write of a fiber's state outside of fiber_state.hpp, and on a macro that has the name
of an option of CMake's."""

import argparse
import pathlib
import re
import sys

# The folder of a layer, below include/weft/detail or lib: its rank. Adapters do not include each other.
RANKS = {"base": 1, "switch": 2, "fcontext": 3, "thread": 3, "stack": 4, "fiber": 5, "bridge": 6, "asio": 7, "senders": 7,
         "debug": 8}
# The public headers of a layer.
PUBLIC = {
    "base": {"version"},
    "switch": {"switch"},
    "stack": {"stack"},
    "fiber": {"exception_detour", "fiber", "fiber_context", "fp_env", "generator", "migration", "stack_overflow"},
    "bridge": {"await", "stackful", "stop_token", "task"},
    "asio": {"asio", "standalone_asio"},
    "senders": {"senders"},
}
# All assembly is in one folder, as projects that compile weft by hand name it: this file is of the layer above.
ELSEWHERE = {"switch/thread_state.S": "thread"}
# What only this file writes: the state of a fiber.
STATE = "include/weft/detail/fiber/fiber_state.hpp"
WRITES_STATE = re.compile(r"[\w)\]](?:\.|->)(?:state|progress) *[|&^]?=(?!=)|\bset_tags\(")
EVERYTHING = "weft.hpp"  # includes all that needs no other library; included by none
LAYER_OF = {f"{name}.hpp": layer for layer, names in PUBLIC.items() for name in names}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
OPTION = re.compile(r"\boption\((WEFT_\w+)|\bset\((WEFT_\w+)[^()]*(?:\([^()]*\)[^()]*)*\bCACHE\b")
MACRO = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(WEFT_\w+)", re.MULTILINE)
SUFFIXES = {".hpp", ".h", ".cpp", ".S"}


def layer_of(path):
    """Of a path below include/weft or lib; None if it is in none."""
    parts = path.parts
    if path.as_posix() in ELSEWHERE:
        return ELSEWHERE[path.as_posix()]
    if parts[0] == "detail":
        parts = parts[1:]
    elif len(parts) == 1:
        return LAYER_OF.get(parts[0])
    return parts[0] if len(parts) > 1 and parts[0] in RANKS else None


def included(root, source, quote, name):
    """The path, below include/weft or lib, of what a file includes; None if it is none of weft's."""
    if quote == "<":
        return pathlib.Path(name.removeprefix("weft/")) if name.startswith("weft/") else None
    target = (source.parent / name).resolve()
    return target.relative_to(root / "lib") if target.is_relative_to(root / "lib") else None


def options(root):
    """The options that a build of weft has."""
    files = [root / "CMakeLists.txt", *root.glob("lib/**/CMakeLists.txt"), *root.glob("test/CMakeLists.txt")]
    return {name for file in files for names in OPTION.findall(file.read_text(encoding="utf-8")) for name in names if name}


def faults_of(root, source, base):
    path = source.relative_to(base)
    where = source.relative_to(root)
    if base.name == "weft" and path.name == EVERYTHING and len(path.parts) == 1:
        return
    layer = layer_of(path)
    if not layer:
        yield f"{where}: is in no layer: put it into the folder of one, or into the table of test/layers.py"
        return
    text = source.read_text(encoding="utf-8")
    if RANKS[layer] > RANKS["switch"] and str(where) != STATE:
        for number, line in enumerate(text.splitlines(), 1):
            if WRITES_STATE.search(line):
                yield f"{where}:{number}: writes the state of a fiber, which only the functions of {STATE} do"
    for name in sorted(options(root) & set(MACRO.findall(text))):
        yield f"{where}: the macro {name} has the name of an option of CMake's"
    for quote, name in INCLUDE.findall(text):
        target = included(root, source, quote, name)
        if not target:
            continue
        other = "everything" if target.name == EVERYTHING and len(target.parts) == 1 else layer_of(target)
        if not other:
            yield f"{where}: includes {name}, which is in no layer"
        elif other != layer and RANKS.get(other, 99) >= RANKS[layer]:
            yield f"{where}: looks up: the layer `{layer}` includes {name}, of `{other}`"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[1])
    root = parser.parse_args().root.resolve()
    files, faults = 0, []
    for base in (root / "include/weft", root / "lib"):
        for source in sorted(base.rglob("*")):
            if source.suffix in SUFFIXES:
                files += 1
                faults += faults_of(root, source, base)
    if not files:
        faults.append(f"{root} has no file of weft's")
    if faults:
        sys.exit("FAILED: " + "\n        ".join(faults))
    print(f"{files} files include only what stands in their layer or below")


if __name__ == "__main__":
    main()
