# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""profile.py PERF PROGRAM [--linked]

Lets perf look at PROGRAM (profile.cpp) and reads the paths that it saw: from what is calculated to the fiber's body and its
entry; there they must end, or go on to main with a library that was built with WEFT_LINK_BACKTRACES."""

import argparse
import pathlib
import subprocess
import sys
import tempfile

SKIPPED = 77
LEAST = 20  # samples; half a second has a thousand or more


def run(*command):
    return subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False, timeout=100, errors="replace")


def paths(perf, data):
    """Of each sample the names of the functions, the innermost first."""
    listing = run(perf, "script", "--input", data, "--fields", "ip,sym").stdout
    for sample in listing.split("\n\n"):
        yield [line.split(None, 1)[1] for line in sample.splitlines() if len(line.split(None, 1)) == 2]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("perf")
    parser.add_argument("program")
    parser.add_argument("--linked", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weft-profile") as folder:
        data = pathlib.Path(folder, "data")
        done = run(arguments.perf, "record", "--quiet", "--event", "cpu-clock:u", "--freq", "2000", "--call-graph", "fp",
                   "--output", data, arguments.program)
        if done.returncode != 0:
            print(f"perf cannot look at programs here:\n{done.stderr}")
            return SKIPPED
        seen = [path for path in paths(arguments.perf, data) if path and path[0] == "calculate"]
    if len(seen) < LEAST:
        print(f"WRONG: perf saw the calculation {len(seen)} times")
        return 1
    wrong = 0
    for path in seen:
        below = path[:1] == ["calculate"] and "body_of_fiber" in path
        if arguments.linked:
            right = below and "weft_fiber_entry" in path and "main" in path[path.index("weft_fiber_entry"):]
            right = right and path.index("resume_the_fiber") < path.index("main")
        else:
            right = below and path[-1] == "weft_fiber_entry"
        if not right:
            wrong += 1
            if wrong == 1:
                print("WRONG:", " <- ".join(path))
    print(f"{len(seen)} samples, {wrong} of them wrong")
    return 1 if wrong * 50 > len(seen) else 0  # one may fall between a function's first instructions


if __name__ == "__main__":
    sys.exit(main())
