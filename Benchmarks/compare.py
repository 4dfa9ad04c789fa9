#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares trellisd with Debian's beanstalkd, side by side. Benchmarks/README.md says how."""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)

# name, transport, connections, requests in flight on each
WORKLOADS = [
    ("tcp-c50-p1", "tcp", 50, 1),
    ("unix-c50-p1", "unix", 50, 1),
    ("tcp-c10-p16", "tcp", 10, 16),
]
SERVER_CORE, CLIENT_CORE = 0, 1
STARTUP_SECONDS = 10


class BenchmarkError(Exception):
    """Something that makes the comparison worthless; told in one line."""


def pinned(core, command):
    """The command, bound to one core where there are two to choose from."""
    if not shutil.which("taskset") or len(os.sched_getaffinity(0)) < 2:
        return command
    return ["taskset", "-c", str(core)] + command


def build_load(folder):
    """Compiles the load generator and answers its path."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("clang")
    if not compiler:
        raise BenchmarkError("no C compiler: install one, or name it in CC")
    output = os.path.join(folder, "load")
    source = os.path.join(HERE, "load", "load.c")
    subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-o", output, source], check=True)
    return output


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def beanstalkd(binary):
    """Starts one listening on TCP or a Unix socket: it cannot do both at once."""

    def command(folder, transport, port, path):
        return [binary, "-l", "unix:" + path] if transport == "unix" else [binary, "-l", "127.0.0.1", "-p", str(port)]

    return command


def trellisd(binary):
    """Starts one with memory storage, from a configuration file made for the run."""

    def command(folder, transport, port, path):
        configuration = os.path.join(folder, "trellis.yaml")
        with open(configuration, "w") as file:
            file.write(
                "storage: {use: memory}\n"
                "transports:\n"
                f'  - {{use: tcp, listen: "127.0.0.1:{port}"}}\n'
                f'  - {{use: unix, path: "{path}"}}\n'
                "limits: {job-size: 65535}\n"
            )
        return [binary, "--config", configuration]

    return command


def answers(transport, port, path):
    """Whether a connection can be made."""
    family, address = (socket.AF_UNIX, path) if transport == "unix" else (socket.AF_INET, ("127.0.0.1", port))
    with socket.socket(family) as probe:
        probe.settimeout(1)
        try:
            probe.connect(address)
        except OSError:
            return False
        return True


def cpu_seconds(pid):
    """What a process has used so far."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def running(name, command, transport):
    """A server on its core; it is ended by its process id however the block ends. Yields (process, address)."""
    with tempfile.TemporaryDirectory(prefix="trellis-bench-") as folder:
        port, path = free_port(), os.path.join(folder, "socket")
        log = os.path.join(folder, "log")
        with open(log, "wb") as output:
            process = subprocess.Popen(
                pinned(SERVER_CORE, command(folder, transport, port, path)),
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )
        try:
            deadline = time.monotonic() + STARTUP_SECONDS
            while not answers(transport, port, path):
                if process.poll() is not None or time.monotonic() > deadline:
                    with open(log, errors="replace") as text:
                        raise BenchmarkError(f"{name} does not answer: {text.read().strip() or 'it said nothing'}")
                time.sleep(0.02)
            yield process, ["--unix", path] if transport == "unix" else ["--tcp", f"127.0.0.1:{port}"]
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def measure(load, name, command, workload, seconds, warmup, size):
    """One figure: a fresh server, a warm-up, then the run."""
    _, transport, connections, in_flight = workload
    with running(name, command, transport) as (process, address):
        arguments = [load, *address, "--connections", str(connections), "--in-flight", str(in_flight), "--json"]
        arguments += ["--workload", "cycle", "--size", str(size)]
        arguments += ["--seconds", str(seconds), "--warmup", str(warmup)]
        used, began = cpu_seconds(process.pid), time.monotonic()
        done = subprocess.run(pinned(CLIENT_CORE, arguments), stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise BenchmarkError(f"{name}, {workload[0]}: {done.stderr.strip()}")
        result = json.loads(done.stdout)
        result["server_cpu"] = (cpu_seconds(process.pid) - used) / (time.monotonic() - began)
        return result


def compare(load, servers, rounds, seconds, warmup, size, progress):
    """All rounds of all workloads. The order of the servers alternates, so that drift of the machine hits both."""
    results = {workload[0]: {name: [] for name, _ in servers} for workload in WORKLOADS}
    for index in range(rounds):
        for workload in WORKLOADS:
            for name, command in servers if index % 2 == 0 else servers[::-1]:
                result = measure(load, name, command, workload, seconds, warmup, size)
                results[workload[0]][name].append(result)
                progress(f"round {index + 1}/{rounds}  {workload[0]:<12} {name:<14}{rate(result):>10,.0f} requests/s")
    return results


def rate(result):
    return result["requests_per_second"]


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def summarise(results, reference, subject):
    """Medians and spreads; the ratio is the median of the ratios of each round."""
    summary = {}
    for workload, by_server in results.items():
        ratios = [rate(ours) / rate(theirs) for ours, theirs in zip(by_server[subject], by_server[reference])]
        summary[workload] = {
            "requests_per_second": {name: spread([rate(r) for r in rows]) for name, rows in by_server.items()},
            "generator_cpu": {name: spread([r["generator_cpu"] for r in rows]) for name, rows in by_server.items()},
            "server_cpu": {name: spread([r["server_cpu"] for r in rows]) for name, rows in by_server.items()},
            "ratio": spread(ratios),
        }
    return summary


def table(summary):
    lines = [
        f"{'workload':<13}{'server':<15}{'requests/s':>11}  {'min - max':<20}{'server':>7}{'client':>8}"
        f"   {'ratio':<7}{'min - max'}"
    ]
    for workload, row in summary.items():
        last = list(row["requests_per_second"])[-1]
        for name, figures in row["requests_per_second"].items():
            line = f"{workload:<13}{name:<15}{figures['median']:>11,.0f}  "
            line += f"{figures['min']:,.0f} - {figures['max']:,.0f}".ljust(20)
            line += f"{row['server_cpu'][name]['median']:>7.0%}{row['generator_cpu'][name]['median']:>8.0%}"
            if name == last:
                ratio = row["ratio"]
                line += f"   {ratio['median']:<7.2f}{ratio['min']:.2f} - {ratio['max']:.2f}"
            lines.append(line)
    return "\n".join(lines)


def parse_requirement(text):
    name, _, least = text.partition("=")
    if name not in [workload[0] for workload in WORKLOADS]:
        raise argparse.ArgumentTypeError(f"unknown workload {name}")
    return name, float(least)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trellisd", default=os.path.join(ROOT, ".build-release", "release", "trellisd"))
    parser.add_argument("--beanstalkd", default=shutil.which("beanstalkd") or "/usr/bin/beanstalkd")
    parser.add_argument("--self", action="store_true", help="beanstalkd against itself: what the noise is")
    parser.add_argument("--rounds", type=int, help="of every workload and server (5; 2 with --quick)")
    parser.add_argument("--seconds", type=float, help="measured in each run (3; 1 with --quick)")
    parser.add_argument("--size", type=int, default=64, help="bytes of a job (64)")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--json", action="store_true", help="print every figure as JSON instead of the table")
    parser.add_argument(
        "--require", action="append", type=parse_requirement, default=[], metavar="WORKLOAD=RATIO",
        help="exit 1 if the median ratio of a workload is lower",
    )
    arguments = parser.parse_args()
    rounds = arguments.rounds or (2 if arguments.quick else 5)
    seconds = arguments.seconds or (1 if arguments.quick else 3)
    warmup = 0.3 if arguments.quick else 1
    # Ended like this, the servers are still ended by the `finally` above.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    subject = "beanstalkd-2" if arguments.self else "trellisd"
    servers = [
        ("beanstalkd", beanstalkd(arguments.beanstalkd)),
        (subject, beanstalkd(arguments.beanstalkd) if arguments.self else trellisd(arguments.trellisd)),
    ]
    for binary in [arguments.beanstalkd] + ([] if arguments.self else [arguments.trellisd]):
        if not os.access(binary, os.X_OK):
            raise BenchmarkError(f"{binary} is not there; `make bench` builds what is needed")

    def progress(line):
        print(line, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="trellis-load-") as folder:
        load = build_load(folder)
        results = compare(load, servers, rounds, seconds, warmup, arguments.size, progress)
    summary = summarise(results, "beanstalkd", subject)
    if arguments.json:
        print(json.dumps({"rounds": rounds, "seconds": seconds, "summary": summary, "runs": results}, indent=2))
    else:
        print(table(summary))
    missed = [(name, least) for name, least in arguments.require if summary[name]["ratio"]["median"] < least]
    for name, least in missed:
        print(f"{name}: the ratio is {summary[name]['ratio']['median']:.2f}, required {least:.2f}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(f"compare.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
