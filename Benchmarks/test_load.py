# SPDX-License-Identifier: MIT
"""The load generator must notice every wrong reply: a small server answers, and lies once."""

import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
import time
import unittest

from lying_server import LyingServer
from suite.processes import build


def honest(_, reply):
    return reply


def setUpModule():
    LoadTest.folder = tempfile.TemporaryDirectory()
    LoadTest.load, LoadTest.floor = [build(program, LoadTest.folder.name) for program in ("load", "floor")]
    unittest.addModuleCleanup(LoadTest.folder.cleanup)


class LoadTest(unittest.TestCase):
    def new_path(self):
        return os.path.join(self.folder.name, f"{len(os.listdir(self.folder.name))}.sock")

    def server(self, lie=honest):
        path = self.new_path()
        server = LyingServer(path, lie)
        server.path = path
        server.start()
        self.addCleanup(server.listener.close)
        return server

    def load_on(self, path, *arguments):
        command = [self.load, "--unix", path, "--timeout", "20", *arguments]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)

    def run_load(self, lie, *arguments):
        return self.load_on(self.server(lie).path, *arguments)

    def figures_of(self, lie, *arguments):
        done = self.run_load(lie, "--json", *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return json.loads(done.stdout)

    def assert_caught(self, message, lie, *arguments):
        """The lie ends the run with the message. The 20th reply is in the middle of the run."""
        arguments = arguments or ("--requests", "60", "--in-flight", "4")
        done = self.run_load(lie, *arguments)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn(message, done.stderr)


class ReplyTest(LoadTest):
    def test_honest_server_passes(self):
        done = self.run_load(honest, "--requests", "600", "--connections", "5", "--in-flight", "7")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"requests/s: 6\d\d in ")

    def test_unknown_reply(self):
        self.assert_caught("expected", lambda n, reply: b"OUT_OF_MEMORY\r\n" if n == 20 else reply)

    def test_bare_newline(self):
        self.assert_caught("expected", lambda n, reply: reply.replace(b"\r\n", b"\n") if n == 20 else reply)

    def test_leading_zero(self):
        self.assert_caught("expected INSERTED <id>", lambda n, reply: reply.replace(b"INSERTED ", b"INSERTED 0"))

    def test_id_given_twice(self):
        self.assert_caught("given out twice", lambda n, reply: b"INSERTED 1\r\n" if reply.startswith(b"INS") else reply)

    def test_job_reserved_under_another_id(self):
        self.assert_caught("was put as", lambda n, reply: re.sub(rb"RESERVED \d+", b"RESERVED 999", reply))

    def test_job_reserved_twice(self):
        first = []

        def lie(_, reply):
            if reply.startswith(b"RESERVED"):
                first.append(reply)
                return first[0]
            return reply

        self.assert_caught("was reserved twice", lie)

    def test_wrong_length(self):
        self.assert_caught("size that was put", lambda n, reply: re.sub(rb"(RESERVED \d+) 64", rb"\1 63", reply))

    def test_no_line_end_after_body(self):
        self.assert_caught("CRLF", lambda n, reply: reply[:-2] + b"xx" if reply.startswith(b"RES") else reply)

    def test_one_reply_too_many(self):
        self.assert_caught(
            "expected nothing", lambda n, reply: reply * 2, "--requests", "60", "--in-flight", "1", "--workload", "put")

    def test_closed_connection(self):
        self.assert_caught("closed by the server", lambda n, reply: None if n == 20 else reply)

    def test_silence(self):
        self.assert_caught(
            "no reply", lambda n, reply: b"" if n == 20 else reply, "--requests", "60", "--timeout", "0.5")

    def test_bad_options(self):
        wrong = [
            [], ["--tcp", "a:1", "--unix", "b"], ["--unix", "b", "--size", "7"], ["--unix", "b", "c"],
            ["--unix", "b", "--rate", "5"], ["--unix", "b", "--idle", "5"], ["--unix", "b", "--floor", "--fill", "5"],
            ["--unix", "b", "--workload", "handoff", "--kick"], ["--unix", "b", "--workload", "unknown"],
            ["--unix", "b", "--fill", "17000000"],
        ]
        for arguments in wrong:
            done = subprocess.run([self.load, *arguments], capture_output=True, text=True)
            self.assertEqual(done.returncode, 2, f"{arguments}: {done.stderr}")


class BodyTest(LoadTest):
    def damaged(self, offset):
        def lie(_, reply):
            if not reply.startswith(b"RESERVED"):
                return reply
            at = reply.index(b"\r\n") + 2 + offset
            return reply[:at] + bytes([reply[at] ^ 0x10]) + reply[at + 1 :]

        return lie

    def test_damage_anywhere(self):
        # Small bodies are copied, large ones are not; the ends and what lies around the counter.
        for size, offsets in (67, (0, 7, 8, 31, 66)), (5_000, (0, 8, 4_999)):
            for offset in offsets:
                with self.subTest(size=size, offset=offset):
                    done = self.run_load(self.damaged(offset), "--requests", "60", "--size", str(size))
                    self.assertEqual(done.returncode, 1, done.stderr)

    def test_large_bodies_pass(self):
        # More pieces than one write takes, and more bytes than a socket.
        self.figures_of(honest, "--requests", "900", "--in-flight", "300", "--size", "3000")

    def test_bodies_of_two_jobs_swapped(self):
        held = []

        def lie(_, reply):
            if reply.startswith(b"RESERVED"):
                held.append(reply.partition(b"\r\n")[2])
                if len(held) == 2:
                    return reply.partition(b"\r\n")[0] + b"\r\n" + held[0]
            return reply

        self.assert_caught("reserved", lie)

    def test_damaged_text(self):
        def lie(_, reply):
            return reply.replace(b'"', b"'", 1) if reply.startswith(b"RESERVED") else reply

        arguments = ["--requests", "60", "--size", "200", "--text"]
        self.assertEqual(self.run_load(honest, *arguments).returncode, 0)
        self.assert_caught("the text that was put", lie, *arguments)


class WorkloadTest(LoadTest):
    def test_put_then_drain(self):
        server = self.server()
        shape = ["--in-flight", "3", "--connections", "2"]
        for workload in ["put", "--requests", "90"], ["drain"]:
            done = self.load_on(server.path, *shape, "--workload", *workload)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertEqual(server.ready_count() >= 90, workload[0] == "put")
        self.assertEqual(server.ready_count(), 0)

    def test_fill_and_drain_sees_every_job(self):
        figures = self.figures_of(honest, "--workload", "drain", "--fill", "500", "--in-flight", "8")
        self.assertEqual(figures["jobs"], 500)

    def test_drain_misses_a_lost_job(self):
        server = self.server()

        def lie(number, reply):
            if number == 50:
                server.tubes[b"default"].ready.popitem()
            return reply

        server.lie = lie
        done = self.load_on(server.path, "--workload", "drain", "--fill", "500", "--in-flight", "8")
        self.assertEqual(done.returncode, 1)
        self.assertIn("1 jobs were put but never seen again", done.stderr)

    def test_fill_ready_takes_part(self):
        server = self.server()
        done = self.load_on(server.path, "--fill", "100", "--requests", "60", "--in-flight", "5")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        # The oldest went first.
        self.assertEqual(server.ready_count(), 100)
        self.assertGreater(min(server.tubes[b"default"].ready)[1], 5)

    def test_fill_last_stays(self):
        server = self.server()
        done = self.load_on(server.path, "--fill", "100", "--fill-as", "last", "--requests", "60", "--in-flight", "5")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(sorted(number for _, number in server.tubes[b"default"].ready), list(range(1, 101)))

    def test_tubes_have_a_job_each(self):
        server = self.server()
        done = self.load_on(server.path, "--tubes", "9", "--connections", "3", "--requests", "90", "--in-flight", "5")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual([len(server.tubes[b"t%d" % n].ready) for n in range(9)], [1] * 9)

    def test_prepared_accepts_jobs_of_an_earlier_run(self):
        server = self.server()
        self.assertEqual(self.load_on(server.path, "--workload", "fill", "--fill", "50").returncode, 0)
        run = ["--requests", "90", "--in-flight", "5"]
        for _ in range(2):
            done = self.load_on(server.path, *run, "--fill", "50", "--prepared")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertEqual(server.ready_count(), 50)
        self.assertIn("was not put in this run", self.load_on(server.path, *run).stderr)

    def test_wrong_tube(self):
        self.assert_caught(
            "expected USING t0", lambda n, reply: reply.replace(b"USING t0", b"USING t1"), "--tubes", "4", "--requests", "9")

    def test_wrong_count_of_watched_tubes(self):
        self.assert_caught(
            "expected WATCHING 2", lambda n, reply: reply.replace(b"WATCHING 2", b"WATCHING 3"),
            "--tubes", "4", "--requests", "9")

    def test_batch_latency(self):
        def lie(number, reply):
            # One batch in ten takes 30 ms or more; the others' time is the machine's.
            if number % 10 == 0:
                time.sleep(0.03)
            return reply

        latency = self.figures_of(lie, "--requests", "90")["batch_us"]
        self.assertGreaterEqual(latency["max"], 30_000)
        self.assertGreaterEqual(latency["p99.9"], 30_000)
        self.assertLessEqual(latency["p50"], latency["p99"])
        self.assertLessEqual(latency["p99"], latency["p99.9"])

    def test_server_processor_time(self):
        figures = self.figures_of(honest, "--requests", "600", "--server", str(os.getpid()))
        # This process is the server.
        self.assertGreater(figures["server_ns_per_request"], 100)
        self.assertLess(figures["server_cpu"], 3)


class HandoffTest(LoadTest):
    HANDOFF = ["--workload", "handoff", "--connections", "4", "--seconds", "0.3"]

    def test_jobs_pass(self):
        for more in [], ["--tubes", "6"], ["--tubes", "6", "--watch", "2", "--scattered", "--consumers", "6"]:
            with self.subTest(more=more):
                figures = self.figures_of(honest, *self.HANDOFF, *more)
                self.assertGreater(figures["jobs"], 10)
                self.assertGreater(figures["latency_us"]["count"], 10)

    def test_damaged_body(self):
        def lie(_, reply):
            return reply[:-3] + bytes([reply[-3] ^ 1]) + b"\r\n" if reply.startswith(b"RESERVED") else reply

        self.assert_caught("body damaged at byte 8", lie, *self.HANDOFF, "--size", "9")

    def test_wrong_id(self):
        self.assert_caught("put as", lambda n, reply: re.sub(rb"RESERVED \d+", b"RESERVED 99999", reply), *self.HANDOFF)

    def test_pace_counts_what_a_stall_delays(self):
        # For 0.3 of 0.6 seconds no reply leaves: a third of the jobs or more are late, though each was sent in time.
        stalled = []

        def lie(number, reply):
            if not stalled and number > 200:
                stalled.append(time.monotonic() + 0.3)
            if stalled and (left := stalled[0] - time.monotonic()) > 0:
                time.sleep(left)
            return reply

        figures = self.figures_of(lie, *self.HANDOFF, "--seconds", "0.6", "--rate", "400")
        self.assertGreater(figures["latency_us"]["count"], 180)
        self.assertGreater(figures["latency_us"]["p99"], 200_000)
        self.assertIn("lateness_us", figures)

    def test_pace_counts_what_the_generator_delays(self):
        # It sleeps for 0.3 of its second; what was due meanwhile is sent late, and its time began when it was due.
        command = [self.load, "--unix", self.server().path, "--json", *self.HANDOFF, "--seconds", "1", "--rate", "200"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            time.sleep(0.3)
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.3)
            process.send_signal(signal.SIGCONT)
            output, errors = process.communicate(timeout=30)
        self.assertEqual((process.returncode, errors), (0, ""))
        figures = json.loads(output)
        self.assertGreater(figures["latency_us"]["count"], 150)
        self.assertGreater(figures["latency_us"]["p99"], 200_000)
        self.assertGreater(figures["lateness_us"]["p99"], 200_000)

    def test_kick(self):
        slow = []

        def lie(number, reply):
            if reply.startswith(b"KICKED"):
                slow.append(number)
                time.sleep(0.1)
            return reply

        for kind in "buried", "delayed":
            with self.subTest(kind=kind):
                server = self.server(lie)
                done = self.load_on(
                    server.path, "--json", *self.HANDOFF, "--rate", "300", "--fill", "100", "--fill-as", kind, "--kick")
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                figures = json.loads(done.stdout)
                self.assertEqual(len(server.tubes[b"filled"].ready), 100)
                self.assertGreaterEqual(figures["kick_seconds"], 0.1)
                # Only the jobs of that tenth of a second.
                self.assertLess(figures["latency_us"]["count"], 60)
                self.assertGreater(figures["latency_us"]["count"], 10)

    def test_wrong_count_of_kicked_jobs(self):
        self.assert_caught(
            "expected KICKED 100", lambda n, reply: reply.replace(b"KICKED 100", b"KICKED 99"),
            *self.HANDOFF, "--rate", "300", "--fill", "100", "--fill-as", "delayed", "--kick")


class HoldTest(LoadTest):
    def hold(self, lie, *arguments):
        """Answers what it said, its status, and its errors once the input was closed."""
        server = self.server(lie)
        command = [self.load, "--unix", server.path, "--timeout", "1", "--workload", "hold", *arguments]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            said = process.stdout.readline()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            errors = process.stderr.read()
            return said, process.wait(30), errors

    def test_idle_and_waiting(self):
        self.assertEqual(self.hold(honest, "--idle", "30", "--waiting", "20"), ("ready\n", 0, ""))

    def test_idle_connection_that_was_closed(self):
        # The 31st to 60th replies answer whether they are still there.
        _, status, errors = self.hold(lambda n, reply: None if n == 40 else reply, "--idle", "30")
        self.assertEqual(status, 1)
        self.assertIn("closed by the server", errors)

    def test_waiting_worker_that_gets_nothing(self):
        replies = []

        def lie(_, reply):
            if reply.startswith(b"RESERVED"):
                replies.append(reply)
                return b"" if len(replies) == 7 else reply
            return reply

        _, status, errors = self.hold(lie, "--waiting", "20")
        self.assertEqual(status, 1)
        self.assertIn("no reply", errors)


class FloorTest(LoadTest):
    def run_on_floor(self, *arguments):
        path = self.new_path()
        with subprocess.Popen([self.floor, "--unix", path]) as floor:
            try:
                deadline = time.monotonic() + 10
                while not os.path.exists(path) and time.monotonic() < deadline:
                    time.sleep(0.01)
                time.sleep(0.05)
                return self.load_on(path, *arguments)
            finally:
                floor.kill()

    def test_replies_have_the_right_form(self):
        for more in [], ["--in-flight", "64"], ["--size", "5000"], ["--workload", "put", "--size", "200000"]:
            with self.subTest(more=more):
                done = self.run_on_floor("--floor", "--requests", "900", "--connections", "3", *more)
                self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_is_caught_without_the_option(self):
        done = self.run_on_floor("--requests", "9")
        self.assertEqual(done.returncode, 1)
        self.assertIn("body damaged", done.stderr)


if __name__ == "__main__":
    unittest.main()
