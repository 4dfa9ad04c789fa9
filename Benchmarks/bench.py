#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures trellisd beside Debian's beanstalkd and a floor, and says which targets are reached.

Benchmarks/README.md says how.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time

from suite.bench import Bench
from suite.experiment import run
from suite.experiments import all_experiments
from suite.plot import svg
from suite.processes import ROOT, BenchmarkError, build, can_pin
from suite.report import markdown, tables, text
from suite.results import Results, Row
from suite.system import disk, machine
from suite.targets import TARGETS, missed

ON_DISK = {"always", "sync", "restart", "compression"}


def requirement(argument):
    name, _, bound = argument.partition("=")
    if name not in [target.name for target in TARGETS]:
        raise argparse.ArgumentTypeError(f"unknown target {name}; --list names them")
    try:
        return name, float(bound)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{name} wants a number: {name}=1.3") from None


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiment", nargs="*", help="only these; all by default")
    parser.add_argument("--list", action="store_true", help="name the experiments and the targets, and stop")
    parser.add_argument("--quick", action="store_true", help="fewer, shorter and smaller: a few minutes")
    parser.add_argument("--long", action="store_true", help="a depth of 10^7 jobs, too")
    parser.add_argument("--rounds", type=int, help="of each experiment, instead of its own number")
    parser.add_argument(
        "--seconds", type=float,
        help="measured in a run against a server made for it (0.6); one against a server that lives on takes a third")
    parser.add_argument("--json", metavar="FILE", help="write every figure there; - is the standard output")
    parser.add_argument("--plot", metavar="FILE.svg", help="draw the growth curves")
    parser.add_argument("--markdown", action="store_true", help="print Markdown, as docs/performance.md has it")
    parser.add_argument("--from", dest="sources", action="append", default=[], metavar="FILE",
                        help="measure nothing, and report what --json wrote; more than one are put together")
    parser.add_argument("--require", action="append", type=requirement, default=[], metavar="TARGET=VALUE",
                        help="exit 1 if a target's median is worse than this")
    parser.add_argument("--folder", default=ROOT, help="where logs go: a folder on the disk to measure")
    parser.add_argument("--trellisd", default=os.path.join(ROOT, ".build-release", "release", "trellisd"))
    parser.add_argument("--beanstalkd", default=shutil.which("beanstalkd") or "/usr/bin/beanstalkd")
    return parser.parse_args()


def progress(line):
    print(line, file=sys.stderr, flush=True)


def show_list(experiments):
    print("experiments:")
    for experiment in experiments:
        print(f"  {experiment.name:<18} {experiment.about}")
        print(f"  {'':<18} {', '.join(case.name for case in experiment.cases)}")
    print("targets, for --require:")
    for target in TARGETS:
        print(f"  {target.name:<18} {target.about}: {'at most' if target.at_most else 'at least'} {target.must:g}")


def chosen(names, experiments):
    unknown = set(names) - {experiment.name for experiment in experiments}
    if unknown:
        raise BenchmarkError(f"unknown: {', '.join(sorted(unknown))}; --list names them")
    return [e for e in experiments if not names or e.name in names]


def measure(bench, experiments):
    """Runs the experiments; answers the results and what they were measured on."""
    for name in "trellisd", "beanstalkd":
        if not os.access(bench.binaries[name], os.X_OK):
            raise BenchmarkError(f"{bench.binaries[name]} is not there; `make bench` builds what is needed")
    about = machine({name: bench.binaries[name] for name in ("trellisd", "beanstalkd")})
    about["pinned"] = can_pin()
    if not can_pin():
        progress("without taskset and two cores, server and generator share cores: the figures are worth little")
    if ON_DISK & {experiment.name for experiment in experiments}:
        about["disk"] = disk(bench.folder)
    progress("; ".join(f"{key}: {value}" for key, value in about.items()))
    results, failures, began = Results(), [], time.monotonic()
    with tempfile.TemporaryDirectory(prefix="trellis-programs-") as folder:
        for program in "load", "floor":
            bench.binaries[program] = build(program, folder)
        bench.binaries["held"] = build("held", folder, "-shared", "-fPIC")
        with contextlib.suppress(KeyboardInterrupt):
            # What there is by then is worth a table.
            failures = run(bench, experiments, results, progress)
    progress(f"{time.monotonic() - began:.0f} s")
    return results, about, failures


def read(sources, bench):
    """What earlier runs wrote, put together; takes over how large they were."""
    results, about = Results(), {}
    for source in sources:
        try:
            with open(source) as file:
                content = json.load(file)
            about = {**content["machine"], **about}
            bench.quick, bench.long = content["quick"], bench.long or content["long"]
            for row in content["rows"]:
                results.add(Row(**row))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BenchmarkError(f"{source} is not what --json writes: {error}") from None
    return results, about, []


def write(arguments, bench, experiments, results, about):
    if arguments.plot:
        picture = svg(experiments, results)
        if picture is None:
            progress("no growth curve was measured, so that none is drawn")
        else:
            with open(arguments.plot, "w", encoding="utf-8") as file:
                file.write(picture)
    if arguments.json:
        content = {
            "machine": about,
            "quick": bench.quick,
            "long": bench.long,
            "rows": [vars(row) for row in results.rows],
            "targets": {t.name: {"must": t.must, "aim": t.aim, "verdict": t.verdict(results),
                                 "measured": vars(t.measured(results)) if t.measured(results) else None}
                        for t in TARGETS},
        }
        with contextlib.ExitStack() as stack:
            output = sys.stdout if arguments.json == "-" else stack.enter_context(open(arguments.json, "w"))
            json.dump(content, output, indent=1)
    if arguments.json == "-":
        return
    made = tables(experiments, results)
    if arguments.markdown:
        # On a page the verdicts come first; on a terminal they stand where the eye is, at the end.
        print("\n".join(f"- {key}: {value}" for key, value in about.items()) + "\n")
        print("\n\n".join(map(markdown, made[-1:] + made[:-1])))
    else:
        print("\n\n".join(map(text, made)))


def main():
    arguments = options()
    bench = Bench(
        {"trellisd": arguments.trellisd, "beanstalkd": arguments.beanstalkd}, os.path.realpath(arguments.folder),
        rounds=arguments.rounds,
        seconds=arguments.seconds or 0.6, slice_seconds=(arguments.seconds or 0.6) / 3,
        quick=arguments.quick, long=arguments.long)
    if arguments.sources:
        results, about, failures = read(arguments.sources, bench)
    experiments = all_experiments(bench)
    if arguments.list:
        show_list(experiments)
        return 0
    # Ended like this, the servers are still ended by the `finally` of their blocks.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wanted = chosen(arguments.experiment, experiments)
    if not arguments.sources:
        results, about, failures = measure(bench, wanted)
    write(arguments, bench, wanted, results, about)
    failures += missed(results, arguments.require)
    for line in failures:
        progress(line)
    return 1 if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(f"bench.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
