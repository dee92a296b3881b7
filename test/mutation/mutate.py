# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""mutate.py [--all | --sample N] [options]

Changes one instruction of a switch at a time and lets the tests judge. Each mutant must be killed; those that cannot be
told from the original stand in equivalent.txt with the reason. The exit code is 1 if one survives that does not stand
there (or, with --all, if one stands there that is killed or does not exist)."""

import argparse
import collections
import contextlib
import filecmp
import io
import multiprocessing
import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path += [str(HERE.parent / "hardening"), str(HERE.parent / "unwind")]

import mutants  # noqa: E402
import objects  # noqa: E402
import step  # noqa: E402
from toolchain import ASSEMBLY, INLINE_SWITCH, ROOT, BuildError, Toolchain, changed_header  # noqa: E402

ARCHITECTURES = {
    "x86_64": {
        "compiler": ["g++"], "tools": "", "emulator": [], "gdb": "gdb", "link": [],
        "variants": {"none": ["-fcf-protection=none"], "full": ["-fcf-protection=full"]},
    },
    "aarch64": {
        "compiler": ["aarch64-linux-gnu-g++"], "tools": "aarch64-linux-gnu-", "emulator": ["qemu-aarch64"],
        "gdb": "gdb-multiarch", "link": ["-static"],
        "variants": {name: [f"-mbranch-protection={name}"] for name in ("none", "bti", "standard")},
    },
}
SECONDS = 20  # for a test that takes a fraction of one


class Variant:
    """One way to compile the switch, with the tests that judge it. The parts that do not change are built once."""

    def __init__(self, architecture, name, folder):
        settings = ARCHITECTURES[architecture]
        self.architecture = architecture
        self.name = name
        self.settings = settings
        self.toolchain = Toolchain(settings["compiler"], folder / name,
                                   ["-O2", "-fno-omit-frame-pointer", *settings["variants"][name]], settings["link"])
        self.hardened = architecture == "aarch64" and name != "none"
        build = self.toolchain.compile
        self.rest = [build("lib/switch/control_block.cpp"), build("lib/switch/shadow_stack.cpp")]
        self.registers = build(f"test/equivalence/registers_{architecture}.S")
        self.switch = self.compile_switch(ROOT / ASSEMBLY[architecture])
        self.original = {"switch": self.switch, "probe": self.compile_test("probe", None)}
        self.original["target"] = self.compile_test("target", None)
        if self.hardened:
            self.library = self.toolchain.library()
            self.begin = build("test/hardening/guarded_text_begin.S")
            self.end = build("test/hardening/guarded_text_end.S")
            self.original["hardened"] = self.compile_test("hardened", None)

    def compile_switch(self, file, toolchain=None):
        toolchain = toolchain or self.toolchain
        copy = toolchain.folder / "switch.S"  # one name, so that two objects differ only where their contents do
        copy.write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
        return toolchain.compile(copy)

    def compile_test(self, test, headers, toolchain=None):
        source = {"probe": "test/mutation/probe.cpp", "target": "test/unwind/target.cpp",
                  "hardened": "test/hardening/hardened.cpp"}[test]
        return (toolchain or self.toolchain).compile(source, test, headers, ["-g"] if test == "target" else [])

    def in_folder(self, folder):
        """The same, working in a folder of its own."""
        copy = Variant.__new__(Variant)
        copy.__dict__ = dict(self.__dict__)
        copy.toolchain = Toolchain(self.toolchain.cxx, folder / self.name, self.toolchain.flags, self.toolchain.link_flags)
        return copy

    def run(self, program, cpu="max", arguments=()):
        """Why the test failed, or None."""
        emulator = [*self.settings["emulator"], "-cpu", cpu] if self.settings["emulator"] else []
        # A session of its own: a changed switch may signal "its group", and one that hangs may have forked.
        process = subprocess.Popen([*emulator, str(program), *arguments], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.toolchain.folder,
                                   start_new_session=True)
        try:
            code = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            return "timeout"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return None if code == 0 else f"exit {code}"


class Subject:
    """A switch, original or changed, compiled in one variant."""

    def __init__(self, variant, switch=None, headers=None):
        self.variant = variant
        self.headers = headers
        self.parts = dict(variant.original)
        if switch:
            self.parts["switch"] = variant.compile_switch(switch)
        if headers:
            self.parts["probe"] = variant.compile_test("probe", headers)

    def part(self, test):
        if self.headers and self.parts[test] == self.variant.original[test]:
            self.parts[test] = self.variant.compile_test(test, self.headers)
        return self.parts[test]

    def differs(self):
        return any(not filecmp.cmp(self.parts[p], self.variant.original[p], shallow=False) for p in ("switch", "probe"))

    def probe(self):
        v = self.variant
        return v.run(v.toolchain.link([self.part("probe"), v.registers, self.parts["switch"], *v.rest], "probe"))

    def hardened(self):
        v = self.variant
        if not v.hardened:
            return None
        return v.run(v.toolchain.link([v.begin, self.part("hardened"), self.parts["switch"], *v.library, v.end],
                                      "hardened"))

    def step(self):
        v = self.variant
        program = v.toolchain.link([self.part("target"), self.parts["switch"], *v.rest], "step")
        if v.architecture != "aarch64":
            ways = [([], False)]
        elif v.name == "standard":
            ways = [(["-cpu", "cortex-a72"], False), (["-cpu", "max,sve=off"], True)]
        else:
            ways = [(["-cpu", "max,sve=off"], False)]
        for cpu, signed in ways:
            code, output = step.step(program, v.settings["gdb"], [*v.settings["emulator"], *cpu], signed, 90)
            if code != 0 or "right everywhere" not in output:
                return output.strip().splitlines()[-1] if output.strip() else "gdb failed"
        return None


def judge(architecture, folder, base, switch=None, headers=None, is_cfi=False):
    """(verdict, test, detail): 'same', 'killed' or 'survived'."""
    subjects = [Subject(variant.in_folder(folder), switch, headers) for variant in base]
    changed = [s for s in subjects if s.differs()] if switch or headers else subjects
    if not changed:
        return "same", "", ""

    def read_objects():
        settings = ARCHITECTURES[architecture]
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            failures, _ = objects.check(architecture, settings["compiler"], folder / "objects", settings["tools"],
                                        switch, headers)
        return said.getvalue().splitlines()[0] if failures else None

    tests = [(name, s.variant.name, getattr(s, name)) for name in ("probe", "hardened") for s in changed]
    tests.append(("objects", "all", read_objects))
    tests += [("step", s.variant.name, s.step) for s in changed]
    if is_cfi:  # no other test looks at it
        tests.sort(key=lambda t: t[0] != "step")
    for name, variant, test in tests:
        if detail := test():
            return "killed", f"{name}", f"{variant}: {detail}"
    return "survived", "", ""


base_variants = {}
work = None


def judge_mutant(mutant):
    architecture = next(a for a in ARCHITECTURES if mutant.file in (ASSEMBLY[a], INLINE_SWITCH[a]))
    folder = work / f"worker{os.getpid()}" / architecture
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if mutant.file.endswith(".S"):
            changed = folder / "mutant.S"
            changed.write_text(mutant.text, encoding="utf-8")
            verdict = judge(architecture, folder, base_variants[architecture], switch=changed,
                            is_cfi=mutant.instruction.is_cfi)
        else:
            headers = changed_header(folder, mutant.file, mutant.text)
            verdict = judge(architecture, folder, base_variants[architecture], headers=headers,
                            is_cfi=mutant.instruction.is_cfi)
    except BuildError as error:
        verdict = "refused", "", str(error).splitlines()[-1] if str(error) else ""
    return (mutant, *verdict)


def known_equivalents():
    known = {}
    for line in (HERE / "equivalent.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, reason = line.partition(" :: ")
            known[name.strip()] = reason.strip()
    return known


def report(results, path):
    """Which test kills the mutants of each instruction."""
    by_instruction = collections.OrderedDict()
    for mutant, verdict, test, _ in results:
        key = (mutant.file, mutant.instruction.scope, mutant.instruction.first, mutant.instruction.text)
        by_instruction.setdefault(key, []).append(test if verdict == "killed" else verdict)
    lines = ["| where | instruction | mutants killed | by |", "|---|---|---|---|"]
    for (file, scope, _, text), verdicts in sorted(by_instruction.items()):
        valid = [v for v in verdicts if v not in ("same", "refused")]
        killers = collections.Counter(v for v in valid if v != "survived")
        by = ", ".join(f"{test} {count}" for test, count in sorted(killers.items()))
        lines.append(f"| {file.rsplit('/', 1)[-1]} {scope} | `{text}` | {sum(killers.values())} of {len(valid)} | {by} |")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main():
    global work
    parser = argparse.ArgumentParser(description=__doc__)
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("--all", action="store_true", help="every mutant")
    amount.add_argument("--sample", type=int, default=60, help="this many of each architecture (default 60)")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--architecture", choices=sorted(ARCHITECTURES), action="append")
    parser.add_argument("--only", default="", help="only mutants whose name contains this")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--report", type=pathlib.Path, help="write here which test kills which instruction")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    start = time.monotonic()

    with tempfile.TemporaryDirectory(prefix="weft-mutation") as folder:
        work = pathlib.Path(folder)
        chosen = []
        for architecture in arguments.architecture or sorted(ARCHITECTURES):
            base_variants[architecture] = [Variant(architecture, name, work / "original" / architecture)
                                           for name in ARCHITECTURES[architecture]["variants"]]
            verdict, test, detail = judge(architecture, work / "unchanged" / architecture, base_variants[architecture])
            if verdict != "survived":
                print(f"{architecture}: without any change {test} fails: {detail}")
                return 1
            found = [m for file in (ASSEMBLY[architecture], INLINE_SWITCH[architecture])
                     for m in mutants.mutants(file, (ROOT / file).read_text(encoding="utf-8")) if arguments.only in m.name]
            if not arguments.all:
                found = random.Random(arguments.seed).sample(found, min(arguments.sample, len(found)))
            chosen += found
        results = []
        with multiprocessing.Pool(arguments.jobs) as pool:
            for result in pool.imap_unordered(judge_mutant, chosen, chunksize=1):
                results.append(result)
                mutant, verdict, test, detail = result
                if arguments.verbose or verdict == "survived":
                    print(f"{verdict:8} {test:8} {mutant.name} {detail}", flush=True)

    known = known_equivalents()
    status = 0
    for architecture in base_variants:
        mine = [r for r in results if r[0].file in (ASSEMBLY[architecture], INLINE_SWITCH[architecture])]
        count = collections.Counter(r[1] for r in mine)
        survivors = [r[0].name for r in mine if r[1] == "survived"]
        unknown = [name for name in survivors if name not in known]
        killers = collections.Counter(r[2] for r in mine if r[1] == "killed")
        for name in unknown:
            print(f"SURVIVED: {name}")
        status |= bool(unknown)
        total = count["killed"] + len(unknown)
        print(f"{architecture}: {count['killed']} of {total} mutants killed "
              f"({', '.join(f'{test} {n}' for test, n in killers.most_common())}); besides, {len(survivors) - len(unknown)} "
              f"known equivalent, {count['same']} with the same object, {count['refused']} that do not assemble")
    if arguments.all and not arguments.only:
        verdicts = {r[0].name: r[1] for r in results}
        for name in known:
            if verdicts.get(name, "missing") not in ("survived", "missing") or \
                    (name not in verdicts and len(base_variants) == len(ARCHITECTURES)):
                print(f"equivalent.txt names a mutant that is {verdicts.get(name, 'unknown')}: {name}")
                status = 1
    if arguments.report:
        report(results, arguments.report)
    print(f"{len(results)} mutants in {time.monotonic() - start:.0f} s")
    return status


if __name__ == "__main__":
    sys.exit(main())
