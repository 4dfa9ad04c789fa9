# SPDX-License-Identifier: MIT
"""The servers that are compared, and how each is started."""

import contextlib
import dataclasses
import os
import shutil
import socket
import subprocess
import tempfile
import time

from .processes import SERVER_CORE, BenchmarkError, end, free_port, pinned

STARTUP_SECONDS = 60
JOB_SIZE = 1 << 20


@dataclasses.dataclass
class Place:
    """Where a server lives: its files, and the address that clients use."""

    folder: str
    transport: str
    port: int

    @property
    def socket(self):
        return os.path.join(self.folder, "socket")

    @property
    def data(self):
        """The folder of its log."""
        return os.path.join(self.folder, "data")

    @property
    def address(self):
        return ["--unix", self.socket] if self.transport == "unix" else ["--tcp", f"127.0.0.1:{self.port}"]

    def connect(self, timeout=60):
        if self.transport != "unix":
            return socket.create_connection(("127.0.0.1", self.port), timeout)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout)
        try:
            connection.connect(self.socket)
        except OSError:
            connection.close()
            raise
        return connection


def beanstalkd(*flags):
    """Listens on TCP or a Unix socket: it cannot do both at once. With flags of its binlog it keeps one."""

    def command(binaries, place):
        listen = ["-l", "127.0.0.1", "-p", str(place.port)]
        if place.transport == "unix":
            listen = ["-l", "unix:" + place.socket]
        log = ["-b", place.data, *flags] if flags else []
        return [binaries["beanstalkd"], "-z", str(JOB_SIZE), *listen, *log]

    return command


def trellisd(storage, threads=1):
    def command(binaries, place):
        directory = "" if "memory" in storage else f', directory: "{place.data}"'
        listen = f'use: unix, path: "{place.socket}"'
        if place.transport != "unix":
            listen = f'use: tcp, listen: "127.0.0.1:{place.port}"'
        configuration = os.path.join(place.folder, "trellis.yaml")
        with open(configuration, "w") as file:
            file.write(
                f"storage: {{{storage}{directory}}}\n"
                f"transports: [{{{listen}}}]\n"
                f"limits: {{memory: 16GiB, job-size: {JOB_SIZE}}}\n"
                f"io-threads: {threads}\n"
            )
        return [binaries["trellisd"], "--config", configuration]

    return command


def timed(server):
    """The server with `held/`, whose sums lie in its folder."""

    def command(binaries, place):
        variables = [f"LD_PRELOAD={binaries['held']}", f"HELD_FILE={os.path.join(place.folder, 'sums')}"]
        return ["env", *variables, *server(binaries, place)]

    return command


def floor(binaries, place):
    return [binaries["floor"], *place.address]


SERVERS = {
    "beanstalkd": beanstalkd(),
    # A second one: what differs between it and the first is the noise of the machine.
    "beanstalkd again": beanstalkd(),
    "trellisd": trellisd("use: memory"),
    "1 thread": trellisd("use: memory"),
    "2 threads": trellisd("use: memory", threads=2),
    "2 threads, timed": timed(trellisd("use: memory", threads=2)),
    "floor": floor,
    "beanstalkd -f0": beanstalkd("-f0"),
    "beanstalkd -f50": beanstalkd("-f50"),
    "always": trellisd("use: binlog, sync: always"),
    "50ms": trellisd("use: binlog, sync: 50ms"),
    "never": trellisd("use: binlog, sync: never"),
    "zstd": trellisd("use: compressed-binlog, codec: zstd, sync: 50ms"),
    "lz4": trellisd("use: compressed-binlog, codec: lz4, sync: 50ms"),
}


@contextlib.contextmanager
def new_place(parent=None, transport="tcp"):
    """A folder for one server, with an empty one in it for a log; gone afterwards."""
    folder = tempfile.mkdtemp(prefix="trellis-bench-", dir=parent)
    try:
        place = Place(folder, transport, free_port())
        os.mkdir(place.data)
        yield place
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def ask(place, request, ending):
    """Sends one request and answers the reply up to its ending."""
    with place.connect() as connection:
        connection.sendall(request)
        reply = b""
        while not (reply.endswith(ending) and len(reply) > len(ending)):
            part = connection.recv(1 << 16)
            if not part:
                raise BenchmarkError("the server closed the connection")
            reply += part
        return reply


def stats(place):
    # The chunk is the one reply with an empty line's end behind its last line.
    lines = ask(place, b"stats\r\n", b"\n\r\n").decode().splitlines()
    return dict(line.split(": ", 1) for line in lines if ": " in line)


class Running:
    """A server that answers."""

    def __init__(self, name, process, place, seconds, is_pinned=True):
        self.name, self.process, self.place, self.is_pinned = name, process, place, is_pinned
        # From its start to its first answer.
        self.seconds = seconds

    @property
    def pid(self):
        return self.process.pid


@contextlib.contextmanager
def started(binaries, name, place, is_pinned=True):
    """A server on its core, which is ended by its process id however the block ends."""
    command = SERVERS[name](binaries, place)
    log = os.path.join(place.folder, "log")
    with open(log, "wb") as output:
        began = time.monotonic()
        process = subprocess.Popen(
            pinned(SERVER_CORE, command) if is_pinned else command,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        while not answers(place):
            if process.poll() is not None or time.monotonic() - began > STARTUP_SECONDS:
                with open(log, errors="replace") as text:
                    raise BenchmarkError(f"{name} does not answer: {text.read().strip() or 'it said nothing'}")
            time.sleep(0.002)
        yield Running(name, process, place, time.monotonic() - began, is_pinned)
    finally:
        end(process)


def answers(place):
    """Whether it does: a server may accept before it has read its log."""
    try:
        return ask(place, b"list-tube-used\r\n", b"\r\n").startswith(b"USING")
    except OSError:
        return False
