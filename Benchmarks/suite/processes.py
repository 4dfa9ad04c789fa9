# SPDX-License-Identifier: MIT
"""Starting and ending programs, and compiling those of our own."""

import glob
import os
import shutil
import socket
import subprocess

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(HERE)
SERVER_CORE, CLIENT_CORE = 0, 1


class BenchmarkError(Exception):
    """Something that makes the figures worthless; told in one line."""


def can_pin():
    return shutil.which("taskset") is not None and {SERVER_CORE, CLIENT_CORE} <= os.sched_getaffinity(0)


def pinned(core, command):
    """The command, bound to one core where there are two to choose from."""
    return ["taskset", "-c", str(core), *command] if can_pin() else list(command)


def build(program, folder, *flags):
    """Compiles one of our C programs (`load`, `floor`, `allocations`, `held`) and answers its path."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("clang")
    if not compiler:
        raise BenchmarkError("no C compiler: install one, or name it in CC")
    output = os.path.join(folder, program)
    sources = sorted(glob.glob(os.path.join(HERE, program, "*.c")))
    subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-Werror", *flags, "-o", output, *sources], check=True)
    return output


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def end(process, patience=30):
    """Ends a process that was started here, by force if it does not go."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
