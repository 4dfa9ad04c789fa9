# SPDX-License-Identifier: MIT
"""put → reserve → delete: requests per second, processor time and system calls per request."""

from ..bench import figures
from ..experiment import Case, Experiment, Home
from ..system import CallCounter

FIGURES = ["requests/s", "server us/request", "server", "client"]
TWO = ["beanstalkd", "trellisd"]
THREE = [*TWO, "floor"]

# transport, connections, in flight: those that have targets
MAIN = [("tcp", 50, 1), ("unix", 50, 1), ("tcp", 10, 16), ("tcp", 10, 64)]
MATRIX = [(t, c, p) for t in ("tcp", "unix") for c in (1, 10, 50, 200) for p in (1, 16, 64)]


def name_of(transport, connections, in_flight):
    return f"{transport}-c{connections}-p{in_flight}"


def cycle(connections, in_flight, *more):
    """What measures a short stretch of the cycle on a server that lives on."""

    def measure(bench, running):
        return figures(bench.generate(
            running, "--connections", connections, "--in-flight", in_flight,
            "--seconds", bench.slice_seconds, "--warmup", bench.slice_seconds / 5, *more))

    return measure


def cycle_case(shape, servers):
    transport, *numbers = shape
    return Case(name_of(*shape), servers, cycle(*numbers), Home(transport))


def calls(connections, in_flight):
    """A short run that counts the server's system calls."""

    def measure(bench, running):
        shape = ["--connections", connections, "--in-flight", in_flight]
        counter = CallCounter(running.pid)
        try:
            result = bench.generate(running, *shape, "--requests", 30_000)
        finally:
            count = counter.finish()
        return {"calls/request": count / result["requests"]}

    return measure


def experiments(bench):
    rest = [shape for shape in MATRIX if shape not in MAIN]
    if bench.quick:
        rest = [shape for shape in rest if shape[1] in (1, 200) and shape[2] in (1, 64)]
    calls_cases = [Case(name_of("tcp", c, p), THREE, calls(c, p), Home()) for c, p in ((50, 1), (10, 16))]
    return [
        Experiment(
            "cycle", "put, reserve, delete of 64 bytes",
            [cycle_case(shape, [*THREE, "beanstalkd again"]) for shape in MAIN], FIGURES, rounds=30),
        Experiment("calls", "system calls of the server", calls_cases, ["calls/request"], rounds=1),
        Experiment(
            "shapes", "the same cycle with other numbers of connections and requests in flight",
            [cycle_case(shape, TWO) for shape in rest], FIGURES, rounds=5),
    ]
