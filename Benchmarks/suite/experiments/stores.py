# SPDX-License-Identifier: MIT
"""Stores: syncing beside beanstalkd's, pace against memory, restart, compression. On a real disk only."""

import statistics

from ..bench import figures
from ..experiment import Case, Experiment
from ..processes import BenchmarkError
from ..servers import new_place, started, stats
from ..system import cpu_seconds, peak_bytes, warm_memory

TEXT_JOBS, TEXT_BYTES = 100_000, 750
STARTS = 3
# More than any server takes for a job of 512 bytes.
RESTART_BYTES = 1 << 10
FIGURES = ["requests/s", "p99.9 us", "server us/request", "server", "client"]


def throughput(workload, connections, in_flight):
    """Requests per second, and the batches' latency at the 99.9th percentile."""

    def measure(bench, server):
        with bench.server(server, on_disk=True) as running:
            result = bench.generate(
                running, "--workload", workload, "--connections", connections, "--in-flight", in_flight,
                "--seconds", bench.seconds, "--warmup", 0.2)
            found = {**figures(result), "p99.9 us": result["batch_us"]["p99.9"]}
            # What the system does for the disk is no disturbance.
            del found["others"]
            return found

    return measure


def restart(jobs):
    """Seconds from the start of the process to its first answer, with so many jobs of 512 bytes.

    The median of three starts on the same log, each with memory at hand: in a virtual machine a start waits otherwise for
    what the host must find first.
    """

    def measure(bench, server):
        with new_place(bench.folder) as place:
            with started(bench.binaries, server, place) as running:
                bench.generate(
                    running, "--workload", "put", "--connections", 10, "--in-flight", 64, "--size", 512,
                    "--requests", jobs)
            seconds = []
            for _ in range(STARTS):
                warm_memory(jobs * RESTART_BYTES)
                # It has the machine to itself.
                with started(bench.binaries, server, place, is_pinned=False) as running:
                    ready = int(stats(place)["current-jobs-ready"])
                    if ready < jobs:
                        raise BenchmarkError(f"{server} came back with {ready} jobs of {jobs}")
                    seconds.append(running.seconds)
                    peak = peak_bytes(running.pid) / (1 << 20)
            return {"seconds": statistics.median(seconds), "peak MiB": peak}

    return measure


def compression(bench, server):
    """Bytes on disk for jobs that look like JSON, in groups of 16, and the rate of whole cycles with 50 connections."""
    jobs = TEXT_JOBS // (10 if bench.quick else 1)
    text = ["--size", TEXT_BYTES, "--text"]
    with bench.server(server, on_disk=True) as running:
        used = cpu_seconds(running.pid)
        bench.generate(
            running, "--workload", "put", "--in-flight", 16, "--requests", jobs, *text)
        used = cpu_seconds(running.pid) - used
        size = int(stats(running.place)["binlog-bytes"])
    with bench.server(server, on_disk=True) as running:
        timed = ["--seconds", bench.seconds, "--warmup", 0.2]
        rate = bench.generate(running, "--connections", 50, *timed, *text)["requests_per_second"]
    return {"bytes/job": size / jobs, "server us/put": used / jobs * 1e6, "requests/s": rate}


def experiments(bench):
    jobs = 100_000 if bench.quick else 1_000_000
    cycle_c50, cycle_c10 = throughput("cycle", 50, 1), throughput("cycle", 10, 16)
    return [
        Experiment(
            "always", "synced before the reply: sync: always beside beanstalkd -f0",
            [
                Case("cycle-c50-p1", ["beanstalkd -f0", "always"], cycle_c50),
                Case("put-c10-p16", ["beanstalkd -f0", "always"], throughput("put", 10, 16)),
            ], FIGURES, rounds=4),
        Experiment(
            "sync", "what a log costs that is synced at a pace, or never",
            [
                Case("cycle-c50-p1", ["trellisd", "50ms", "never"], cycle_c50),
                Case("cycle-c10-p16", ["trellisd", "50ms", "never"], cycle_c10),
                Case("reference-c50-p1", ["beanstalkd", "beanstalkd -f50"], cycle_c50),
            ], FIGURES, rounds=4),
        Experiment(
            "restart", f"from the start of the process to its first answer, with {jobs:,} jobs of 512 bytes",
            [
                Case(str(jobs), ["beanstalkd -f50", "50ms"], restart(jobs)),
                Case(f"{jobs}-compressed", ["50ms", "zstd", "lz4"], restart(jobs), rounds=1),
            ], ["seconds", "peak MiB"], rounds=2),
        Experiment(
            "compression", f"jobs of {TEXT_BYTES} bytes that look like JSON",
            [Case("text", ["50ms", "zstd", "lz4"], compression)],
            ["bytes/job", "server us/put", "requests/s"], rounds=2),
    ]
