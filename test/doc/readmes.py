#!/usr/bin/env python3
# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Checks what the project's pages (*.md) show.

cpp      a block is a piece, whole lines, of a .cpp file that BUILD compiles
cmake    each line stands in a CMakeLists.txt of test/package
sh       each command exists: script, sub-command, option, preset, CMake variable, file; inline code that begins with a
         script, or with one of a few programs and its arguments, likewise
text     what a program prints, if it follows a cpp block: the program's .expected.txt; else a picture
links    relative ones resolve, with their #heading
headers  README.md links to each public one; weft/weft.hpp includes each that adapts no other library
figures  the table in README.md has the figures of the last run in bench/README.md; --update copies them

The exit code is 1 when something is wrong.
"""

import argparse
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = {".git", "build"}

SCRIPTS = {  # script: where its sub-commands are functions called command_<name>
    "test/run": "test/run",
    "bench/run": "bench/run",
    "bench/aarch64/run": None,
    "conan/run": None,
}
WORKS = [  # of the benchmarks, for the table in README.md
    "round trip flat",
    "round trip below three calls",
    "generator element",
    "create run destroy pooled",
    "random order, 10,000 coroutines",
]
PEERS = ["weft::fiber", "weft::stackful", "weft::generator", "boost::context::fiber", "boost::coroutines2",
         "boost::asio::spawn", "swapcontext", "plain coroutine"]
ADAPTERS = {"asio.hpp", "standalone_asio.hpp", "senders.hpp"}
FIGURES = re.compile(r"<!-- figures: (\w+) in (\S+) -->\n(.*?)<!-- end of figures -->\n", re.DOTALL)


class Block:
    def __init__(self, language, line, text):
        self.language, self.line, self.text = language, line, text


def blocks_of(page):
    """The fenced blocks, and the lines outside of them as (number, line)."""
    blocks, outside, fence = [], [], None
    for number, line in enumerate(page.splitlines(), 1):
        mark = re.match(r" *(```+|~~~+)\s*(\S*)", line)
        if fence and mark and mark[1] == fence and not mark[2]:
            blocks.append(Block(language, begin, "".join(f"{l}\n" for l in lines)))
            fence = None
        elif fence:
            lines.append(line)
        elif mark:
            fence, language, begin, lines = mark[1], mark[2], number, []
        else:
            outside.append((number, line))
    if fence:
        blocks.append(Block("(never ends)", begin, ""))
    return blocks, outside


def slug(heading):
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def without_comment(line):
    return re.sub(r"(^|\s)#.*", "", line).strip()


def words_of(command):
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()


class Checker:
    def __init__(self, root, built=None):
        self.root = root
        self.compiled = self.find_compiled(built)
        self.wrong = []
        presets = json.loads((root / "CMakePresets.json").read_text())
        self.presets = {kind: {p["name"] for p in presets.get(f"{kind}Presets", []) if not p.get("hidden")}
                        for kind in ("configure", "build", "test")}
        cmake = "".join(p.read_text() for p in [root / "CMakeLists.txt", *root.glob("*/CMakeLists.txt"),
                                                *root.glob("lib/cmake/*.cmake*"), root / "CMakePresets.json"])
        self.variables = set(re.findall(r"\b(?:BUILD_SHARED_LIBS|BUILD_TESTING|CMAKE_[A-Z_]+|WEFT_[A-Z_]+)\b", cmake))
        self.helps = {}

    def find_compiled(self, built):
        """The C++ files of the build: path -> text."""
        if built is None:
            return {}
        commands = json.loads((pathlib.Path(built) / "compile_commands.json").read_text())
        files = {pathlib.Path(c["directory"], c["file"]).resolve() for c in commands}
        return {f: f.read_text() for f in sorted(files) if f.suffix == ".cpp" and self.root in f.parents}

    def pages(self):
        for path in sorted(self.root.rglob("*.md")):
            if not SKIPPED & set(path.relative_to(self.root).parts):
                yield path

    def say(self, page, line, sentence):
        self.wrong.append(f"{page.relative_to(self.root)}:{line}: {sentence}")

    def check(self):
        for page in self.pages():
            text = page.read_text()
            blocks, outside = blocks_of(text)
            source = None
            for block in blocks:
                source = self.check_block(page, block, source)
            before = ""
            for number, line in outside:
                self.check_line(page, number, line)
                if not before.strip() and re.match(r"(    |\t)\s*[^\s-]", line):
                    self.say(page, number, "a block by indentation: put it between ``` with its language")
                before = line
        self.check_headers()
        self.check_figures()
        return self.wrong

    def check_headers(self):
        page, everything = self.root / "README.md", self.root / "include/weft/weft.hpp"
        links = set(re.findall(r"\]\((include/[^)]*)\)", page.read_text()))
        included = set(re.findall(r"# *include <weft/(\w+\.hpp)>", everything.read_text()))
        for header in sorted((self.root / "include/weft").glob("*.hpp")):
            if f"include/weft/{header.name}" not in links:
                self.say(page, 1, f"include/weft/{header.name} is not among the headers")
            if (header.name in included) == (header.name in ADAPTERS | {everything.name}):
                self.say(everything, 1, f"{header.name} must be included if it adapts no other library, else not")

    def check_block(self, page, block, source):
        """Returns the file of a cpp block, whose output may follow."""
        match block.language:
            case "cpp":
                return self.check_cpp(page, block)
            case "text":
                expected = source and source.with_suffix(".expected.txt")
                if expected and not expected.exists():
                    self.say(page, block.line, f"no test compares the output of {source.relative_to(self.root)}")
                elif expected and expected.read_text() != block.text:
                    self.say(page, block.line, f"this is not {expected.relative_to(self.root)}: copy it")
            case "sh":
                for number, line in enumerate(block.text.replace("\\\n", " \0").split("\n"), block.line + 1):
                    command = without_comment(line.replace("\0", " "))
                    if command:
                        self.check_command(page, number, command)
            case "cmake":
                self.check_cmake(page, block)
            case "":
                self.say(page, block.line, "this block has no language: cpp, cmake, sh or text")
            case other:
                self.say(page, block.line, f"nothing checks blocks of the language {other}: cpp, cmake, sh or text")
        return None

    def check_cpp(self, page, block):
        if not block.text.strip():
            self.say(page, block.line, "an empty block")
            return None
        for path, text in self.compiled.items():
            if f"\n{block.text}" in f"\n{text}":
                return path
        if self.compiled:
            self.say(page, block.line, "no file that is compiled contains this: copy it from an example or a test")
        return None

    def check_cmake(self, page, block):
        shown = "\n".join(p.read_text() for p in self.root.glob("test/package/*/CMakeLists.txt"))
        known = {normal(without_comment(l)) for l in shown.splitlines()}
        for number, line in enumerate(block.text.splitlines(), block.line + 1):
            line = without_comment(line)
            if line and normal(line) not in known:
                self.say(page, number, f"no project of test/package contains this: {line}")

    def check_command(self, page, line, command):
        if "$(" in command:
            inner = re.findall(r"\$\(([^)]*)\)", command)
            for c in inner:
                self.check_command(page, line, c)
            command = re.sub(r"\$\([^)]*\)", "", command)
        words = words_of(command)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)
        if not words:
            return
        program, arguments = words[0].removeprefix("./"), words[1:]
        if program in SCRIPTS:
            self.check_script(page, line, program, arguments)
        elif program in ("cmake", "ctest"):
            self.check_cmake_command(page, line, program, arguments)
        elif program == "conan":
            self.check_paths(page, line, [a for a in arguments if "/" in a])
            if arguments[:1] != ["create"] or not (self.root / "conan/conanfile.py").exists():
                self.say(page, line, f"conan/run does not do this: {command}")
        elif program == "pkg-config":
            for package in [a for a in arguments if not a.startswith("-")]:
                if not (self.root / f"lib/{package}.pc.in").exists():
                    self.say(page, line, f"there is no pkg-config file {package}.pc")
        elif program in ("c++", "g++", "clang++"):
            if "-std=c++20" not in arguments:
                self.say(page, line, "weft needs -std=c++20")
        elif program in ("doxygen", "python3", "gdb", "gdb-multiarch", "qemu-aarch64"):
            self.check_paths(page, line, [a for a in arguments if "/" in a and not a.startswith(("-", "build/"))])
        elif "/" in program and (self.root / program).is_file():
            pass
        else:
            self.say(page, line, f"there is no {program}")

    def check_script(self, page, line, script, arguments):
        path = self.root / script
        if not path.is_file() or not path.stat().st_mode & 0o100:
            self.say(page, line, f"there is no script {script}")
            return
        sub, options = arguments[:1], arguments
        if sub and re.fullmatch(r"[a-z_]+", sub[0]) and SCRIPTS[script]:
            if not re.search(rf"^command_{sub[0]}\(\)", path.read_text(), re.MULTILINE):
                self.say(page, line, f"{script} has no sub-command {sub[0]}")
                return
        elif sub and re.fullmatch(r"[a-z_]+", sub[0]):
            self.say(page, line, f"{script} has no sub-commands")
        for option in options:
            if option.startswith("--") and option != "--help" and option.split("=")[0] not in self.help_of(script, sub):
                self.say(page, line, f"{script} --help does not name {option}")

    def help_of(self, script, sub):
        """What its --help says, and that of the script or program that the sub-command hands its options to."""
        if script not in self.helps:
            self.helps[script] = subprocess.run([self.root / script, "--help"], capture_output=True, text=True,
                                                timeout=60).stdout if script != "conan/run" else ""
        more = {"aarch64": "bench/aarch64/run", "mutation": "test/mutation/mutate.py",
                "demo": "test/example/unpack/options.hpp", "equivalence": "test/lib/equivalence.sh",
                "soak": "test/soak/soak.cpp"}.get(*sub or [""])
        text = self.helps[script] + ((self.root / more).read_text() if more else "")
        return set(re.findall(r"--[a-z][a-z-]*", text))

    def check_cmake_command(self, page, line, program, arguments):
        kind = "test" if program == "ctest" else "build" if "--build" in arguments else "configure"
        for index, word in enumerate(arguments):
            name = word.partition("=")[2] if word.startswith("--preset=") else None
            if word == "--preset":
                name = (arguments[index + 1:] or [""])[0]
            if name is not None and name not in self.presets[kind]:
                self.say(page, line, f"CMakePresets.json has no {kind} preset {name}")
            variable = re.match(r"-D(\w+)", word)
            if variable and variable[1] not in self.variables:
                self.say(page, line, f"no CMake file uses {variable[1]}")

    def check_paths(self, page, line, paths):
        for path in paths:
            if not (self.root / path).exists():
                self.say(page, line, f"there is no {path}")

    def check_line(self, page, number, line):
        for code in re.findall(r"`([^`]+)`", line):
            first = words_of(code)[0] if words_of(code) else ""
            if first in SCRIPTS or (first in ("cmake", "ctest", "conan", "doxygen", "python3") and " " in code):
                self.check_command(page, number, code)
            for variable in re.findall(r"\bWEFT_[A-Z_]+\b", code):
                if variable not in self.known_names():
                    self.say(page, number, f"nothing is called {variable}")
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", lambda m: "x" * len(m[0]), line)):
            self.check_link(page, number, target)

    def known_names(self):
        if not hasattr(self, "names"):
            files = [p for folder in ("include", "lib", "test", "bench", "conan") for p in (self.root / folder).rglob("*")
                     if p.is_file() and (p.suffix in (".hpp", ".cpp", ".h", ".S", ".txt", ".cmake", ".in", ".sh", ".py")
                                         or p.name == "run")]
            text = "".join(p.read_text(errors="replace") for p in files if p.parent != self.root / "test/doc")
            self.names = self.variables | set(re.findall(r"\bWEFT_[A-Z_]+\b", text))
        return self.names

    def check_link(self, page, number, target):
        if re.match(r"[a-z]+:", target):
            return
        path, _, anchor = target.partition("#")
        file = pathlib.Path(os.path.normpath(page.parent / path)) if path else page
        if not file.exists():
            self.say(page, number, f"this link leads nowhere: {target}")
        elif anchor and file.suffix == ".md":
            headings = {slug(l.lstrip("#")) for _, l in blocks_of(file.read_text())[1] if l.startswith("#")}
            if anchor not in headings:
                self.say(page, number, f"{file.relative_to(self.root)} has no heading #{anchor}")

    def figures(self, compiler, text):
        """The table of README.md, made of the last run in `text`."""
        run = re.search(r"<!-- last run -->\n(.*?)\n\n(.*?)\n\n", text, re.DOTALL)
        if not run:
            raise SystemExit("there is no last run in the page of the benchmarks")
        rows = [[c.strip() for c in l.strip("|").split("|")] for l in run[2].splitlines()]
        column = next((i for i, c in enumerate(rows[0]) if c.startswith(f"{compiler} ")), None)
        if column is None:
            raise SystemExit(f"the last run has no column of {compiler}")
        work, values = None, {}
        for row in rows[2:]:
            title = re.fullmatch(r"\*\*(.*)\*\* \[(.*)\]", row[0])
            if title:
                work = title[1]
            elif work in WORKS and row[0] in PEERS:
                values[work, row[0]] = row[column]
        peers = [p for p in PEERS if any((w, p) in values for w in WORKS)]
        lines = [["nanoseconds", *peers]]
        lines += [[w, *(values.get((w, p), "") for p in peers)] for w in WORKS if any((w, p) in values for p in peers)]
        lines = [f"| {' | '.join(l)} |" for l in lines]
        lines.insert(1, "|---|" + "--:|" * len(peers))
        return f"{run[1]}, {rows[0][column]}:\n\n" + "\n".join(lines) + "\n"

    def check_figures(self):
        page = self.root / "README.md"
        text = page.read_text()
        tables = list(FIGURES.finditer(text))
        if not tables:
            self.say(page, 1, "there is no table of figures")
        for table in tables:
            if table[3] != self.figures(table[1], (self.root / table[2]).read_text()):
                line = text[:table.start()].count("\n") + 1
                self.say(page, line, f"these are not the figures of {table[2]}: test/doc/readmes.py --update copies them")

    def update(self):
        page = self.root / "README.md"
        page.write_text(FIGURES.sub(
            lambda t: f"<!-- figures: {t[1]} in {t[2]} -->\n{self.figures(t[1], (self.root / t[2]).read_text())}"
                      "<!-- end of figures -->\n", page.read_text()))


def normal(line):
    """A line of CMake without spaces and without the name of the program it is about."""
    return re.sub(r"target_link_libraries\(\w+", "target_link_libraries(app", re.sub(r"\s+", " ", line))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--built", metavar="BUILD", help="its compile_commands.json says what is compiled; without it "
                                                         "C++ blocks are not looked at")
    parser.add_argument("--update", action="store_true", help="copy the figures into README.md first")
    arguments = parser.parse_args()
    checker = Checker(ROOT, arguments.built)
    if arguments.update:
        checker.update()
    for sentence in checker.check():
        print(sentence)
    return 1 if checker.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
