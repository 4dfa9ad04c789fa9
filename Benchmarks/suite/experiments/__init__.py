# SPDX-License-Identifier: MIT
"""The experiments, in the order in which they run."""

from . import cycle, growth, handoff, memory, puts, stores, threads


def all_experiments(bench):
    modules = [cycle, puts, handoff, growth, threads, memory, stores]
    return [experiment for module in modules for experiment in module.experiments(bench)]
