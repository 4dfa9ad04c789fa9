# SPDX-License-Identifier: MIT
"""What an experiment is, and how all of them are run."""

import contextlib
import dataclasses
from collections.abc import Callable

from .processes import BenchmarkError
from .results import DISTURBED, Row
from .system import NotMeasured

# So often a figure is measured again that others have disturbed.
AGAIN = 2


@dataclasses.dataclass(frozen=True)
class Home:
    """A server that lives through all rounds of an experiment: what it holds, and who is connected to it."""

    transport: str = "tcp"
    # Options of the generator: what it puts there first, and the connections that stay.
    fill: tuple = ()
    hold: tuple = ()
    # Whether the server and the generator have a core each.
    is_pinned: bool = True


@dataclasses.dataclass
class Case:
    """One thing that is measured with several servers; the first is what the others are compared with."""

    name: str
    servers: list
    # Called with the bench and, where there is a home, the running server; else with the server's name.
    measure: Callable
    home: Home | None = None
    # Its place on the axis of a growth curve.
    x: float | None = None
    # As often at most.
    rounds: int | None = None


@dataclasses.dataclass
class Experiment:
    name: str
    about: str
    cases: list
    # The first is the one that ratios are made of.
    figures: list
    rounds: int
    # Whether ratios to the same server's first case are shown, too.
    is_growth: bool = False
    axis: str | None = None

    def rounds_in(self, bench):
        # A figure needs no fewer than two.
        return bench.rounds or (max(min(2, self.rounds), self.rounds // 4) if bench.quick else self.rounds)


class Homes:
    """The servers that live through an experiment, by their name and home."""

    def __init__(self, bench, stack):
        self.bench, self.stack, self.running = bench, stack, {}

    def get(self, server, home):
        if (server, home) not in self.running:
            running = self.stack.enter_context(self.bench.server(server, home.transport, is_pinned=home.is_pinned))
            if home.fill:
                self.bench.generate(running, "--workload", "fill", *home.fill)
            if home.hold:
                self.stack.enter_context(self.bench.holding(running, *home.hold))
            self.running[server, home] = running
        return self.running[server, home]


def run(bench, experiments, results, progress):
    """All rounds of each experiment; answers the failures. One that fails ends its experiment; the others go on."""
    failures = []
    for experiment in experiments:
        try:
            with contextlib.ExitStack() as stack:
                homes = Homes(bench, stack)
                for case in experiment.cases:
                    for server in case.servers if case.home else ():
                        homes.get(server, case.home)
                for index in range(experiment.rounds_in(bench)):
                    run_round(bench, experiment, homes, index, results, progress)
        except BenchmarkError as error:
            failures.append(f"{experiment.name}: {error}")
            progress(failures[-1])
    return failures


def run_round(bench, experiment, homes, index, results, progress):
    """The order of servers and cases alternates, so that a machine that slows down slows all of them."""
    for case in in_turn(experiment.cases, index):
        if case.rounds is not None and index >= case.rounds:
            continue
        for server in in_turn(case.servers, index):
            with_server = homes.get(server, case.home) if case.home else server
            try:
                figures = undisturbed(lambda: case.measure(bench, with_server))
            except NotMeasured as reason:
                progress(f"{experiment.name} {case.name} {server}: not measured: {reason}")
                continue
            results.add(Row(experiment.name, case.name, server, index, figures))
            shown = "  ".join(f"{name} {figures[name]:,.5g}" for name in experiment.figures if name in figures)
            progress(f"{index + 1:<3} {experiment.name:<12} {case.name:<18} {server:<18} {shown}")


def in_turn(things, index):
    return things if index % 2 == 0 else things[::-1]


def undisturbed(measure):
    """Measures, and again where others used the cores; the least disturbed figures."""
    figures = measure()
    for _ in range(AGAIN):
        if figures.get("others", 0) > DISTURBED:
            figures = min(figures, measure(), key=lambda found: found["others"])
    return figures
