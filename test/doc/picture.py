#!/usr/bin/env python3
# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""picture.py PROGRAM [--gdb GDB]

README.md shows what `weft-backtrace all` prints of the example qsort_await while its thread waits in the loop. Checks
that it does: line by line, but for addresses, the numbers of frames, the folders of sources and the lines of weft's own.
And that `info weft-fibers` names the program's own function, not Asio's. In README.md a line ... stands for any number of
frames, and ... in a line for any text."""

import argparse
import pathlib
import re
import subprocess
import sys

PAGE = pathlib.Path(__file__).resolve().parents[2] / "README.md"
COMMAND = "weft-backtrace all"


def shown():
    blocks = re.findall(rf"^```text\n\(gdb\) {COMMAND}\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    if len(blocks) != 1:
        sys.exit(f"README.md shows {COMMAND} {len(blocks)} times")
    return blocks[0].splitlines()


def printed(gdb, program):
    """Without the C library's own debug information, which not every machine has."""
    commands = ["set debuginfod enabled off", "set width 0", "break epoll_wait", "run", "info weft-fibers",
                f"echo {COMMAND}\\n", COMMAND]
    settings = ["-iex", "set auto-load safe-path /", "-iex", "set debug-file-directory /none"]
    words = [gdb, "--batch", "-nx", *settings, *(word for command in commands for word in ("-ex", command)), program]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, timeout=100)
    if done.returncode != 0 or f"{COMMAND}\n" not in done.stdout:
        sys.exit(f"gdb ended with {done.returncode}:\n{done.stdout}")
    listed, _, walked = done.stdout.partition(f"{COMMAND}\n")
    if len(re.findall(r"^\d+ .*suspended in judge \(\) at \S*qsort_await.cpp:\d+$", listed, re.MULTILINE)) != 3:
        sys.exit(f"info weft-fibers does not say that three bodies wait in judge():\n{listed}")
    return walked.splitlines()


def comparable(line):
    line = re.sub(r"\b0x[0-9a-f]+", "0x", line)
    line = re.sub(r"^  #\d+ +", "  # ", line)
    line = re.sub(r"\bat (\S*/)?(\S+:\d+)$", r"at \2", line)
    return re.sub(r"\bat fiber\.cpp:\d+$", "at fiber.cpp", line)


def pattern(line):
    if line.strip() == "...":
        return r"(  .*\n)*"
    return re.escape(comparable(line)).replace(r"\.\.\.", ".*") + r"\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--gdb", default="gdb")
    arguments = parser.parse_args()
    lines, actual = shown(), printed(arguments.gdb, arguments.program)
    text = "".join(comparable(line) + "\n" for line in actual)
    if re.fullmatch("".join(map(pattern, lines)), text):
        return 0
    print(f"README.md does not show what {COMMAND} prints of {arguments.program}:", *actual, sep="\n")
    for count in range(len(lines), 0, -1): # the first line that is wrong
        if re.match("".join(map(pattern, lines[:count - 1])), text):
            print(f"\nIn README.md this is not so: {lines[count - 1]}")
            break
    return 1


if __name__ == "__main__":
    sys.exit(main())
