#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Counts what a request costs the server: instructions (callgrind) and allocations, and compares with budgets.json.

Both are counted over the difference of a short and a long run of the same load, so that starting and stopping don't
count. Instructions are those of the process, libraries included; the kernel's aren't seen. They hardly depend on what else
the machine does, unlike times. Exit status 1 where a budget is exceeded, or lies too far above what was counted.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from suite.processes import BenchmarkError, ROOT, build, end

HERE = os.path.dirname(os.path.abspath(__file__))
BUDGETS = os.path.join(HERE, "budgets.json")
SHORT, LONG = 3_000, 33_000

# name: storage, connections, requests in flight on each, bytes of a body
WORKLOADS = {
    "memory-c1-p16": ("use: memory", 1, 16, 64),
    "memory-c10-p1": ("use: memory", 10, 1, 64),
    "binlog-c1-p16": ("use: binlog, sync: never", 1, 16, 64),
    "zstd-c1-p16": ("use: compressed-binlog, sync: never", 1, 16, 64),
}


def stripped(binary, folder):
    """A copy without debug information, of which valgrind can't read all forms."""
    output = os.path.join(folder, "trellisd")
    subprocess.run([shutil.which("strip") or "llvm-strip", "-g", "-o", output, binary], check=True)
    return output


def answers(path):
    """Whether a connection can be made."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


def requests_done(path):
    """How many commands of the cycle the server has performed, as it says itself."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.settimeout(60)
        connection.sendall(b"stats\r\n")
        reply = b""
        while b"\nhostname:" not in reply:
            part = connection.recv(1 << 16)
            if not part:
                raise BenchmarkError("the server closed the connection")
            reply += part
    values = dict(line.split(": ", 1) for line in reply.decode().splitlines() if ": " in line)
    return sum(int(values[key]) for key in ("cmd-put", "cmd-reserve", "cmd-delete"))


def run(binary, load, storage, shape, requests, folder, prefix=(), environment=None):
    """One server, one load, one clean stop; answers how many requests it performed."""
    connections, in_flight, size = shape
    place = tempfile.mkdtemp(dir=folder)
    path, configuration = os.path.join(place, "socket"), os.path.join(place, "trellis.yaml")
    directory = "" if "memory" in storage else f', directory: "{place}/data"'
    with open(configuration, "w") as file:
        file.write(f'storage: {{{storage}{directory}}}\ntransports: [{{use: unix, path: "{path}"}}]\n')
    with open(os.path.join(place, "log"), "w+") as log:
        process = subprocess.Popen(
            [*prefix, binary, "--config", configuration], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={**os.environ, **(environment or {})})
        try:
            deadline = time.monotonic() + 60
            while not answers(path):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise BenchmarkError(f"the server does not answer: {log.read().strip()}")
                time.sleep(0.05)
            arguments = [load, "--unix", path, "--connections", str(connections), "--in-flight", str(in_flight)]
            arguments += ["--size", str(size), "--requests", str(requests), "--timeout", "60", "--json"]
            subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
            done = requests_done(path)
        finally:
            end(process, 60)
        return done


def instructions(binary, load, storage, shape, requests, folder):
    output = os.path.join(tempfile.mkdtemp(dir=folder), "callgrind.out")
    prefix = ["valgrind", "--tool=callgrind", "--callgrind-out-file=" + output]
    done = run(binary, load, storage, shape, requests, folder, prefix)
    with open(output) as file:
        total = next(int(line.split()[1]) for line in file if line.startswith(("summary:", "totals:")))
    return total, done


def allocations(binary, load, storage, shape, requests, folder, counter):
    output = os.path.join(tempfile.mkdtemp(dir=folder), "allocations")
    environment = {"LD_PRELOAD": counter, "ALLOCATIONS_FILE": output}
    done = run(binary, load, storage, shape, requests, folder, environment=environment)
    with open(output) as file:
        return int(file.read()), done


def per_request(count):
    """The cost of a request, from a short and a long run."""
    (short, few), (long, many) = count(SHORT), count(LONG)
    return (long - short) / (many - few)


def measure(binary, load, counter, name, folder):
    storage, *shape = WORKLOADS[name]
    return {
        "instructions": round(per_request(
            lambda requests: instructions(binary, load, storage, shape, requests, folder))),
        # Never below 0: what one run takes at its start and the other doesn't may tip the difference.
        "allocations": max(0.0, round(per_request(
            lambda requests: allocations(binary, load, storage, shape, requests, folder, counter)), 2)),
    }


def verdicts(counted, budgets, tolerance):
    """A line for each figure that isn't within its budget; none where all are."""
    lines = []
    for name, figures in counted.items():
        for figure, value in figures.items():
            budget = budgets.get(name, {}).get(figure)
            if budget is None:
                lines.append(f"{name}: no budget for {figure}; --write makes one")
            elif value > budget * (1 + tolerance) + (0.02 if figure == "allocations" else 0):
                lines.append(f"{name}: {value:g} {figure} a request, and the budget is {budget:g}")
            elif figure == "instructions" and value < budget * (1 - tolerance):
                lines.append(f"{name}: only {value:g} {figure} a request; lower its budget of {budget:g} by --write")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trellisd", default=os.path.join(ROOT, ".build-release", "release", "trellisd"))
    parser.add_argument("--tolerance", type=float, default=0.05, help="how far off a figure may be (0.05)")
    parser.add_argument("--write", action="store_true", help="make what is counted the budgets")
    parser.add_argument("workload", nargs="*", help=f"only these: {', '.join(WORKLOADS)}")
    arguments = parser.parse_args()
    for name in arguments.workload:
        if name not in WORKLOADS:
            raise BenchmarkError(f"unknown workload {name}; there are {', '.join(WORKLOADS)}")
    if not shutil.which("valgrind"):
        raise BenchmarkError("valgrind is missing; install it, Debian calls it valgrind")
    with open(BUDGETS) as file:
        budgets = json.load(file)
    counted = {}
    with tempfile.TemporaryDirectory(prefix="trellis-budget-", dir=ROOT) as folder:
        load, counter = build("load", folder), build("allocations", folder, "-shared", "-fPIC")
        binary = stripped(arguments.trellisd, folder)
        for name in arguments.workload or WORKLOADS:
            counted[name] = measure(binary, load, counter, name, folder)
            print(f"{name:<16}{counted[name]['instructions']:>8,} instructions"
                  f"{counted[name]['allocations']:>8.2f} allocations a request", flush=True)
    if arguments.write:
        with open(BUDGETS, "w") as file:
            json.dump({**budgets, **counted}, file, indent=2)
            file.write("\n")
        return 0
    lines = verdicts(counted, budgets, arguments.tolerance)
    for line in lines:
        print(line, file=sys.stderr)
    return 1 if lines else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(f"budget.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
