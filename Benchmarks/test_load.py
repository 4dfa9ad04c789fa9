#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The load generator must notice every wrong reply: a small server answers, and lies once."""

import contextlib
import os
import re
import socket
import subprocess
import tempfile
import threading
import unittest

import compare


class LyingServer(threading.Thread):
    """Enough of beanstalk for one workload. `lie(number, reply)` may change a reply; None closes the connection."""

    def __init__(self, path, lie):
        super().__init__(daemon=True)
        self.lie, self.jobs, self.last_id, self.replies = lie, [], 0, 0
        self.lock = threading.Lock()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        # The generator leaves without a word when it has caught the lie.
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as stream:
            for line in stream:
                reply = self.answer(line, stream)
                with self.lock:
                    self.replies += 1
                    reply = self.lie(self.replies, reply)
                if reply is None:
                    return
                connection.sendall(reply)

    def answer(self, line, stream):
        with self.lock:
            if put := re.fullmatch(rb"put \d+ 0 \d+ (\d+)\r\n", line):
                self.last_id += 1
                self.jobs.append((self.last_id, stream.read(int(put[1]) + 2)))
                return b"INSERTED %d\r\n" % self.last_id
            if line.startswith(b"reserve"):
                if not self.jobs:
                    return b"TIMED_OUT\r\n"
                number, body = self.jobs.pop(0)
                return b"RESERVED %d %d\r\n" % (number, len(body) - 2) + body
            return b"DELETED\r\n"


class LoadTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.load = compare.build_load(cls.folder.name)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def run_load(self, lie, *arguments):
        path = os.path.join(self.folder.name, self.id().rpartition(".")[2])
        server = LyingServer(path, lie)
        server.start()
        command = [self.load, "--unix", path, "--timeout", "20", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        server.listener.close()
        return done

    def assert_caught(self, message, lie, *arguments):
        """An honest run passes; the lie ends it with the message. The 20th reply is in the middle of the run."""
        arguments = arguments or ("--requests", "60", "--in-flight", "4")
        done = self.run_load(lie, *arguments)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn(message, done.stderr)

    def test_honest_server_passes(self):
        done = self.run_load(lambda _, reply: reply, "--requests", "600", "--connections", "5", "--in-flight", "7")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"requests/s: 6\d\d in ")

    def test_put_then_drain(self):
        def honest(_, reply):
            return reply

        path = os.path.join(self.folder.name, "put-drain")
        LyingServer(path, honest).start()
        for workload in "put", "drain":
            command = [self.load, "--unix", path, "--workload", workload, "--in-flight", "3", "--connections", "2"]
            command += ["--requests", "90", "--json"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_unknown_reply(self):
        self.assert_caught("expected", lambda n, reply: b"OUT_OF_MEMORY\r\n" if n == 20 else reply)

    def test_bare_newline(self):
        self.assert_caught("expected", lambda n, reply: reply.replace(b"\r\n", b"\n") if n == 20 else reply)

    def test_leading_zero(self):
        self.assert_caught(
            "expected INSERTED <id>", lambda n, reply: reply.replace(b"INSERTED ", b"INSERTED 0")
        )

    def test_id_given_twice(self):
        self.assert_caught(
            "given out twice", lambda n, reply: b"INSERTED 1\r\n" if reply.startswith(b"INS") else reply
        )

    def test_job_reserved_under_another_id(self):
        self.assert_caught(
            "was put as", lambda n, reply: re.sub(rb"RESERVED \d+", b"RESERVED 999", reply)
        )

    def test_job_reserved_twice(self):
        first = []

        def lie(_, reply):
            if reply.startswith(b"RESERVED"):
                first.append(reply)
                return first[0]
            return reply

        self.assert_caught("was reserved twice", lie)

    def test_damaged_body_anywhere(self):
        for offset in 0, 7, 8, 31, 63, 66:
            with self.subTest(offset=offset):

                def lie(_, reply):
                    if not reply.startswith(b"RESERVED"):
                        return reply
                    at = reply.index(b"\r\n") + 2 + offset
                    return reply[:at] + bytes([reply[at] ^ 0x10]) + reply[at + 1 :]

                path = f"damaged-{offset}"
                server = LyingServer(os.path.join(self.folder.name, path), lie)
                server.start()
                command = [self.load, "--unix", os.path.join(self.folder.name, path), "--requests", "60", "--size", "67"]
                done = subprocess.run(command, capture_output=True, text=True, timeout=60)
                self.assertEqual(done.returncode, 1, done.stderr)

    def test_wrong_length(self):
        self.assert_caught(
            "size that was put", lambda n, reply: re.sub(rb"(RESERVED \d+) 64", rb"\1 63", reply)
        )

    def test_no_line_end_after_body(self):
        self.assert_caught("CRLF", lambda n, reply: reply[:-2] + b"xx" if reply.startswith(b"RES") else reply)

    def test_one_reply_too_many(self):
        self.assert_caught(
            "expected nothing", lambda n, reply: reply * 2, "--requests", "60", "--in-flight", "1", "--workload", "put"
        )

    def test_closed_connection(self):
        self.assert_caught("closed by the server", lambda n, reply: None if n == 20 else reply)

    def test_silence(self):
        self.assert_caught("no reply", lambda n, reply: b"" if n == 20 else reply, "--requests", "60", "--timeout", "0.5")

    def test_bad_options(self):
        for arguments in [[], ["--tcp", "a:1", "--unix", "b"], ["--unix", "b", "--size", "7"], ["--unix", "b", "c"]]:
            done = subprocess.run([self.load, *arguments], capture_output=True, text=True)
            self.assertEqual(done.returncode, 2, done.stderr)


class SummaryTest(unittest.TestCase):
    def test_ratio_is_the_median_of_the_ratios_of_the_rounds(self):
        def rows(*rates):
            return [{"requests_per_second": r, "generator_cpu": 0.5, "server_cpu": 1.0} for r in rates]

        results = {"cycle": {"theirs": rows(100, 200, 50), "ours": rows(200, 200, 150)}}
        summary = compare.summarise(results, "theirs", "ours")["cycle"]
        self.assertEqual(summary["ratio"], {"median": 2, "min": 1, "max": 3})
        self.assertEqual(summary["requests_per_second"]["theirs"], {"median": 100, "min": 50, "max": 200})
        self.assertIn("2.00   1.00 - 3.00", compare.table({"cycle": summary}))


if __name__ == "__main__":
    unittest.main()
