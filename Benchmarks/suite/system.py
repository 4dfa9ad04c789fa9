# SPDX-License-Identifier: MIT
"""What the system says: processor time, memory, system calls, the disk, the machine."""

import contextlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from .processes import CLIENT_CORE, SERVER_CORE, BenchmarkError, can_pin, end

# MARK: Processor time


def cpu_seconds(pid):
    """What a process has used so far, all its threads."""
    # What clock_getcpuclockid(3) makes of it.
    return time.clock_gettime((~pid << 3) | 2)


def busy_seconds():
    """How long the two cores that are measured on were busy so far, or taken away by the host."""
    cores = {f"cpu{SERVER_CORE}", f"cpu{CLIENT_CORE}"}
    ticks = 0
    with open("/proc/stat") as lines:
        for line in lines:
            name, *fields = line.split()
            if name in cores or (name == "cpu" and not can_pin()):
                user, nice, system, _, _, interrupt, soft, stolen = map(int, fields[:8])
                ticks += user + nice + system + interrupt + soft + stolen
    return ticks / os.sysconf("SC_CLK_TCK")


# MARK: Memory


def resident_bytes(pid):
    """The pages of a process that are in memory; exact, unlike VmRSS."""
    with open(f"/proc/{pid}/smaps_rollup") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("Rss:")) * 1024


def warm_memory(count):
    """Touches so many bytes and gives them back, so that what comes next finds memory that the machine has.

    On a virtual machine the host takes free memory away after seconds and clears it anew page by page when it is touched:
    up to 4 us for each 4 KiB, many times what a server does, and it falls to whoever comes first.
    """
    subprocess.run([sys.executable, "-c", f"b'\\1' * {count}"], check=True)


def peak_bytes(pid):
    with open(f"/proc/{pid}/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024


def settled_bytes(pid, patience=8):
    """Its memory once that has not changed for a second."""
    last, since, limit = resident_bytes(pid), time.monotonic(), time.monotonic() + patience
    while time.monotonic() < limit and time.monotonic() - since < 1:
        time.sleep(0.1)
        size = resident_bytes(pid)
        if size != last:
            last, since = size, time.monotonic()
    return last


# MARK: System calls


class CallCounter:
    """Counts the system calls of a process. perf costs the process nearly nothing; strace slows it down."""

    def __init__(self, pid):
        self.file = tempfile.NamedTemporaryFile(prefix="trellis-calls-", mode="r")
        name = self.file.name
        tools = [
            ("perf", ["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "-o", name, "-p", str(pid)]),
            ("strace", ["strace", "-c", "-f", "-o", name, "-p", str(pid)]),
        ]
        self.process = None
        for self.tool, command in tools:
            if not shutil.which(command[0]):
                continue
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.5)
            if self.process.poll() is None:
                return
        raise NotMeasured("system calls: neither perf nor strace may look at the server (apt install strace)")

    def finish(self):
        """Stops counting and answers how many there were."""
        self.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        end(self.process, 5)
        with self.file:
            return calls_in(self.tool, self.file.read())


class NotMeasured(Exception):
    """This machine does not allow it; the rest goes on."""


def calls_in(tool, text):
    """The count in what perf or strace wrote."""
    if tool == "perf" and (found := re.search(r"^(\d+),[^,]*,raw_syscalls:sys_enter", text, re.MULTILINE)):
        return int(found[1])
    # The table's columns stand below their heads; some have no value in the last line, which is the sum.
    head = next((line for line in text.splitlines() if "calls" in line), "")
    last = next((line for line in text.splitlines() if line.endswith(" total")), "")
    words = last[: head.find("calls") + len("calls")].split()
    if tool == "strace" and len(words) > 2:
        return int(words[-1])
    raise NotMeasured(f"system calls: {tool} counted none")


# MARK: The disk


def file_system(folder):
    """The kind of file system a folder lies on, and where it is mounted."""
    best = ("", "unknown")
    with open("/proc/mounts") as mounts:
        for line in mounts:
            _, place, kind = line.split()[:3]
            inside = folder == place or folder.startswith(place.rstrip("/") + "/")
            if inside and len(place) >= len(best[0]):
                best = (place, kind)
    return best[1], best[0]


def sync_rate(folder, seconds=1.0):
    """How many writes of 4 KiB into zeroed space the disk syncs in a second."""
    descriptor, path = tempfile.mkstemp(prefix="trellis-rate-", dir=folder)
    try:
        size = 16 << 20
        os.pwrite(descriptor, bytes(size), 0)
        os.fsync(descriptor)
        block, count, finish = os.urandom(4096), 0, time.monotonic() + seconds
        while time.monotonic() < finish:
            os.pwrite(descriptor, block, count * 4096 % size)
            os.fdatasync(descriptor)
            count += 1
        return count / seconds
    finally:
        os.close(descriptor)
        os.unlink(path)


def disk(folder):
    """What the logs are written to; refuses memory."""
    kind, place = file_system(folder)
    if kind in ("tmpfs", "ramfs"):
        raise BenchmarkError(f"{folder} is in memory ({kind}); name a folder on a disk by --folder")
    return {"file system": kind, "mounted at": place, "syncs of 4 KiB a second": round(sync_rate(folder))}


# MARK: The machine


def version_of(binary):
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run([binary, "-v"], capture_output=True, text=True, timeout=5)
        return done.stdout.strip() or "unknown"
    return "unknown"


def machine(binaries):
    model = "unknown"
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as lines:
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        **{name: version_of(path) for name, path in binaries.items()},
    }
