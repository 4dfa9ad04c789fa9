# SPDX-License-Identifier: MIT
"""Memory per job and per connection."""

from ..experiment import Case, Experiment
from ..servers import stats
from ..system import settled_bytes

TWO = ["beanstalkd", "trellisd"]
SIZE = 64


def jobs(count):
    """Per job over its body once so many are there, and what is kept when they are gone."""

    def measure(bench, server):
        with bench.server(server) as running:
            shape = ["--connections", 10, "--in-flight", 64, "--size", SIZE]
            # What a server does at its first requests is nobody's job.
            bench.generate(running, *shape, "--requests", 10_000)
            before = settled_bytes(running.pid)
            bench.generate(running, *shape, "--workload", "put", "--requests", count)
            ready = int(stats(running.place)["current-jobs-ready"])
            full = settled_bytes(running.pid)
            bench.generate(running, *shape, "--workload", "drain")
            after = settled_bytes(running.pid)
            return {
                "bytes/job over its body": (full - before) / ready - SIZE,
                "bytes/job kept after a drain": (after - before) / ready,
                "MiB": full / (1 << 20),
            }

    return measure


def connections(count):
    """Per connection that has asked once and is idle."""

    def measure(bench, server):
        with bench.server(server) as running:
            before = settled_bytes(running.pid)
            with bench.holding(running, "--idle", count):
                size = settled_bytes(running.pid)
        return {"bytes/connection": (size - before) / count, "MiB": size / (1 << 20)}

    return measure


def experiments(bench):
    count, many = (100_000, 1_000) if bench.quick else (1_000_000, 10_000)
    return [
        Experiment(
            "memory-job", f"memory of {count:,} jobs of {SIZE} bytes",
            [Case(str(count), TWO, jobs(count))],
            ["bytes/job over its body", "bytes/job kept after a drain", "MiB"], rounds=1),
        Experiment(
            "memory-connection", f"memory of {many:,} idle connections",
            [Case(str(many), TWO, connections(many))], ["bytes/connection", "MiB"], rounds=2),
    ]
