# SPDX-License-Identifier: MIT
"""Tests of what budget.py makes of its counts."""

import unittest

import budget


class Verdicts(unittest.TestCase):
    budgets = {"w": {"instructions": 1000, "allocations": 0.0}}

    def verdicts(self, instructions, allocations):
        return budget.verdicts({"w": {"instructions": instructions, "allocations": allocations}}, self.budgets, 0.05)

    def test_within(self):
        self.assertEqual(self.verdicts(1049, 0.01), [])
        self.assertEqual(self.verdicts(951, 0.0), [])

    def test_over(self):
        self.assertIn("1051 instructions", self.verdicts(1051, 0.0)[0])
        self.assertIn("1 allocations", self.verdicts(1000, 1)[0])

    def test_far_below(self):
        self.assertIn("--write", self.verdicts(900, 0.0)[0])

    def test_without_a_budget(self):
        self.assertEqual(len(budget.verdicts({"new": {"instructions": 1}}, self.budgets, 0.05)), 1)

    def test_start_and_stop_do_not_count(self):
        counts = {budget.SHORT: (500 + 7 * 100, 100), budget.LONG: (500 + 7 * 1000, 1000)}
        self.assertEqual(budget.per_request(counts.__getitem__), 7)


if __name__ == "__main__":
    unittest.main()
