# SPDX-License-Identifier: MIT
"""The runner's arithmetic, tables and targets; nothing is measured here."""

import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import types
import unittest
import xml.etree.ElementTree
from unittest import mock

from suite import experiment, plot, report
from suite.bench import Bench
from suite.experiment import Case, Experiment
from suite.experiments import all_experiments, cycle, memory, stores, threads
from suite.processes import HERE, BenchmarkError, build
from suite.results import Results, Row, spread
from suite.system import NotMeasured, calls_in, cpu_seconds, file_system, settled_bytes
from suite.targets import TARGETS, Target, missed


def results_of(*rows):
    """From (case, server, figures of each round)."""
    results = Results()
    for case, server, rounds in rows:
        for index, figures in enumerate(rounds):
            results.add(Row("cycle", case, server, index, figures))
    return results


def rates(*values):
    return [{"requests/s": value} for value in values]


def target(**more):
    return Target(**{
        "name": "t", "about": "", "experiment": "cycle", "case": "a", "figure": "requests/s", "must": 2.0, "aim": 3.0,
        "other_server": "beanstalkd", **more})


class ArithmeticTest(unittest.TestCase):
    def test_spread(self):
        entry = spread([1, 2, 3, 4, 50])
        self.assertEqual((entry.median, entry.low, entry.high, entry.count), (3, 2, 4, 5))
        self.assertEqual((spread([7]).low, spread([7]).high), (7, 7))
        self.assertIsNone(spread([]))

    def test_ratio_is_the_median_of_the_ratios_of_the_rounds(self):
        # Medians of 200 and 100 would give 2; the rounds say 1, 2 and 3.
        results = results_of(("a", "beanstalkd", rates(200, 100, 50)), ("a", "trellisd", rates(200, 200, 150)))
        entry = results.ratio("requests/s", ("cycle", "a", "trellisd"), ("cycle", "a", "beanstalkd"))
        self.assertEqual((entry.median, entry.count), (2, 3))

    def test_rounds_that_one_side_lacks_do_not_count(self):
        results = results_of(("a", "beanstalkd", rates(100)), ("a", "trellisd", rates(300, 900)))
        entry = results.ratio("requests/s", ("cycle", "a", "trellisd"), ("cycle", "a", "beanstalkd"))
        self.assertEqual((entry.median, entry.count), (3, 1))

    def test_noise_is_the_second_reference_to_the_first(self):
        results = results_of(("a", "beanstalkd", rates(100, 100)), ("a", "beanstalkd again", rates(90, 110)))
        self.assertEqual(results.noise()["a"].median, 1)

    def test_system_calls_are_read(self):
        self.assertEqual(calls_in("perf", "# started\n\n98030,,raw_syscalls:sys_enter,479583723,100.00,,\n"), 98030)
        head = "% time     seconds  usecs/call     calls    errors syscall\n"
        for last in (
            "100.00    0.317638          12     25303           total",
            "100.00    0.317638          12     25303       417 total",
            "100.00    0.317638                 25303         1 total",
        ):
            self.assertEqual(calls_in("strace", f"{head}{last}\n"), 25303)
        with self.assertRaises(NotMeasured):
            calls_in("perf", "<not counted>,,raw_syscalls:sys_enter,0,0.00,,\n")

    def test_processor_time_and_memory_of_a_process(self):
        before = cpu_seconds(os.getpid())
        sum(range(300_000))
        self.assertGreater(cpu_seconds(os.getpid()), before)
        self.assertGreater(settled_bytes(os.getpid(), patience=0.2), 1 << 20)


class TargetTest(unittest.TestCase):
    def test_at_least(self):
        for rate, verdict in (350, "aim"), (300, "aim"), (250, "must"), (200, "must"), (180, "missed by 10%"):
            results = results_of(("a", "beanstalkd", rates(100)), ("a", "trellisd", rates(rate)))
            self.assertEqual(target().verdict(results), verdict)
        self.assertEqual(target().verdict(Results()), "not measured")

    def test_at_most(self):
        latency = target(figure="p99 us", must=0.7, aim=0.5, at_most=True)
        for value, verdict in (40, "aim"), (60, "must"), (77, "missed by 10%"):
            results = results_of(("a", "beanstalkd", [{"p99 us": 100}]), ("a", "trellisd", [{"p99 us": value}]))
            self.assertEqual(latency.verdict(results), verdict)

    def test_times_faster_turns_seconds_round(self):
        results = results_of(("a", "beanstalkd", [{"seconds": 8}]), ("a", "trellisd", [{"seconds": 2}]))
        self.assertEqual(target(figure="seconds", inverse=True).measured(results).median, 4)

    def test_own_ratio_is_to_another_case(self):
        results = results_of(("one", "trellisd", rates(100, 50)), ("a", "trellisd", rates(90, 45)))
        own = target(other_server=None, other_case="one")
        self.assertAlmostEqual(own.measured(results).median, 0.9)

    def test_plain_figures_are_scaled(self):
        results = results_of(("a", "trellisd", [{"p99 us": 2900}]))
        plain = target(figure="p99 us", other_server=None, scale=1e-3, at_most=True, must=10, aim=3)
        self.assertAlmostEqual(plain.measured(results).median, 2.9)
        self.assertEqual(plain.verdict(results), "aim")

    def test_busy_generator_is_told(self):
        rows = [{"requests/s": 100, "client": 0.97}], [{"requests/s": 100, "client": 0.9}]
        self.assertTrue(target().is_bound(results_of(("a", "trellisd", rows[0]))))
        self.assertFalse(target().is_bound(results_of(("a", "trellisd", rows[1]))))

    def test_requirements(self):
        name = TARGETS[0].name
        results = results_of((TARGETS[0].case, "beanstalkd", rates(100)), (TARGETS[0].case, "trellisd", rates(140)))
        self.assertEqual(missed(results, [(name, 1.4)]), [])
        self.assertEqual(missed(results, [(name, 1.5)]), [f"{name}: 1.4, required at least 1.5"])
        self.assertIn("not measured", missed(Results(), [(name, 1)])[0])

    def test_every_target_is_measured_by_an_experiment(self):
        by_name = {e.name: e for e in all_experiments(Bench({}, "/"))}
        for t in TARGETS:
            with self.subTest(t.name):
                cases = {case.name: case for case in by_name[t.experiment].cases}
                self.assertIn(t.figure, by_name[t.experiment].figures)
                self.assertIn(t.server, cases[t.case].servers)
                self.assertIn(t.other_server or t.server, cases[t.other_case or t.case].servers)
                # Reaching the aim is no less than reaching what must be.
                self.assertTrue(t.reaches(t.aim, t.must))


class RunTest(unittest.TestCase):
    def run_all(self, *experiments, **settings):
        results, said = Results(), []
        failures = experiment.run(Bench({}, "/", **settings), experiments, results, said.append)
        return results, failures, said

    def test_order_alternates(self):
        seen = []

        def measure(_, server):
            seen.append(server)
            return {"f": 1}

        cases = [Case("a", ["x", "y"], measure), Case("b", ["x"], measure, rounds=1)]
        self.run_all(Experiment("e", "", cases, ["f"], 2))
        self.assertEqual(seen, ["x", "y", "x", "y", "x"])

    def test_failure_ends_one_experiment_only(self):
        def fail(_, server):
            raise BenchmarkError("a wrong reply")

        good = Experiment("good", "", [Case("a", ["x"], lambda _, server: {"f": 1})], ["f"], 2)
        bad = Experiment("bad", "", [Case("a", ["x"], fail)], ["f"], 2)
        results, failures, _ = self.run_all(bad, good)
        self.assertEqual(failures, ["bad: a wrong reply"])
        self.assertEqual([row.experiment for row in results.rows], ["good", "good"])

    def test_what_cannot_be_measured_is_left_out(self):
        def refuse(_, server):
            raise NotMeasured("no tool")

        results, failures, said = self.run_all(Experiment("e", "", [Case("a", ["x"], refuse)], ["f"], 1))
        self.assertEqual((results.rows, failures), ([], []))
        self.assertIn("no tool", said[0])

    def test_least_disturbed_figures_are_kept(self):
        found = [{"others": 0.5, "f": 1}, {"others": 0.2, "f": 2}, {"others": 0.3, "f": 3}, {"others": 0, "f": 4}]
        self.assertEqual(experiment.undisturbed(lambda: found.pop(0))["f"], 2)
        self.assertEqual(len(found), 1)

    def test_rounds(self):
        def rounds(own, **settings):
            return Experiment("e", "", [], ["f"], own).rounds_in(Bench({}, "/", **settings))

        self.assertEqual(rounds(20), 20)
        self.assertEqual((rounds(20, quick=True), rounds(3, quick=True), rounds(1, quick=True)), (5, 2, 1))
        self.assertEqual((rounds(20, rounds=3), rounds(20, rounds=3, quick=True)), (3, 3))

    def test_names_are_unique(self):
        for settings in {}, {"quick": True}, {"long": True}:
            experiments = all_experiments(Bench({}, "/", **settings))
            names = [(e.name, case.name) for e in experiments for case in e.cases]
            self.assertEqual(len(names), len(set(names)))


class PretendBench(Bench):
    """Starts nothing: every run of the generator answers the same figures."""

    @contextlib.contextmanager
    def server(self, name, transport="tcp", on_disk=False, is_pinned=True):
        place = types.SimpleNamespace(transport=transport)
        yield types.SimpleNamespace(name=name, pid=os.getpid(), seconds=1.0, place=place)

    @contextlib.contextmanager
    def holding(self, running, *options):
        yield

    def generate(self, running, *options):
        latency = {"count": 9, "p50": 1.0, "p99": 2.0, "p99.9": 3.0, "max": 4.0}
        return {
            "requests_per_second": 10.0, "jobs_per_second": 10.0, "requests": 10, "jobs": 10, "server_cpu": 0.5,
            "server_ns_per_request": 100.0, "generator_cpu": 0.5, "others": 0.0, "kick_seconds": 0.1,
            "batch_us": latency, "latency_us": latency, "lateness_us": latency,
        }


class ExperimentTest(unittest.TestCase):
    def test_every_experiment_gives_the_figures_that_it_shows(self):
        counter = mock.Mock(**{"return_value.finish.return_value": 20})
        sums = ((5 * n, n, 1000 * n, n) for n in itertools.count())
        state = {"current-jobs-ready": "1000000", "binlog-bytes": "1000"}
        patches = [
            mock.patch.object(cycle, "CallCounter", counter),
            mock.patch.object(memory, "stats", lambda place: state),
            mock.patch.object(stores, "stats", lambda place: state),
            mock.patch.object(memory, "settled_bytes", lambda pid: 1 << 30),
            mock.patch.object(threads, "held_sums", mock.Mock(side_effect=sums)),
            mock.patch.object(stores, "started", lambda binaries, name, place, is_pinned=True: bench.server(name)),
        ]
        bench = PretendBench({}, None, rounds=1)
        experiments, results = all_experiments(bench), Results()
        with contextlib.ExitStack() as stack:
            for patch in patches:
                stack.enter_context(patch)
            self.assertEqual(experiment.run(bench, experiments, results, lambda line: None), [])
        for e in experiments:
            for case in e.cases:
                for server in case.servers:
                    for figure in e.figures:
                        with self.subTest(experiment=e.name, case=case.name, server=server, figure=figure):
                            self.assertIsNotNone(results.value(e.name, case.name, server, figure))
        self.assertNotIn("not measured", [t.verdict(results) for t in TARGETS])
        for table in report.tables(experiments, results):
            self.assertTrue(report.text(table))


class InsideTest(unittest.TestCase):
    # Three times inside: briefly, for longer than any work takes, and briefly again.
    PROGRAM = """
    #include <pthread.h>
    #include <unistd.h>
    int main(void) {
        pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
        for (int i = 0; i < 3; i++) {
            pthread_mutex_lock(&mutex);
            usleep(i == 1 ? 5000 : 200);
            pthread_mutex_unlock(&mutex);
        }
    }
    """

    def test_time_inside_is_counted(self):
        with tempfile.TemporaryDirectory() as folder:
            program = os.path.join(folder, "program")
            compile_it = ["cc", "-x", "c", "-pthread", "-o", program, "-"]
            subprocess.run(compile_it, input=self.PROGRAM, text=True, check=True, timeout=30)
            held = build("held", folder, "-shared", "-fPIC")
            environment = {"LD_PRELOAD": held, "HELD_FILE": os.path.join(folder, "sums")}
            subprocess.run([program], env=environment, check=True, timeout=30)
            entries, waits, nanoseconds, interrupted = threads.held_sums(types.SimpleNamespace(folder=folder))
        self.assertEqual((entries, waits), (3, 0))
        # On a machine that is busy a brief one may have been interrupted, too.
        self.assertIn(interrupted, (1, 2, 3))
        self.assertGreaterEqual(nanoseconds, (3 - interrupted) * 190_000)
        self.assertLess(nanoseconds, (3 - interrupted) * 1_000_000 + 1)

    def test_interrupted_entries_count_like_the_others(self):
        running = types.SimpleNamespace(name="2 threads, timed", place=None)
        sums = mock.Mock(side_effect=[(10, 1, 500, 0), (15, 3, 4500, 1)])
        with mock.patch.object(threads, "held_sums", sums):
            found = threads.inside(50, 1)(PretendBench({}, None), running)
        # Four entries took 4,000 ns, so five took 5,000; the generator made 10 requests, of 100 ns each.
        self.assertAlmostEqual(found["inside us/request"], 0.5)
        self.assertAlmostEqual(found["full at threads"], 0.2)
        self.assertEqual((found["requests/entry"], found["entries that waited %"]), (2, 40))

    def test_server_that_takes_no_lock_is_told(self):
        running = types.SimpleNamespace(name="1 thread", place=None)
        with mock.patch.object(threads, "held_sums", lambda place: (2, 0, 100, 0)):
            with self.assertRaises(BenchmarkError):
                threads.inside(50, 1)(PretendBench({}, None), running)


class ReportTest(unittest.TestCase):
    def setUp(self):
        def busy(*values):
            return [{"requests/s": value, "client": 0.99, "others": 0.2} for value in values]

        self.results = results_of(
            ("1", "beanstalkd", rates(100_000, 100_000)), ("1", "trellisd", busy(1_000_000, 2_000_000)),
            ("10", "beanstalkd", rates(50_000, 50_000)), ("10", "trellisd", busy(1_000_000, 1_000_000)))
        both = ["beanstalkd", "trellisd"]
        self.experiment = Experiment(
            "cycle", "a | b", [Case("1", both, None, x=0), Case("10", both, None, x=10)], ["requests/s", "client"], 2,
            is_growth=True, axis="things")

    def test_table(self):
        text = report.text(report.experiment_table(self.experiment, self.results))
        lines = [" ".join(line.split()) for line in text.splitlines()]
        self.assertIn("1 trellisd 1,500,000* 1,250,000 – 1,750,000 15.0 12.5 – 17.5 99%", lines)
        self.assertIn("10 beanstalkd 50,000 50,000 – 50,000 0.50 0.50 – 0.50", lines)
        self.assertIn("the server can do more", text)
        self.assertIn("4 figures were measured while others used", text)

    def test_markdown(self):
        page = report.markdown(report.experiment_table(self.experiment, self.results))
        rows = [line for line in page.splitlines() if line.startswith("|")]
        self.assertEqual(len(rows), 6)
        self.assertEqual(len({row.count("|") for row in rows}), 1)
        self.assertIn(r"1,500,000\*", page)

    def test_picture(self):
        root = xml.etree.ElementTree.fromstring(plot.svg([self.experiment], self.results))
        name = "{http://www.w3.org/2000/svg}"
        lines = [line.get("points").split() for line in root.iter(name + "polyline")]
        self.assertEqual([len(points) for points in lines], [2, 2])
        heights = [float(points[0].split(",")[1]) for points in lines]
        # trellisd is faster, so that its line is higher up.
        self.assertLess(heights[1], heights[0])
        self.assertIn("things", [text.text for text in root.iter(name + "text")])
        self.assertIsNone(plot.svg([self.experiment], Results()))

    def test_numbers(self):
        shown = [report.number(value) for value in (1234567.8, 999.4, 12.34, 1.234, 0.0567, -3.2, None)]
        self.assertEqual(shown, ["1,234,568", "999", "12.3", "1.23", "0.06", "-3.20", ""])


class CommandTest(unittest.TestCase):
    def run_bench(self, *arguments):
        command = [sys.executable, os.path.join(HERE, "bench.py"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=30)

    def test_reports_what_was_measured_before(self):
        rows = [Row("cycle", "tcp-c50-p1", server, index, {"requests/s": rate})
                for index in range(2) for server, rate in (("beanstalkd", 100.0), ("trellisd", 145.0))]
        with tempfile.TemporaryDirectory() as folder:
            first, second = os.path.join(folder, "first.json"), os.path.join(folder, "second.json")
            with open(first, "w") as file:
                json.dump({"machine": {"cores": 2}, "quick": False, "long": False, "rows": [vars(r) for r in rows]}, file)
            done = self.run_bench("--from", first, "--json", second, "--require", "cycle-tcp-c50-p1=1.45")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stdout, r"cycle-tcp-c50-p1 .* 1\.45 .* must")
            done = self.run_bench("--from", second, "--markdown", "--require", "cycle-tcp-c50-p1=1.5")
            self.assertEqual(done.returncode, 1)
            self.assertIn("required at least 1.5", done.stderr)
            self.assertIn("| cycle-tcp-c50-p1 |", done.stdout)

    def test_bad_arguments(self):
        for arguments, message in (
            (["no-such-experiment"], "--list names them"),
            (["--require", "no-such-target=1"], "unknown target"),
            (["--require", f"{TARGETS[0].name}=fast"], "wants a number"),
            (["--from", __file__], "is not what --json writes"),
            (["--trellisd", "/no/such/file", "cycle"], "`make bench` builds"),
        ):
            done = self.run_bench(*arguments)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(message, done.stderr)

    def test_list(self):
        done = self.run_bench("--list")
        for name in [t.name for t in TARGETS] + ["cycle", "depth", "restart"]:
            self.assertIn(name, done.stdout)

    def test_memory_is_no_disk(self):
        self.assertEqual(file_system("/dev/shm")[0], "tmpfs")
        done = self.run_bench(
            "--folder", "/dev/shm", "--trellisd", sys.executable, "--beanstalkd", sys.executable, "restart")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("in memory (tmpfs)", done.stderr)


if __name__ == "__main__":
    unittest.main()
