# SPDX-License-Identifier: MIT
"""What the server must reach, what it aims at, and what was measured."""

import dataclasses

from .results import spread

# Above this part of its core the generator may be what limits a figure.
BUSY = 0.95


@dataclasses.dataclass(frozen=True)
class Target:
    name: str
    about: str
    experiment: str
    case: str
    figure: str
    must: float
    aim: float
    server: str = "trellisd"
    # What it is divided by: a server of the same case, or another case of the same server; nothing for plain figures.
    other_server: str | None = None
    other_case: str | None = None
    # Whether less is better, and whether the ratio is turned round ("4 times faster" of seconds).
    at_most: bool = False
    inverse: bool = False
    unit: str = ""
    scale: float = 1

    def measured(self, results):
        """The median of the rounds' values with their spread; None where there are none."""
        mine = (self.experiment, self.case, self.server)
        if self.other_server is None and self.other_case is None:
            return spread(v * self.scale for v in results.by_round(*mine, self.figure).values())
        theirs = (self.experiment, self.other_case or self.case, self.other_server or self.server)
        return results.ratio(self.figure, theirs, mine) if self.inverse else results.ratio(self.figure, mine, theirs)

    def is_bound(self, results):
        """Whether the generator was the limit, so that the true figure of the server is better."""
        busy = results.value(self.experiment, self.case, self.server, "client")
        return self.figure.endswith("/s") and busy is not None and busy.median > BUSY

    def reaches(self, value, bound):
        return value <= bound if self.at_most else value >= bound

    def verdict(self, results):
        value = self.measured(results)
        if value is None:
            return "not measured"
        if self.reaches(value.median, self.aim):
            return "aim"
        if self.reaches(value.median, self.must):
            return "must"
        short = value.median / self.must - 1 if self.at_most else 1 - value.median / self.must
        return f"missed by {short:.0%}"


def to_reference(name, about, experiment, case, must, aim, figure="requests/s", at_most=False):
    return Target(name, about, experiment, case, figure, must, aim, other_server="beanstalkd", at_most=at_most)


def to_own(name, about, experiment, case, other_case, must, aim, figure="requests/s"):
    return Target(name, about, experiment, case, figure, must, aim, other_case=other_case)


def plain(name, about, experiment, case, figure, must, aim, unit, scale=1.0):
    return Target(name, about, experiment, case, figure, must, aim, at_most=True, unit=unit, scale=scale)


TARGETS = [
    to_reference("cycle-tcp-c50-p1", "cycle, TCP, C50 P1", "cycle", "tcp-c50-p1", 1.4, 1.5),
    to_reference("cycle-unix-c50-p1", "cycle, Unix, C50 P1", "cycle", "unix-c50-p1", 1.85, 2.2),
    to_reference("cycle-tcp-c10-p16", "cycle, TCP, C10 P16", "cycle", "tcp-c10-p16", 13, 17),
    to_reference("cycle-tcp-c10-p64", "cycle, TCP, C10 P64", "cycle", "tcp-c10-p64", 30, 45),
    to_reference("put-64B", "put of 64 B, TCP, C10 P16", "put", "64B", 11, 15),
    to_reference("put-32KiB", "put of 32 KiB, TCP, C10 P16", "put", "32KiB", 1.7, 2.5),
    to_reference("depth-1000000", "cycle, TCP, C10 P16, 10^6 resident jobs", "depth", "1000000", 9, 12),
    Target(
        "cpu-to-floor", "server CPU per request, C50 P1, to the C floor", "cycle", "tcp-c50-p1", "server us/request",
        1.3, 1.15, other_server="floor", at_most=True),
    to_own("tubes-10000", "cycle with 10^4 tubes to one (own)", "tubes", "10000", "1", 0.95, 1.0),
    to_own("depth-own", "cycle with 10^6 resident jobs to 10^3 (own)", "depth", "1000000", "1000", 0.92, 0.98),
    to_own("idle-10000", "cycle with 10^4 idle connections to none (own)", "idle", "10000", "0", 0.95, 1.0),
    to_own(
        "watch-1000", "cycle with 10^3 waiters on the same 10^3 tubes to one (own)", "watch", "same-1000", "one",
        0.5, 0.9, "jobs/s"),
    to_reference("handoff-jobs", "producer to consumer, C50: jobs per second", "handoff", "tcp", 1.5, 1.8, "jobs/s"),
    to_reference("handoff-p99", "producer to consumer, C50: p99", "handoff", "tcp", 0.7, 0.5, "p99 us", at_most=True),
    plain(
        "memory-job", "memory per resident 64-byte job over its body", "memory-job", "1000000",
        "bytes/job over its body", 110, 80, "bytes"),
    plain(
        "memory-kept", "memory per job kept after a drain", "memory-job", "1000000", "bytes/job kept after a drain",
        20, 5, "bytes"),
    plain(
        "memory-connection", "memory per idle connection", "memory-connection", "10000", "bytes/connection", 500, 300,
        "bytes"),
    *(
        plain(
            f"kick-{kind}-p99", f"other clients' p99 while 500,000 {kind} jobs are kicked", "kick", kind, "p99 us",
            10, 3, "ms", 1e-3)
        for kind in ("buried", "delayed")
    ),
    Target(
        "restart", "restart with 10^6 jobs, times faster", "restart", "1000000", "seconds", 4, 8, server="50ms",
        other_server="beanstalkd -f50", inverse=True),
]


def missed(results, required):
    """The lines about the requirements (name → value) that were not met, or not measured."""
    by_name = {target.name: target for target in TARGETS}
    lines = []
    for name, bound in required:
        target = by_name[name]
        value = target.measured(results)
        if value is None:
            lines.append(f"{name}: required {bound:g}, but not measured")
        elif not target.reaches(value.median, bound):
            direction = "at most" if target.at_most else "at least"
            lines.append(f"{name}: {value.median:.3g}, required {direction} {bound:g}")
    return lines
