#!/usr/bin/env python3
# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Plants mistakes in a copy of README.md, one at a time: readmes.py must find each, and nothing without it."""

import pathlib
import sys
import tempfile

import readmes

PROGRAMS = ("test/example/readme.cpp", "test/example/expat_await.cpp")

# The text of README.md, what is put in its place, what must be said.
MISTAKES = [
    ("```cpp", "```", "has no language"),
    ("```cpp", "```rust", "blocks of the language rust"),
    ("int v[] = {5, 3, 9, 1, 7};", "int v[] = {5, 3, 9, 1, 8};", "no file that is compiled contains this"),
    ("return v[2];\n", "return v[2]; \n", "no file that is compiled contains this"),
    ("the median is 5\n", "the median is 7\n", "readme.expected.txt: copy it"),
    ("test/run   ", "test/rum   ", "there is no test/rum"),
    ("test/run   ", "test/run everythin   ", "test/run has no sub-command everythin"),
    ("test/run   ", "test/run --fast   ", "test/run --help does not name --fast"),
    ("bench/run   ", "bench/run arm   ", "bench/run has no sub-command arm"),
    ("bench/run   ", "bench/run --quickly   ", "bench/run --help does not name --quickly"),
    ("bench/run   ", "bench/run aarch64 --lists   ", "bench/run --help does not name --lists"),
    ("bench/run   ", "cmake --preset nativ   ", "no configure preset nativ"),
    ("bench/run   ", "cmake --build --preset=nativ   ", "no build preset nativ"),
    ("bench/run   ", "ctest --preset nativ   ", "no test preset nativ"),
    ("bench/run   ", "cmake -S . -B build/x -DWEFT_SWICH=native   ", "no CMake file uses WEFT_SWICH"),
    ("-DBUILD_TESTING=OFF", "-DBUILD_TESTIN=OFF", "no CMake file uses BUILD_TESTIN"),
    ("bench/run   ", "conan create conan --profile:all conan/profiles/icc   ", "there is no conan/profiles/icc"),
    ("bench/run   ", "make install   ", "there is no make"),
    ("--libs weft)", "--libs waft)", "no pkg-config file waft.pc"),
    ("-std=c++20 app.cpp", "app.cpp", "weft needs -std=c++20"),
    ("find_package(weft 0.1 REQUIRED)", "find_package(weft 0.1 COMPONENTS asoi)", "no project of test/package contains"),
    ("`test/run demo`", "`test/run dmeo`", "test/run has no sub-command dmeo"),
    ("`WEFT_VALGRIND`", "`WEFT_VALGRINT`", "nothing is called WEFT_VALGRINT"),
    ("doxygen lib/doc/Doxyfile", "doxygen doc/Doxyfile", "there is no doc/Doxyfile"),
    ("](lib/README.md)", "](lib/READMI.md)", "leads nowhere: lib/READMI.md"),
    ("](bench/README.md#why)", "](bench/README.md#whence)", "bench/README.md has no heading #whence"),
    ("](include/weft/switch.hpp)", "](include/weft/stack.hpp)", "include/weft/switch.hpp is not among the headers"),
    ("\n## Limits\n", "\n## Limits\n\n    weft::fiber f;\n", "a block by indentation"),
    ("\n## Limits\n", "\n## Limits\n\n```sh\n", "(never ends)"),
    ("| round trip flat | ", "| round trip flat | 1", "not the figures of bench/README.md"),
    ("<!-- figures: ", "<!-- figure: ", "there is no table of figures"),
]


def tree(folder, page):
    """The project with another README.md; of its own pages only that one is looked at."""
    for entry in readmes.ROOT.iterdir():
        if entry.name not in readmes.SKIPPED | {"README.md"} and entry.suffix != ".md":
            (folder / entry.name).symlink_to(entry)
    (folder / "README.md").write_text(page)
    return folder


def complaints(page):
    with tempfile.TemporaryDirectory() as name:
        root = tree(pathlib.Path(name).resolve(), page)
        checker = readmes.Checker(root)
        checker.compiled = {root / program: (root / program).read_text() for program in PROGRAMS}
        checker.names = NAMES
        return checker.check()


def main():
    page = (readmes.ROOT / "README.md").read_text()
    wrong = [f"without a mistake: {c}" for c in complaints(page)]
    for right, mistake, expected in MISTAKES:
        if right not in page:
            wrong.append(f"README.md does not contain {right!r} any more: choose another place for the mistake")
            continue
        found = complaints(page.replace(right, mistake, 1))
        if not any(expected in c for c in found):
            wrong.append(f"{mistake!r} instead of {right!r}: not found. Said: {found}")
    for sentence in wrong:
        print(sentence)
    print(f"{len(MISTAKES)} mistakes planted")
    return 1 if wrong else 0


NAMES = readmes.Checker(readmes.ROOT).known_names()

if __name__ == "__main__":
    sys.exit(main())
