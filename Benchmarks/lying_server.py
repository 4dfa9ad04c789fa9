# SPDX-License-Identifier: MIT
"""A small beanstalk server for the tests of the load generator, which lies when it is told to."""

import contextlib
import re
import socket
import threading


class Tube:
    def __init__(self):
        # (priority, id) → body
        self.ready, self.delayed, self.buried = {}, {}, {}


class Client:
    def __init__(self):
        self.used, self.watched = b"default", [b"default"]


class LyingServer(threading.Thread):
    """Enough of the protocol for every workload. `lie(number, reply)` may change a reply; None ends the connection."""

    def __init__(self, path, lie):
        super().__init__(daemon=True)
        self.lie, self.tubes, self.reserved, self.last_id, self.replies = lie, {}, {}, 0, 0
        self.changed = threading.Condition()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(1000)

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        client = Client()
        # The generator leaves without a word when it has caught the lie.
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as stream:
            for line in stream:
                body = stream.read(int(line.split()[4]) + 2) if line.startswith(b"put ") else b""
                with self.changed:
                    reply = self.answer(client, line.split(), body)
                    self.changed.notify_all()
                    self.replies += 1
                    number = self.replies
                # Outside of the lock, so that one lie may take its time.
                reply = self.lie(number, reply)
                if reply is None:
                    return
                connection.sendall(reply)

    def tube(self, name):
        return self.tubes.setdefault(name, Tube())

    def answer(self, client, words, body):
        match words:
            case [b"put", priority, delay, _, _]:
                self.last_id += 1
                tube = self.tube(client.used)
                (tube.delayed if int(delay) else tube.ready)[int(priority), self.last_id] = body
                return b"INSERTED %d\r\n" % self.last_id
            case [b"use", name]:
                client.used = name
                return b"USING " + name + b"\r\n"
            case [b"watch", name]:
                client.watched += [] if name in client.watched else [name]
                return b"WATCHING %d\r\n" % len(client.watched)
            case [b"ignore", name]:
                client.watched.remove(name)
                return b"WATCHING %d\r\n" % len(client.watched)
            case [b"reserve"]:
                self.changed.wait_for(lambda: self.best(client))
                return self.reserve(client)
            case [b"reserve-with-timeout", b"0"]:
                return self.reserve(client) if self.best(client) else b"TIMED_OUT\r\n"
            case [b"delete", number]:
                del self.reserved[int(number)]
                return b"DELETED\r\n"
            case [b"bury", number, priority]:
                tube, body = self.reserved.pop(int(number))
                tube.buried[int(priority), int(number)] = body
                return b"BURIED\r\n"
            case [b"kick", bound]:
                return self.kick(self.tube(client.used), int(bound))
            case [b"list-tube-used"]:
                return b"USING " + client.used + b"\r\n"
        return b"UNKNOWN_COMMAND\r\n"

    def best(self, client):
        """The tube and key of the first ready job that the client watches."""
        found = [(key, name) for name in client.watched for key in list(self.tube(name).ready)[:1]]
        return min(found, default=None)

    def reserve(self, client):
        _, name = self.best(client)
        tube = self.tube(name)
        key = min(tube.ready)
        body = tube.ready.pop(key)
        self.reserved[key[1]] = tube, body
        return b"RESERVED %d %d\r\n" % (key[1], len(body) - 2) + body

    def kick(self, tube, bound):
        source = tube.buried or tube.delayed
        keys = sorted(source)[:bound]
        for key in keys:
            tube.ready[key] = source.pop(key)
        return b"KICKED %d\r\n" % len(keys)

    def ready_count(self):
        return sum(len(tube.ready) for tube in self.tubes.values())
