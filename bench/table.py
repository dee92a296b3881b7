#!/usr/bin/env python3
# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Makes the table of the comparison from what the benchmark programs have written.

Each file of Google Benchmark's JSON is one process. A row's figure is the median over the processes of the median over
the repetitions in one; a ratio is taken within each process, because addresses and clock differ between them.
"""

import argparse
import collections
import csv
import json
import pathlib
import statistics
import sys

FOLDER = pathlib.Path(__file__).parent

COUNTERS = {  # what is shown below the row itself
    "p99_us": "99th percentile of the latency [µs]",
    "made": "as many were had",
    "each_ns": "to make and resume one [ns]",
}

RELATIONS = {  # value, limit, reference
    "at most times": lambda value, limit, reference: value <= limit * reference,
    "at least times": lambda value, limit, reference: value >= limit * reference,
    "at most plus": lambda value, limit, reference: value <= limit + reference,
    "at most": lambda value, limit, _: value <= limit,
    "at least": lambda value, limit, _: value >= limit,
}


def row_name(run_name):
    """work/peer, or work/peer/number of coroutines, without what Google Benchmark appends."""
    work, peer, *rest = run_name.split("/")
    arguments = [part.split(":")[1] for part in rest if part.startswith("coroutines:")]
    return "/".join([work, peer, *arguments])


class Process:
    """The figures of one process: row -> quantity -> median of its repetitions."""

    def __init__(self, text):
        data = json.loads(text)
        self.context = data["context"]
        self.failed = {}
        values = collections.defaultdict(lambda: collections.defaultdict(list))
        for run in data["benchmarks"]:
            if run["run_type"] != "iteration":
                continue
            name = row_name(run["run_name"])
            if run.get("error_occurred"):
                self.failed[name] = run["error_message"]
                continue
            for quantity, value in run.items():
                if isinstance(value, (int, float)):
                    values[name][quantity].append(value)
        self.figures = {
            row: {quantity: statistics.median(v) for quantity, v in quantities.items()}
            for row, quantities in values.items()
        }

    def figure(self, row, quantity):
        return self.figures.get(row, {}).get(quantity)


def spread(values):
    """[lower quartile, median, upper quartile], None without values."""
    if not values:
        return None
    if len(values) == 1:
        return [values[0]] * 3
    return statistics.quantiles(values, n=4, method="inclusive")


class Comparison:
    """All processes of one compiler."""

    def __init__(self, processes):
        self.processes = processes
        self.compiler = " ".join(processes[0].context["compiler"].split()[:2])

    def rows(self):
        return dict.fromkeys(row for p in self.processes for row in p.figures)

    def figures(self, row, quantity):
        return spread([f for p in self.processes if (f := p.figure(row, quantity)) is not None])

    def pairs(self, row, reference, quantity):
        pairs = [(p.figure(row, quantity), p.figure(reference, quantity)) for p in self.processes]
        return [(a, b) for a, b in pairs if a is not None and b]

    def ratios(self, row, reference, quantity):
        """Of medians where the two cannot be in one process: memory is measured in a process of its own."""
        if pairs := self.pairs(row, reference, quantity):
            return spread([a / b for a, b in pairs])
        mine, theirs = self.figures(row, quantity), self.figures(reference, quantity)
        return [mine[1] / theirs[1]] * 3 if mine and theirs else None

    def judge(self, target):
        """What was measured of a target, and whether it is reached; None where it was not measured."""
        relation, limit = target["relation"], float(target["limit"])
        if target["reference"]:
            pairs = self.pairs(target["row"], target["reference"], target["quantity"])
            if not pairs:
                return None
            combine = (lambda a, b: a - b) if relation.endswith("plus") else (lambda a, b: a / b)
            value = spread([combine(a, b) for a, b in pairs])
            reference = 0 if relation.endswith("plus") else 1
        else:
            value, reference = self.figures(target["row"], target["quantity"]), None
            if not value:
                return None
        return {**target, "value": value, "reached": RELATIONS[relation](value[1], limit, reference)}


def read_csv(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def reference_row(row, work):
    """The row that this one is compared with."""
    if "/" in work["reference"]:
        return work["reference"]
    _, _, *arguments = row.split("/")
    return "/".join([work["work"], work["reference"], *arguments])


def compare(comparison, works, targets):
    """The rows of one compiler, with their targets."""
    rows = {}
    for work in works:
        for row in comparison.rows():
            if row.split("/")[0] != work["work"]:
                continue
            quantity = work["quantity"]
            rows[row] = {
                "quantity": quantity,
                "figure": comparison.figures(row, quantity),
                "ratio": comparison.ratios(row, reference_row(row, work), quantity),
                "counters": {q: figure for q in COUNTERS if (figure := comparison.figures(row, q))},
                "targets": [judged for t in targets if t["row"] == row and (judged := comparison.judge(t))],
            }
    return rows


# The table

NUMBERS = ("1", "100", "10000", "100000", "1000000")  # of coroutines; the plots have those between, too
UNITS = {"cpu_time": "ns", "requests_per_second": "requests/s"}


def number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def ratio_cell(ratio):
    low, median, high = ratio
    return f"{median:.2f} ({low:.2f}–{high:.2f})" if median < 10 else f"{median:.0f} ({low:.0f}–{high:.0f})"


SIGN = {"at most times": "≤ {}", "at least times": "≥ {}", "at most plus": "≤ +{} ns", "at most": "≤ {}", "at least": "≥ {}"}


def target_cell(target):
    return SIGN[target["relation"]].format(number(float(target["limit"])))


def measured_cell(target):
    low, median, high = target["value"]
    if target["relation"].endswith("plus"):
        return f"{median:+.2f} ns ({low:+.2f}–{high:+.2f})"
    return ratio_cell(target["value"]) if target["reference"] else number(median)


def reached_cell(target):
    return "yes" if target["reached"] else "**no**"


def is_main(target, row, work):
    """Is this the target for the ratio that the row shows anyway?"""
    return (target["reference"] == reference_row(row, work) and target["quantity"] == work["quantity"]
            and target["relation"].endswith("times"))


def table(results, works, targets):
    compilers = results["compilers"]
    head = ["", "target"]
    for compiler in compilers.values():
        head += [compiler["name"], "ratio (quartiles)", "reached"]
    lines = [head]
    for work in works:
        rows = dict.fromkeys(r for c in compilers.values() for r in c["rows"] if r.split("/")[0] == work["work"])
        unit = UNITS.get(work["quantity"], work["quantity"])
        for arguments in sorted({tuple(r.split("/")[2:]) for r in rows}, key=lambda a: [int(n) for n in a]):
            if arguments and arguments[0] not in NUMBERS:
                continue
            title = ", ".join([work["work"], *(f"{int(a):,} coroutine{'s' * (a != '1')}" for a in arguments)])
            lines.append([f"**{title}** [{unit}]"] + [""] * (len(head) - 1))
            members = [r for r in rows if tuple(r.split("/")[2:]) == arguments]
            lines += [line for row in sorted(members, key=lambda r: order(compilers, r))
                      for line in row_lines(row, work, compilers, targets)]
    return align(lines)


def order(compilers, row):
    return min(c["rows"][row]["figure"][1] for c in compilers.values() if row in c["rows"])


def row_lines(row, work, compilers, targets):
    mine = [t for t in targets if t["row"] == row]
    main = next((t for t in mine if is_main(t, row, work)), None)
    first = [row.split("/")[1], target_cell(main) if main else ""]
    for compiler in compilers.values():
        result = compiler["rows"].get(row)
        if not result:
            first += ["", "", ""]
            continue
        judged = next((t for t in result["targets"] if main and is_main(t, row, work)), None)
        first += [number(result["figure"][1]), ratio_cell(result["ratio"]) if result["ratio"] else "",
                  reached_cell(judged) if judged else ""]
    yield first
    judged_counters = {t["quantity"] for t in mine if not t["reference"]}
    for counter, what in COUNTERS.items():
        figures = [c["rows"].get(row, {"counters": {}})["counters"].get(counter) for c in compilers.values()]
        if any(figures) and counter not in judged_counters:
            yield [f"… {what}", ""] + [cell for f in figures for cell in (number(f[1]) if f else "", "", "")]
    for target in mine:
        if target is main:
            continue
        what = COUNTERS.get(target["quantity"], target["quantity"])
        if target["reference"]:
            what = f"against {target['reference'].replace('/', ': ')}"
        line = [f"… {what}", target_cell(target)]
        for compiler in compilers.values():
            result = compiler["rows"].get(row, {"targets": []})
            judged = next((t for t in result["targets"] if all(t[k] == target[k] for k in target)), None)
            cells = [measured_cell(judged), ""] if judged and not target["reference"] else ["", measured_cell(judged) if judged else ""]
            line += [*cells, reached_cell(judged) if judged else ""]
        yield line


def align(lines):
    """Markdown that can be read as it is."""
    lines = [lines[0], ["-"] * len(lines[0]), *lines[1:]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = []
    for line in lines:
        cells = [c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths))]
        if line[0] == "-":
            cells = ["-" * widths[0]] + ["-" * (w - 1) + ":" for w in widths[1:]]
        text.append("| " + " | ".join(cells) + " |")
    return "\n".join(text)


def judged_targets(results):
    return [(c["name"], t) for c in results["compilers"].values() for r in c["rows"].values() for t in r["targets"]]


def summary(results, targets):
    judged = judged_targets(results)
    missed = [(name, t) for name, t in judged if not t["reached"]]
    lines = [f"{len(judged) - len(missed)} of {len(judged)} targets reached.", ""]
    lines += [f"- missed with {name}: {t['row'].replace('/', ', ')}: {measured_cell(t)}, {t['relation']} "
              f"{number(float(t['limit']))} wanted" for name, t in missed]
    measured = {t["row"] for _, t in judged}
    unknown = dict.fromkeys(t["row"].replace("/", ", ") for t in targets if t["row"] not in measured)
    lines += [f"- not measured: {row}" for row in unknown]
    return "\n".join(lines)


# The page of a recorded run, bench/record.md

HEAD = """# Benchmarks: the recorded run

`bench/run --record` writes this page and its plots, from the last run that was recorded: do not edit it.
[The manual](README.md) says how the figures are measured and what the rows mean, and [why](README.md#why) they are so.

"""
PLOTS = {"switches": "Round trips", "scale": "Cost and number of coroutines", "bridge": "Generators, creation, awaiting, Asio",
         "memory": "Memory"}
TAIL = "\n" + "".join(f"![{title}](plots/{name}.png)\n" for name, title in PLOTS.items())


def report(results, works, targets):
    """What bench/run prints: the machine, the table, the targets that were missed."""
    return f"{results['machine']}, {results['date'][:10]}\n\n{table(results, works, targets)}\n\n{summary(results, targets)}\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=pathlib.Path, help="one for each compiler, with a file for each process")
    parser.add_argument("--results", type=pathlib.Path, help="where to write all figures as JSON")
    parser.add_argument("--targets", type=pathlib.Path, default=FOLDER / "targets.csv")
    parser.add_argument("--works", type=pathlib.Path, default=FOLDER / "works.csv")
    parser.add_argument("--page", type=pathlib.Path, help="where to write the page of a recorded run")
    parser.add_argument("--machine", default="", help="what the figures were measured on")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    options = parser.parse_args()

    works, targets = read_csv(options.works), read_csv(options.targets)
    results = {"machine": options.machine, "date": "", "compilers": {}}
    for folder in options.folders:
        processes = [Process(path.read_text()) for path in sorted(folder.glob("*.json"))]
        if not processes:
            sys.exit(f"table.py: there is no result in {folder}: run bench/run first.")
        comparison = Comparison(processes)
        results["date"] = max(results["date"], processes[-1].context["date"])
        results["compilers"][folder.name] = {
            "name": comparison.compiler,
            "processes": len(processes),
            "rows": compare(comparison, works, targets),
        }
    if options.results:
        options.results.write_text(json.dumps(results, indent=1) + "\n")
    text = report(results, works, targets)
    print(text, end="")
    if options.page:
        options.page.write_text(HEAD + text + TAIL)
    if options.check and any(not t["reached"] for _, t in judged_targets(results)):
        sys.exit(1)


if __name__ == "__main__":
    main()
