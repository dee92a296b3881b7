#!/usr/bin/env python3
# Copyright the weft authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
"""Tests of table.py: what it makes of figures that are known."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import table  # noqa: E402

WORKS = "work,reference,quantity\ntrip,old,cpu_time\necho,old,requests\nroom,old,bytes\n"


def run(name, repetitions, quantity="cpu_time", **more):
    return [{"name": name, "run_name": name, "run_type": "iteration", quantity: value, **more} for value in repetitions]


def process(*runs):
    return {"context": {"compiler": "GCC 12.2.0", "date": "2024-05-06T07:08:09+00:00"}, "benchmarks": sum(runs, [])}


class Table(unittest.TestCase):
    def make(self, targets, *processes, options=()):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "gcc").mkdir()
            for number, data in enumerate(processes):
                (folder / "gcc" / f"{number}.json").write_text(json.dumps(data))
            (folder / "works.csv").write_text(WORKS)
            (folder / "targets.csv").write_text("row,quantity,relation,limit,reference\n" + targets)
            done = subprocess.run(
                [sys.executable, table.__file__, folder / "gcc", "--works", folder / "works.csv",
                 "--targets", folder / "targets.csv", "--results", folder / "results.json", *options],
                capture_output=True, text=True, check=False)
            self.assertEqual(done.stderr, "")
            return done, json.loads((folder / "results.json").read_text())

    def row(self, results, name):
        return results["compilers"]["gcc"]["rows"][name]

    def test_the_figure_is_the_median_of_the_processes_medians(self):
        _, results = self.make("", *(process(run("trip/new", [1, n, 99]), run("trip/old", [10])) for n in (2, 3, 8)))
        self.assertEqual(self.row(results, "trip/new")["figure"], [2.5, 3, 5.5])
        self.assertEqual(self.row(results, "trip/new")["ratio"], [0.25, 0.3, 0.55])

    def test_a_ratio_is_taken_within_a_process(self):
        _, results = self.make("", process(run("trip/new", [1]), run("trip/old", [10])),
                               process(run("trip/new", [2]), run("trip/old", [20])))
        self.assertEqual(self.row(results, "trip/new")["ratio"], [0.1, 0.1, 0.1])

    def test_rows_that_are_never_in_one_process_are_compared_by_their_medians(self):
        _, results = self.make("", process(run("room/new", [3], "bytes")), process(run("room/old", [4], "bytes")))
        self.assertEqual(self.row(results, "room/new")["ratio"], [0.75, 0.75, 0.75])

    def test_a_reference_has_the_same_number_of_coroutines(self):
        _, results = self.make("", process(run("trip/new/coroutines:10/iterations:5", [3]), run("trip/old", [1]),
                                           run("trip/old/coroutines:10/iterations:5/repeats:1", [6])))
        self.assertEqual(self.row(results, "trip/new/10")["ratio"][1], 0.5)

    def judge(self, target, *runs, options=()):
        done, results = self.make(target + "\n", process(*runs), options=options)
        [judged] = [t for row in results["compilers"]["gcc"]["rows"].values() for t in row["targets"]]
        return done, judged["reached"]

    def test_relations(self):
        times = [run("trip/new", [3]), run("trip/old", [10])]
        echo = [run("echo/new", [95], "requests"), run("echo/old", [100], "requests")]
        room = [run("room/new", [4000], "bytes")]
        for target, runs, reached in [
            ("trip/new,cpu_time,at most times,0.3,trip/old", times, True),
            ("trip/new,cpu_time,at most times,0.29,trip/old", times, False),
            ("trip/old,cpu_time,at most plus,7,trip/new", times, True),
            ("trip/old,cpu_time,at most plus,6.9,trip/new", times, False),
            ("echo/new,requests,at least times,0.95,echo/old", echo, True),
            ("echo/new,requests,at least times,0.96,echo/old", echo, False),
            ("room/new,bytes,at most,4000,", room, True),
            ("room/new,bytes,at most,3999,", room, False),
            ("room/new,bytes,at least,4000,", room, True),
            ("room/new,bytes,at least,4001,", room, False),
        ]:
            with self.subTest(target):
                self.assertEqual(self.judge(target, *runs)[1], reached)

    def test_a_missed_target_is_printed_and_with_check_a_failure(self):
        target, runs = "trip/new,cpu_time,at most times,0.29,trip/old", [run("trip/new", [3]), run("trip/old", [10])]
        done, _ = self.judge(target, *runs)
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"\| new +\| +≤ 0\.29 \| +3 \| +0\.30 \(0\.30–0\.30\) \| +\*\*no\*\* \|")
        self.assertIn("0 of 1 targets reached.\n\n- missed with GCC 12.2.0: trip, new: 0.30", done.stdout)
        done, _ = self.judge(target, *runs, options=["--check"])
        self.assertEqual(done.returncode, 1)

    def test_a_reached_target_is_printed_and_with_check_no_failure(self):
        done, _ = self.judge("trip/new,cpu_time,at most times,0.3,trip/old", run("trip/new", [3]), run("trip/old", [10]),
                             options=["--check"])
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"\| new +\| +≤ 0\.3 \| +3 \| +0\.30 \(0\.30–0\.30\) \| +yes \|")
        self.assertIn("1 of 1 targets reached.", done.stdout)

    def test_a_target_against_another_row_has_a_line_of_its_own(self):
        done, _ = self.judge("trip/new,cpu_time,at most times,2,trip/other",
                             run("trip/new", [3]), run("trip/old", [10]), run("trip/other", [2]))
        self.assertRegex(done.stdout, r"\| … against trip: other +\| +≤ 2 \| +\| +1\.50 \(1\.50–1\.50\) \| +yes \|")

    def test_counters_have_a_line_of_their_own(self):
        done, _ = self.make("", process(run("echo/new", [95], "requests", p99_us=7)))
        self.assertRegex(done.stdout, r"\| … 99th percentile of the latency \[µs\] +\| +\| +7 \|")

    def test_a_target_that_was_not_measured_is_named(self):
        done, _ = self.make("trip/none,cpu_time,at most times,1,trip/old\n", process(run("trip/old", [10])))
        self.assertIn("0 of 0 targets reached.\n\n- not measured: trip, none", done.stdout)

    def test_the_page_of_a_record_has_what_is_printed_between_its_head_and_the_plots(self):
        with tempfile.TemporaryDirectory() as name:
            page = pathlib.Path(name, "record.md")
            done, _ = self.make("", process(run("trip/old", [10])), options=["--page", page])
            self.assertEqual(page.read_text(), table.HEAD + done.stdout + table.TAIL)


class RecordedPage(unittest.TestCase):
    """bench/record.md, as it is in the repository."""

    def test_it_is_a_page_of_this_program(self):
        page = (table.FOLDER / "record.md").read_text()
        self.assertTrue(page.startswith(table.HEAD), "the head is not table.HEAD: change it there")
        self.assertTrue(page.endswith(table.TAIL), "the end is not table.TAIL: change it there")
        self.assertRegex(page.removeprefix(table.HEAD), r"^[^\n]+, \d{4}-\d\d-\d\d\n\n\| ")

    def test_it_shows_each_plot(self):
        self.assertEqual(sorted(table.PLOTS), sorted(plot.stem for plot in (table.FOLDER / "plots").glob("*.png")))


if __name__ == "__main__":
    unittest.main()
