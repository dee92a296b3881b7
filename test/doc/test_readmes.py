#!/usr/bin/env python3
# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Plants mistakes in a copy of README.md and of the pages of the code, one at a time: readmes.py must find each, and
nothing without it."""

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
    ("| round trip flat | ", "| round trip flat | 1", "not the figures of bench/record.md"),
    ("<!-- figures: ", "<!-- figure: ", "there is no table of figures"),
]

# The same of the pages of the code.
CODE_MISTAKES = {
    "lib/README.md": [
        ("`lib/stack/arenas.h`", "`lib/stack/arena.h`", "there is no lib/stack/arena.h"),
        ("`control_block`", "`context_block`", "nothing is called context_block"),
        ("`fiber_record::progress`", "`fiber_record::magazine`", "nothing is called fiber_record::magazine"),
        ("`make_control_block()`", "`make_context_block()`", "nothing is called make_context_block()"),
        ("`take_cached_fiber()`: if", "`open_cache()`: if", "has named no file with open_cache()"),
        ("| 2 | `switch` |", "| 2 | `machine` |", "not that of test/layers.py"),
        ("`await` `stackful`", "`await`", "not that of test/layers.py"),
        ("| 4 | `stack` |", "| 3 | `stack` |", "not that of test/layers.py"),
    ],
    ".github/CONTRIBUTING.md": [
        ("| `lib/switch/shadow_stack.cpp` |", "| `lib/switch/frame.cpp` |", "shadow_stack.cpp asks which processor"),
        ("`lib/gdb/weft_lldb.py` | the names", "`lib/gdb/weft.py` | the names", "weft_lldb.py asks which processor"),
        ("`lib/switch/<architecture>.S` | make", "`lib/switch/new_<architecture>.S` | make", "there is no lib/switch/new_"),
    ],
}


def tree(folder, page, text):
    """The project with another text of a page. Of the others only README.md is looked at."""
    for entry in readmes.ROOT.iterdir():
        if entry.name not in readmes.SKIPPED | {page.parts[0]} and entry.suffix != ".md":
            (folder / entry.name).symlink_to(entry)
    if len(page.parts) > 1:
        (folder / page.parent).mkdir()
        (folder / "README.md").symlink_to(readmes.ROOT / "README.md")
        for entry in (readmes.ROOT / page.parent).iterdir():
            if entry.name != page.name:
                (folder / page.parent / entry.name).symlink_to(entry)
    (folder / page).write_text(text)
    return folder


def complaints(text, page="README.md"):
    with tempfile.TemporaryDirectory() as name:
        root = tree(pathlib.Path(name).resolve(), pathlib.Path(page), text)
        checker = readmes.Checker(root)
        checker.compiled = {root / program: (root / program).read_text() for program in PROGRAMS}
        checker.names, checker.texts, checker.words_in = NAMES, TEXTS, WORDS
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
    for name, mistakes in CODE_MISTAKES.items():
        page = (readmes.ROOT / name).read_text()
        wrong += [f"without a mistake: {c}" for c in complaints(page, name)]
        for right, mistake, expected in mistakes:
            if right not in page:
                wrong.append(f"{name} does not contain {right!r} any more: choose another place for the mistake")
                continue
            found = complaints(page.replace(right, mistake), name)
            if not any(expected in c for c in found):
                wrong.append(f"{mistake!r} instead of {right!r} in {name}: not found. Said: {found}")
    for sentence in wrong:
        print(sentence)
    print(f"{len(MISTAKES) + sum(map(len, CODE_MISTAKES.values()))} mistakes planted")
    return 1 if wrong else 0


PROJECT = readmes.Checker(readmes.ROOT)
NAMES, TEXTS, WORDS = PROJECT.known_names(), PROJECT.code_texts(), PROJECT.words_of_files()

if __name__ == "__main__":
    sys.exit(main())
