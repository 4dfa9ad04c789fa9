# SPDX-License-Identifier: MIT
"""The cycle as jobs, tubes and connections get more."""

from ..experiment import Case, Experiment, Home
from .cycle import FIGURES, cycle

TWO, OURS = ["beanstalkd", "trellisd"], ["trellisd"]
ROUNDS = 20


def prepared(count, servers, connections, in_flight, *fill):
    """The cycle on a server on which that is there."""
    return Case(str(count), servers, cycle(connections, in_flight, *fill, "--prepared"), Home(fill=fill), count)


def depth(jobs):
    return prepared(jobs, TWO, 10, 16, "--fill", jobs)


def behind(jobs):
    return prepared(jobs, TWO, 10, 16, "--fill", jobs, "--fill-as", "last")


def tubes(count):
    # To make 100,000 tubes takes beanstalkd minutes.
    return prepared(count, TWO if count <= 10_000 else OURS, 10, 16, "--tubes", count)


def held(name, x, *hold):
    return Case(name, TWO, cycle(50, 1), Home(hold=hold), x)


def powers(first, last):
    return [10**exponent for exponent in range(first, last + 1)]


def experiments(bench):
    depths = powers(3, 7 if bench.long else 5 if bench.quick else 6)
    many = 1_000 if bench.quick else 10_000
    idle = [0, 1_000] if bench.quick else [0, 1_000, many]
    return [
        Experiment(
            "depth", "the cycle over a tube so deep: what is put goes to its end, what is reserved comes from its head",
            [depth(n) for n in depths], FIGURES, ROUNDS, is_growth=True, axis="jobs in the tube"),
        Experiment(
            "behind", "the cycle in front of so many jobs of a worse priority, which stay",
            [behind(n) for n in (depths[0], depths[-1])], FIGURES, ROUNDS, is_growth=True),
        Experiment(
            "tubes", "the cycle with so many tubes, a job in each; every connection works in one of its own",
            [tubes(n) for n in powers(0, 4 if bench.quick else 5)], FIGURES, ROUNDS, is_growth=True, axis="tubes"),
        Experiment(
            "idle", "the cycle with 50 connections beside so many idle ones, or so many that wait in another tube",
            [held(str(n), n, *(["--idle", n] if n else [])) for n in idle]
            + [held(f"waiting-{many}", None, "--waiting", many)],
            FIGURES, ROUNDS, is_growth=True, axis="idle connections"),
    ]
