# SPDX-License-Identifier: MIT
"""One run of the suite: its settings, and what every experiment does with servers and the generator."""

import contextlib
import dataclasses
import json
import os
import subprocess
import time

from .processes import CLIENT_CORE, BenchmarkError, end, pinned
from .servers import new_place, started
from .system import busy_seconds, cpu_seconds

# No single run of the generator may take longer, whatever happens.
LIMIT_SECONDS = 300


@dataclasses.dataclass
class Bench:
    binaries: dict
    folder: str
    # Instead of each experiment's own number.
    rounds: int | None = None
    # Measured in a run against a server that was made for it.
    seconds: float = 0.6
    # Measured in one of many short runs against servers that live through all rounds.
    slice_seconds: float = 0.2
    quick: bool = False
    long: bool = False
    # What one experiment found out for the next.
    shared: dict = dataclasses.field(default_factory=dict)

    @contextlib.contextmanager
    def server(self, name, transport="tcp", on_disk=False, is_pinned=True):
        """A new server in a place of its own."""
        with new_place(self.folder if on_disk else None, transport) as place:
            with started(self.binaries, name, place, is_pinned) as running:
                yield running

    def command(self, running, options):
        command = [self.binaries["load"], *running.place.address, "--timeout", "60", *map(str, options)]
        command += ["--floor"] if running.name == "floor" else []
        return pinned(CLIENT_CORE, command) if running.is_pinned else command

    def generate(self, running, *options):
        """Runs the generator against a server; answers what it printed, and what others used of the cores meanwhile."""
        command = self.command(running, ["--json", "--server", running.pid, *options])
        busy, used, began = busy_seconds(), cpu_seconds(running.pid), time.monotonic()
        own = children_seconds()
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            raise BenchmarkError(f"{running.name}: {' '.join(command)} took over {LIMIT_SECONDS} s") from None
        if done.returncode != 0:
            raise BenchmarkError(f"{running.name}: {' '.join(command)}: {done.stderr.strip()}")
        ours = cpu_seconds(running.pid) - used + children_seconds() - own
        others = (busy_seconds() - busy - ours) / (2 * (time.monotonic() - began))
        return {**(json.loads(done.stdout) if done.stdout else {}), "others": max(0.0, others)}

    @contextlib.contextmanager
    def holding(self, running, *options):
        """Connections that are only there, checked at the end."""
        process = subprocess.Popen(
            self.command(running, ["--workload", "hold", *options]),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            if process.stdout.readline() != "ready\n":
                raise BenchmarkError(f"{running.name}: {process.stderr.read().strip()}")
            yield
            process.stdin.close()
            if process.wait(60) != 0:
                raise BenchmarkError(f"{running.name}: {process.stderr.read().strip()}")
        except subprocess.TimeoutExpired:
            raise BenchmarkError(f"{running.name}: the connections that were held did not all answer") from None
        finally:
            end(process, 5)
            for stream in process.stdin, process.stdout, process.stderr:
                stream.close()


def children_seconds():
    """The processor time of all programs that were run to their end."""
    times = os.times()
    return times.children_user + times.children_system


def figures(result):
    """The generator's figures by the names that the tables use."""
    return {
        "requests/s": result["requests_per_second"],
        "server us/request": result["server_ns_per_request"] / 1000,
        "server": result["server_cpu"],
        "client": result["generator_cpu"],
        "others": result["others"],
    }
