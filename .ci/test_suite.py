#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The suite must count what ran and must not call a crash a success."""

import contextlib
import importlib.machinery
import importlib.util
import io
import os
import unittest

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "suite")
loader = importlib.machinery.SourceFileLoader("suite", PATH)
suite = importlib.util.module_from_spec(importlib.util.spec_from_loader("suite", loader))
# Without it, Python would leave a compiled copy beside the script.
loader.set_data = lambda *_, **__: None
loader.exec_module(suite)

PASSED = """\
Test Suite 'All tests' passed at 2026-01-01 00:00:00.000.
\t Executed 0 tests, with 0 failures (0 unexpected) in 0.000 (0.000) seconds
◇ Test run started.
◇ Test one() started.
✔ Test one() passed after 0.001 seconds.
✔ Test "two of them" with 79 test cases passed after 0.010 seconds.
✔ Suite Things passed after 1.0 seconds.
✔ Test run with 2 tests in 1 suite passed after 1.0 seconds.
"""
FAILED = """\
✘ Test one() recorded an issue at T.swift:1:2: Expectation failed: false
✘ Test one() failed after 0.001 seconds with 1 issue.
◇ Test case passing 1 argument line → "quit✘ Test two(_:) with 79 test cases failed after 0.010 seconds with 2 issues.
✘ Suite Things failed after 1.0 seconds with 3 issues.
➜ Test three() skipped: "no server"
✘ Test run with 5 tests in 1 suite failed after 1.0 seconds with 3 issues.
"""


def count(counter, text, status):
    for line in text.splitlines():
        counter.feed(line)
    counter.close(status)
    return counter.passed, counter.failed, counter.skipped


class CountingTest(unittest.TestCase):
    def test_swift_passed(self):
        self.assertEqual(count(suite.SwiftCounter(), PASSED, 0), (2, 0, 0))

    def test_swift_failed(self):
        counter = suite.SwiftCounter()
        self.assertEqual(count(counter, FAILED, 1), (2, 2, 1))
        self.assertEqual(counter.failures, ["one()", "two(_:)"])

    def test_swift_two_runs(self):
        self.assertEqual(count(suite.SwiftCounter(), PASSED + FAILED, 1), (4, 2, 1))

    def test_swift_crash_before_the_summary(self):
        cut = PASSED[: PASSED.index("✔ Test run with")]
        self.assertEqual(count(suite.SwiftCounter(), cut, -5)[1], 1)
        self.assertEqual(count(suite.SwiftCounter(), cut, 0)[1], 1)

    def test_swift_sanitizer_report_after_passed_tests(self):
        self.assertEqual(count(suite.SwiftCounter(), PASSED, 66), (2, 1, 0))

    def test_swift_nothing_matched_the_filter(self):
        empty = "✔ Test run with 0 tests in 0 suites passed after 0.001 seconds.\n"
        self.assertEqual(count(suite.SwiftCounter(), empty, 0), (0, 1, 0))

    def test_swift_out_of_time(self):
        self.assertEqual(count(suite.SwiftCounter(), "", None), (0, 1, 0))

    def test_unittest(self):
        self.assertEqual(count(suite.UnittestCounter(), "Ran 16 tests in 1 s\n\nOK (skipped=1)\n", 0), (15, 0, 1))
        text = "FAIL: test_a (m.T) [x]\nFAIL: test_a (m.T) [y]\nERROR: test_b (m.T)\nRan 4 tests in 1 s\n"
        self.assertEqual(count(suite.UnittestCounter(), text, 1), (2, 2, 0))
        self.assertEqual(count(suite.UnittestCounter(), "Traceback\n", 1), (0, 1, 0))

    def test_one_check(self):
        self.assertEqual(count(suite.OneCounter(), "", 0), (1, 0, 0))
        self.assertEqual(count(suite.OneCounter(), "", 2), (0, 1, 0))

    def test_canary(self):
        self.assertEqual(count(suite.CanaryCounter(), "SUMMARY: libFuzzer: deadly signal\n", 77), (1, 0, 0))
        self.assertEqual(count(suite.CanaryCounter(), "Done 5 runs\n", 0), (0, 1, 0))
        # A fuzzer that isn't there, or refuses its options, has found nothing.
        self.assertEqual(count(suite.CanaryCounter(), "ParseDictionaryFile: file does not exist\n", 1), (0, 1, 0))


class StageTest(unittest.TestCase):
    def run_stages(self, *stages):
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            for stage in stages:
                stage.run()
            status = suite.summarise(stages)
        return status, output.getvalue().splitlines()

    def test_goes_on_after_a_failure_and_counts_both(self):
        status, lines = self.run_stages(suite.Stage("a", ["false"]), suite.Stage("b", ["true"]))
        self.assertEqual((status, lines[-1]), (1, "1 passed, 1 failed"))
        self.assertIn("FAILED  a: exit status 1", lines)

    def test_all_passed(self):
        status, lines = self.run_stages(suite.Stage("a", ["true"]))
        self.assertEqual((status, lines[-1]), (0, "1 passed, 0 failed"))

    def test_nothing_ran(self):
        self.assertEqual(self.run_stages()[0], 1)

    def test_missing_program(self):
        self.assertEqual(self.run_stages(suite.Stage("a", ["/nowhere/program"]))[0], 1)

    def test_out_of_time(self):
        stage = suite.Stage("a", ["sleep", "60"], minutes=1 / 60)
        self.assertEqual(self.run_stages(stage)[0], 1)
        self.assertEqual(stage.counter.failures, ["out of time"])


if __name__ == "__main__":
    unittest.main()
