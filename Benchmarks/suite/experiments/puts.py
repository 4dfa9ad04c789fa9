# SPDX-License-Identifier: MIT
"""Filling and emptying: puts of several sizes, and a drain."""

from ..bench import figures
from ..experiment import Case, Experiment
from ..system import warm_memory

TWO = ["beanstalkd", "trellisd"]
SIZES = {"64B": 64, "1KiB": 1 << 10, "32KiB": 32 << 10, "1MiB": 1 << 20}
# What the jobs of one run may take in all; so much memory is there.
BYTES = 2 << 30
JOBS_OF_DRAIN = 100_000
SHAPE = ["--connections", 10, "--in-flight", 16]


def put(size):
    def measure(bench, server):
        most = BYTES // (size + 128) // (4 if bench.quick else 1)
        warm_memory(BYTES * 5 // 4 // (4 if bench.quick else 1))
        with bench.server(server) as running:
            return figures(bench.generate(
                running, "--workload", "put", *SHAPE, "--size", size, "--seconds", bench.seconds, "--requests", most))

    return measure


def drain(bench, server):
    jobs = JOBS_OF_DRAIN // (4 if bench.quick else 1)
    with bench.server(server) as running:
        return figures(bench.generate(running, "--workload", "drain", *SHAPE, "--fill", jobs))


def experiments(bench):
    shown = ["requests/s", "server us/request", "server", "client"]
    return [
        Experiment(
            "put", "puts with 10 connections and 16 in flight on each; the jobs stay (not the floor's)",
            [Case(name, [*TWO, "floor"], put(size)) for name, size in SIZES.items()], shown, rounds=5),
        Experiment(
            "drain", "reserve and delete until the tube is empty, 10 connections and 16 in flight on each",
            [Case("64B", TWO, drain)], shown, rounds=5),
    ]
