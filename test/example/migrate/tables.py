# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).

"""Fails unless every line in the tables of README.md is a line of the program that its section names: on the left one
between `// before` and `// end`, on the right one between `// after` and `// end`. Where a program has no lines before,
the section must say that those on the left were not compiled."""

import pathlib
import re
import sys

folder = pathlib.Path(__file__).parent
wrong = []
compared = 0


def marked(program, mark):
    part = re.search(rf"^ *// {mark}\n(.*?)^ *// end\n", program, re.DOTALL | re.MULTILINE)
    return {line.strip() for line in part[1].splitlines()} if part else None


for section in re.split(r"^## ", (folder / "README.md").read_text(), flags=re.MULTILINE)[1:]:
    name = re.search(r"\]\((\w+\.cpp)\)", section.splitlines()[0])[1]
    program = (folder / name).read_text()
    before, after = marked(program, "before"), marked(program, "after")
    if before is None and "were not compiled here" not in " ".join(section.split()):
        wrong.append(f"{name} has no lines before, and its section does not say that they were not compiled")
    for row in re.findall(r"^\| (`.*) \| (`.*) \|$", section, re.MULTILINE):
        for cell, lines in zip(row, (before, after)):
            for line in re.findall(r"`([^`]+)`", cell) if lines is not None else []:
                compared += 1
                if line not in lines:
                    wrong.append(f"{name} has no line: {line}")
    if not re.search(r"^\| `", section, re.MULTILINE):
        wrong.append(f"the section of {name} has no table")

print(*wrong, f"{compared} lines compared", sep="\n")
sys.exit(bool(wrong))
