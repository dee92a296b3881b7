# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Counts one round trip of each peer on AArch64 and prints the table. bench/aarch64/run builds what this needs."""

import argparse
import csv
import json
import pathlib
import re
import shutil
import subprocess
import sys

import emulate

HERE = pathlib.Path(__file__).resolve().parent
PEERS = {  # program: what the table calls it
    "inline_switch": "weft inline switch",
    "jump_context": "weft::jump_context",
    "fiber": "weft::fiber",
    "jump_fcontext": "Boost jump_fcontext",
    "boost_fiber": "boost::context::fiber",
}
FORMS = ("flat", "deep", "apart")
CORES = ("neoverse-n1", "neoverse-v2")
FIGURES = ("instructions", "loads", "stores", "misses_16", "misses_32", *CORES)
HEADINGS = ("instr", "loads", "stores", "miss 16", "miss 32", "n1 cyc", "v2 cyc")
ROUNDS = 100  # by which the second section has more than the first, see round_trip.hpp


def count(plugin, program, form, mca):
    """All figures of one round trip."""
    less, more = emulate.trace(plugin, [str(program), form])
    figures = {name: (more.counts[name] - less.counts[name]) / ROUNDS for name in emulate.COUNTED}
    figures["memory"] = figures["loads"] + figures["stores"]
    executed, rounds = one_period(more.executed, figures["instructions"])
    if mca:
        for core in CORES:
            figures[core] = mca.cycles([word for _, word in executed], core) / rounds
    return figures, executed


def one_period(executed, per_round):
    """The instructions of one round trip, from the middle of the section; of a few where a compiler unrolled the loop."""
    middle = len(executed) // 2
    for rounds in range(1, 9):
        length = round(per_round * rounds)
        period = executed[middle : middle + length]
        if length == per_round * rounds and period == executed[middle + length : middle + 2 * length]:
            return period, rounds
    raise SystemExit("The rounds differ from each other: there is nothing that could be called one round trip.")


class Mca:
    """LLVM's model of a core: llvm-mca and llvm-mc of the same version."""

    def __init__(self, mca, mc):
        self.mca, self.mc = mca, mc

    @classmethod
    def find(cls):
        """The newest installed one that knows -call-latency: by default a call is taken for 100 cycles."""
        for version in [*(f"-{number}" for number in range(40, 17, -1)), ""]:
            mca, mc = shutil.which(f"llvm-mca{version}"), shutil.which(f"llvm-mc{version}")
            if mca and mc and "-call-latency" in run([mca, "--help-hidden"], ""):
                return cls(mca, mc)
        return None

    def version(self):
        return re.search(r"LLVM version (\S+)", run([self.mca, "--version"], ""))[1]

    def cycles(self, words, core):
        """Of the instructions in an endless loop: the further cycles of 1,000 further iterations."""
        data = " ".join(f"0x{byte:02x}" for word in words for byte in word.to_bytes(4, "little"))
        text = run([self.mc, "--disassemble", "--triple=aarch64", "--mattr=+all"], data)
        text = "".join(line + "\n" for line in text.splitlines() if not line.lstrip().startswith(".text"))
        return (self.total(text, core, 1200) - self.total(text, core, 200)) / 1000

    def total(self, text, core, iterations):
        report = run([self.mca, "--mtriple=aarch64", f"--mcpu={core}", "--mattr=+all", "--call-latency=1",
                      f"--iterations={iterations}", "--instruction-info=0", "--resource-pressure=0"], text)
        return int(re.search(r"^Total Cycles: +(\d+)", report, re.MULTILINE)[1])


def run(command, text):
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return done.stdout


def table(results):
    """Lines: a peer and a form each, the same columns for each compiler."""
    def row(cells):
        return f"{cells[0]:22} {cells[1]:6}" + "".join(f"{cell:>8}" for cell in cells[2:])

    compilers = list(results)
    width = 8 * len(HEADINGS)
    lines = [" " * 29 + "".join(f"{' ' + compiler + ' ':-^{width - 2}}".rjust(width) for compiler in compilers),
             row(["round trip", ""] + list(HEADINGS) * len(compilers))]
    for peer, title in PEERS.items():
        for form in FORMS:
            cells = [title if form == FORMS[0] else "", form]
            for compiler in compilers:
                figures = results[compiler][peer][form]
                cells += [number(figures.get(name)) for name in FIGURES]
            lines.append(row(cells))
    return lines


def number(value):
    if value is None:
        return "-"
    return f"{value:.1f}".removesuffix(".0")


def compare(results, column):
    """Whether each target is met: (sentence, met) for each one and each compiler. The column of targets.csv: "at most",
    what is to be reached, or "held to", what was reached and must not be lost."""
    verdicts = []
    with (HERE / "targets.csv").open(encoding="ascii", newline="") as file:
        for target in csv.DictReader(file):
            for compiler, peers in results.items():
                figure, most = peers[target["peer"]][target["form"]].get(target["figure"]), float(target[column])
                if figure is None:  # cycles, without llvm-mca
                    continue
                verdicts.append((f"{PEERS[target['peer']]}, {target['form']}, {compiler}: {target['figure']} "
                                 f"{number(figure)}, at most {number(most)}", figure <= most))
    return verdicts


def listing(executed, mca):
    """One round trip as assembly, from its lowest address on."""
    lowest = min(range(len(executed)), key=lambda i: executed[i][0])
    data = " ".join(f"0x{byte:02x}" for _, word in executed for byte in word.to_bytes(4, "little"))
    text = run([mca.mc, "--disassemble", "--triple=aarch64", "--mattr=+all"], data).splitlines()
    lines = [f"{address:8x} {line.strip()}".replace("\t", " ")
             for (address, _), line in zip(executed, (line for line in text if ".text" not in line))]
    return lines[lowest:] + lines[:lowest]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plugin", required=True, help="trace_plugin.so")
    parser.add_argument("--programs", required=True, action="append", metavar="COMPILER=FOLDER",
                        help="the peers' programs as one compiler built them; may be repeated")
    parser.add_argument("--no-cycles", action="store_true", help="counts only: llvm-mca is not needed")
    parser.add_argument("--json", type=pathlib.Path, help="also write the figures into this file")
    parser.add_argument("--list", metavar="PEER", choices=PEERS, help="print the instructions of its flat round trip")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a target is missed")
    parser.add_argument("--hold", action="store_true", help="exit with 1 when a figure is worse than it was held to")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    mca = None if arguments.no_cycles and not arguments.list else Mca.find()
    results = {}
    for programs in arguments.programs:
        compiler, _, folder = programs.partition("=")
        results[compiler] = {}
        for peer in PEERS:
            results[compiler][peer] = {}
            for form in FORMS:
                figures, executed = count(arguments.plugin, pathlib.Path(folder, peer), form,
                                          None if arguments.no_cycles else mca)
                results[compiler][peer][form] = figures
                if arguments.list == peer and form == "flat":
                    print(f"{compiler}, {PEERS[peer]}:", *listing(executed, mca), "", sep="\n")

    print(*table(results), "", sep="\n")
    if mca:
        print(f"Cycles: llvm-mca {mca.version()}, -call-latency=1.")
    elif not arguments.no_cycles:
        print("No cycles: that takes an llvm-mca that knows -call-latency (LLVM 18 or later).")
    verdicts = compare(results, "held to" if arguments.hold else "at most")
    for sentence, met in verdicts:
        print(("met     " if met else "MISSED  ") + sentence)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        document = {"llvm_mca": mca.version() if mca else None, "round_trips": results,
                    "targets": [{"target": sentence, "met": met} for sentence, met in verdicts]}
        arguments.json.write_text(json.dumps(document, indent=1) + "\n", encoding="ascii")
    return int((arguments.check or arguments.hold) and not all(met for _, met in verdicts))


if __name__ == "__main__":
    sys.exit(main())
