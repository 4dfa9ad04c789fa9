# SPDX-License-Identifier: MIT
"""From a producer to a worker that waits: jobs per second and latency; and what a kick of many jobs does to others."""

from ..experiment import Case, Experiment, Home
from ..processes import BenchmarkError

TWO = ["beanstalkd", "trellisd"]
FIGURES = ["jobs/s", "p50 us", "p99 us", "p99.9 us", "server", "client"]
# Half of the connections produce, half work.
HALF = 25
JOBS_OF_KICK, RATE_OF_KICK = 500_000, 5_000
WORKERS, WORKERS_TUBES, OWN_LIST = 1_000, 1_000, 20


def handoff(bench, running, *options):
    result = bench.generate(running, "--workload", "handoff", *options)
    latency = result["latency_us"]
    found = {
        "jobs/s": result["jobs_per_second"],
        "p50 us": latency["p50"],
        "p99 us": latency["p99"],
        "p99.9 us": latency["p99.9"],
        "max us": latency["max"],
        "samples": latency["count"],
        "server": result["server_cpu"],
        "client": result["generator_cpu"],
        "others": result["others"],
    }
    if "lateness_us" in result:
        found["late p99 us"] = result["lateness_us"]["p99"]
    if "kick_seconds" in result:
        found["kick ms"] = result["kick_seconds"] * 1000
    return found


def closed(bench, running):
    found = handoff(
        bench, running, "--connections", HALF, "--seconds", bench.slice_seconds, "--warmup", bench.slice_seconds / 5)
    if running.name == "beanstalkd":
        bench.shared[f"handoff {running.place.transport}"] = found["jobs/s"]
    return found


def open_loop(bench, running):
    """At half the pace that beanstalkd last kept in the closed loop, the same for all."""
    transport = running.place.transport
    if f"handoff {transport}" not in bench.shared:
        raise BenchmarkError("the pace is half of what beanstalkd did in the experiment handoff; ask for both")
    rate = max(100, round(bench.shared[f"handoff {transport}"] / 2, -2))
    found = handoff(
        bench, running, "--connections", HALF, "--rate", rate, "--seconds", bench.seconds,
        "--warmup", bench.slice_seconds / 5)
    return {**found, "pace": rate}


def kick(kind):
    def measure(bench, server):
        jobs = JOBS_OF_KICK // (10 if bench.quick else 1)
        with bench.server(server) as running:
            return handoff(
                bench, running, "--connections", 10, "--rate", RATE_OF_KICK, "--kick", "--fill", jobs,
                "--fill-as", kind, "--seconds", 1, "--warmup", 0.2)

    return measure


def watch(*lists):
    """Many workers that wait on tubes; every put names its tube."""

    def measure(bench, server):
        with bench.server(server) as running:
            return handoff(
                bench, running, "--connections", 50, "--consumers", WORKERS, *lists, "--seconds", bench.seconds,
                "--warmup", 1)

    return measure


def experiments(bench):
    kicks = ["p99 us", "max us", "kick ms", "samples"]
    return [
        Experiment(
            "handoff", "25 producers, 25 waiting workers; a producer puts again when its job is in a worker's hands",
            [Case(transport, TWO, closed, Home(transport)) for transport in ("tcp", "unix")], FIGURES, rounds=30),
        Experiment(
            "pace", "the same with puts that are due at a steady pace, half of what beanstalkd can do",
            [Case(transport, TWO, open_loop, Home(transport)) for transport in ("tcp", "unix")],
            ["p99 us", "p50 us", "p99.9 us", "jobs/s", "late p99 us"], rounds=8),
        Experiment(
            "watch", "50 producers, 1,000 workers that all watch one tube, the same 1,000, or 20 each",
            [
                Case("one", TWO, watch("--tubes", 1)),
                # For beanstalkd each put costs a walk over a thousand lists of a thousand.
                Case("same-1000", TWO, watch("--tubes", WORKERS_TUBES), rounds=1 if bench.quick else None),
                Case("own-20", TWO, watch("--tubes", WORKERS_TUBES, "--watch", OWN_LIST, "--scattered")),
            ],
            FIGURES, rounds=3, is_growth=True),
        Experiment(
            "kick", "other clients while 500,000 jobs are kicked by one command; 5,000 jobs a second pass meanwhile",
            [Case(kind, TWO, kick(kind)) for kind in ("buried", "delayed")], kicks, rounds=2),
    ]
