# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Runs known_counts.S under the plugin: every count must be what a reader of that file counts."""

import argparse
import sys

import emulate


def nested(calls):
    """nested_calls: two instructions, six in each function of the chain, but for the last one, which skips its call."""
    return dict(instructions=2 + 6 * calls - 1, loads=calls, stores=calls)


EXPECTED = [
    ("nothing", dict(instructions=0, loads=0, stores=0, misses_16=0, misses_32=0)),
    ("loads and stores", dict(instructions=13, loads=5, stores=6, misses_16=0, misses_32=0)),
    ("calls and a branch", dict(instructions=7, loads=0, stores=0, misses_16=0, misses_32=0)),
    ("a return elsewhere", dict(instructions=3, loads=0, stores=0, misses_16=1, misses_32=1)),
    ("a call left by a branch", dict(instructions=8, loads=0, stores=0, misses_16=1, misses_32=1)),
    ("16 calls", dict(**nested(16), misses_16=0, misses_32=0)),
    ("17 calls", dict(**nested(17), misses_16=1, misses_32=0)),
    ("32 calls", dict(**nested(32), misses_16=16, misses_32=0)),
    ("33 calls", dict(**nested(33), misses_16=17, misses_32=1)),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plugin", required=True)
    parser.add_argument("--program", required=True)
    arguments = parser.parse_args()

    sections = emulate.trace(arguments.plugin, [arguments.program])
    wrong = 0 if len(sections) == len(EXPECTED) else 1
    print(f"{len(sections)} sections of {len(EXPECTED)}")
    for (title, expected), section in zip(EXPECTED, sections):
        good = section.counts == expected and len(section.executed) == expected["instructions"]
        wrong += not good
        print(f"{title}: {'as expected' if good else f'WRONG: {section.counts}, expected {expected}'}")
    return int(wrong != 0)


if __name__ == "__main__":
    sys.exit(main())
