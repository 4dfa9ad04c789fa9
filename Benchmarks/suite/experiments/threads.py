# SPDX-License-Identifier: MIT
"""Several loops: whether a second one does harm where clients use the same cores, and how many an engine can feed."""

import os
import struct

from ..experiment import Case, Experiment, Home
from ..processes import BenchmarkError
from .cycle import FIGURES, cycle, name_of

SHAPES = [("tcp", 50, 1), ("unix", 50, 1), ("tcp", 10, 16), ("unix", 10, 16)]
REQUESTS = 300_000


def shared_case(shape):
    """Nobody is bound to a core: with two loops there is none to be kept for the generator."""
    transport, *numbers = shape
    return Case(name_of(*shape), ["1 thread", "2 threads"], cycle(*numbers), Home(transport, is_pinned=False))


def held_sums(place):
    """What `held/` has counted in a server so far: entries into the engine, waits for it, nanoseconds, interrupted ones."""
    with open(os.path.join(place.folder, "sums"), "rb") as file:
        return struct.unpack("=4Q", file.read(32))


def inside(connections, in_flight):
    """How long one request keeps the engine from all other loops."""

    def measure(bench, running):
        count = REQUESTS // (10 if bench.quick else 1)
        before = held_sums(running.place)
        result = bench.generate(
            running, "--connections", connections, "--in-flight", in_flight, "--requests", count)
        entries, waits, held, interrupted = (
            after - first for after, first in zip(held_sums(running.place), before, strict=True))
        if entries <= interrupted:
            raise BenchmarkError(f"{running.name} took its lock {entries} times: it doesn't share its engine")
        # The interrupted ones count like all others.
        inside_us = held / (entries - interrupted) * entries / result["requests"] / 1000
        total_us = result["server_ns_per_request"] / 1000
        return {
            "inside us/request": inside_us,
            "server us/request": total_us,
            "full at threads": total_us / inside_us,
            "requests/entry": result["requests"] / entries,
            "entries that waited %": 100 * waits / entries,
            "others": result["others"],
        }

    return measure


def inside_case(shape):
    transport, *numbers = shape
    return Case(name_of(*shape), ["2 threads, timed"], inside(*numbers), Home(transport, is_pinned=False))


def experiments(bench):
    return [
        Experiment(
            "threads", "the cycle with io-threads 1 and 2; server and generator share all cores",
            [shared_case(shape) for shape in SHAPES], FIGURES, rounds=30),
        Experiment(
            "inside", "how long a request is inside of the engine, where there is one loop at a time, of its processor time",
            [inside_case(shape) for shape in SHAPES],
            ["inside us/request", "server us/request", "full at threads", "requests/entry", "entries that waited %"],
            rounds=10),
    ]
