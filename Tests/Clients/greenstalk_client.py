# SPDX-License-Identifier: MIT
"""Exercises every call of greenstalk against a server.

    greenstalk_client.py HOST PORT
    greenstalk_client.py SOCKET-PATH

The last line is `N passed, N failed`; the exit status is 0 only if nothing failed.
"""

import os
import socket
import sys
import time
import traceback

import greenstalk

ADDRESS = (sys.argv[1], int(sys.argv[2])) if len(sys.argv) == 3 else sys.argv[1]
CHECKS = []
SERVER_KEYS = list(greenstalk.Stats.__annotations__)
TUBE_KEYS = list(greenstalk.StatsTube.__annotations__)
JOB_KEYS = list(greenstalk.StatsJob.__annotations__)


def check(function):
    """Registers a check; its name says what it is about, and its tube."""
    CHECKS.append(function)
    return function


def connect(tube, **options):
    return greenstalk.Client(ADDRESS, use=tube, watch=tube, **options)


def equal(got, wanted):
    assert got == wanted, f"{got!r} instead of {wanted!r}"


def raises(error, function, *arguments, **options):
    try:
        result = function(*arguments, **options)
    except error as caught:
        assert type(caught) is error, f"{type(caught)} instead of {error}"
        return caught
    raise AssertionError(f"{error.__name__} wasn't raised; the answer was {result!r}")


def wait_until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@check
def a_job_is_put_reserved_and_deleted(tube):
    with connect(tube) as client:
        id = client.put("hello \u2603")
        job = client.reserve()
        equal((job.id, job.body), (id, "hello \u2603"))
        client.delete(job)
        raises(greenstalk.NotFoundError, client.delete, id)
        raises(greenstalk.NotFoundError, client.peek, id)


@check
def bodies_may_be_bytes(tube):
    with connect(tube, encoding=None) as client:
        for body in [b"", b"\r\n", bytes(range(256)), b"x" * 65535]:
            id = client.put(body)
            job = client.reserve(timeout=0)
            equal((job.id, job.body), (id, body))
            client.delete(job)


@check
def an_open_socket_may_be_handed_over(tube):
    if isinstance(ADDRESS, str):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(ADDRESS)
    else:
        sock = socket.create_connection(ADDRESS)
    with greenstalk.Client(sock, use=tube, watch=[tube]) as client:
        equal(client.using(), tube)
        equal(client.watching(), [tube])


@check
def put_takes_priority_delay_and_ttr(tube):
    with connect(tube) as client:
        id = client.put("x", priority=7, delay=1000, ttr=55)
        stats = client.stats_job(id)
        equal([stats[key] for key in ("pri", "delay", "ttr", "state")], [7, 1000, 55, "delayed"])
        client.delete(id)


@check
def jobs_come_by_priority(tube):
    with connect(tube) as client:
        ids = {priority: client.put(str(priority), priority=priority) for priority in (5, 2**32 - 1, 0)}
        equal([client.reserve().id for _ in ids], [ids[0], ids[5], ids[2**32 - 1]])


@check
def a_too_big_job_is_refused_and_the_client_goes_on(tube):
    with connect(tube) as client:
        raises(greenstalk.JobTooBigError, client.put, "x" * 65536)
        client.delete(client.put("x"))


@check
def bad_arguments_are_refused(tube):
    with connect(tube) as client:
        raises(greenstalk.BadFormatError, client.use, "a b")
        raises(greenstalk.BadFormatError, client.watch, "-a")
        raises(greenstalk.BadFormatError, client.use, "n" * 201)
        raises(greenstalk.BadFormatError, client.stats_tube, "a*")
        equal(client.using(), tube)


@check
def reserve_times_out(tube):
    with connect(tube) as client:
        raises(greenstalk.TimedOutError, client.reserve, timeout=0)
        start = time.monotonic()
        raises(greenstalk.TimedOutError, client.reserve, timeout=1)
        assert time.monotonic() - start > 0.9


@check
def a_deadline_is_told(tube):
    with connect(tube) as client:
        client.put("x", ttr=1)
        job = client.reserve()
        raises(greenstalk.DeadlineSoonError, client.reserve, timeout=20)
        wait_until(lambda: client.stats_job(job)["timeouts"] == 1)


@check
def a_waiting_client_is_served(tube):
    with connect(tube) as worker, connect(tube) as producer:
        worker._sock.sendall(b"reserve\r\n")
        wait_until(lambda: producer.stats_tube(tube)["current-waiting"] == 1)
        id = producer.put("work")
        equal(worker._reader.readline(), b"RESERVED %d 4\r\n" % id)
        equal(worker._reader.readline(), b"work\r\n")


@check
def reserve_job_takes_a_job_by_its_id(tube):
    with connect(tube) as client:
        client.put("first")
        id = client.put("second", delay=1000)
        job = client.reserve_job(id)
        equal((job.id, job.body), (id, "second"))
        raises(greenstalk.NotFoundError, client.reserve_job, id)


@check
def release_gives_a_job_back(tube):
    with connect(tube) as client:
        id = client.put("x")
        client.release(client.reserve(), priority=3, delay=0)
        equal(client.stats_job(id)["pri"], 3)
        client.release(client.reserve(), delay=1000)
        equal(client.stats_job(id)["state"], "delayed")
        raises(greenstalk.NotFoundError, client.release, greenstalk.Job(id, "x"))


@check
def bury_and_kick(tube):
    with connect(tube) as client:
        ids = [client.put("x") for _ in range(3)]
        for id in ids:
            job = client.reserve()
            equal(job.id, id)
            client.bury(job, priority=9)
        equal(client.peek_buried().id, ids[0])
        equal(client.kick(2), 2)
        equal(client.stats_job(ids[2])["state"], "buried")
        client.kick_job(ids[2])
        equal(client.stats_job(ids[2])["state"], "ready")
        raises(greenstalk.NotFoundError, client.kick_job, ids[2])
        equal(client.kick(10), 0)
        raises(greenstalk.NotFoundError, client.bury, greenstalk.Job(ids[0], "x"))


@check
def touch_renews_a_reservation(tube):
    with connect(tube) as client:
        client.put("x", ttr=100)
        job = client.reserve()
        time.sleep(1.2)
        assert client.stats_job(job)["time-left"] <= 98
        client.touch(job)
        assert client.stats_job(job)["time-left"] >= 98
        client.delete(job)
        raises(greenstalk.NotFoundError, client.touch, job)


@check
def use_and_using(tube):
    with greenstalk.Client(ADDRESS) as client:
        equal(client.using(), "default")
        client.use(tube)
        equal(client.using(), tube)


@check
def watch_ignore_and_watching(tube):
    with greenstalk.Client(ADDRESS) as client:
        equal(client.watching(), ["default"])
        equal(client.watch(tube), 2)
        equal(client.watch(tube + "-2"), 3)
        equal(client.ignore("default"), 2)
        equal(sorted(client.watching()), [tube, tube + "-2"])
        equal(client.ignore(tube), 1)
        raises(greenstalk.NotIgnoredError, client.ignore, tube + "-2")


@check
def peeks_show_jobs(tube):
    with connect(tube) as client:
        for peek in (client.peek_ready, client.peek_delayed, client.peek_buried):
            raises(greenstalk.NotFoundError, peek)
        ready = client.put("ready")
        delayed = client.put("delayed", delay=1000)
        equal((client.peek(ready).id, client.peek(ready).body), (ready, "ready"))
        equal(client.peek_ready().id, ready)
        equal((client.peek_delayed().id, client.peek_delayed().body), (delayed, "delayed"))


@check
def stats_of_a_job(tube):
    with connect(tube) as client:
        id = client.put("x", priority=1, ttr=9)
        stats = client.stats_job(id)
        equal(list(stats)[: len(JOB_KEYS)], JOB_KEYS)
        equal((stats["id"], stats["tube"], stats["state"]), (id, tube, "ready"))
        raises(greenstalk.NotFoundError, client.stats_job, 2**63)


@check
def stats_of_a_tube(tube):
    with connect(tube) as client:
        client.put("x", priority=0)
        stats = client.stats_tube(tube)
        equal(sorted(set(TUBE_KEYS) - set(stats)), [])
        equal((stats["name"], stats["current-jobs-ready"], stats["current-jobs-urgent"]), (tube, 1, 1))
        raises(greenstalk.NotFoundError, client.stats_tube, tube + "-no")


@check
def stats_of_the_server(tube):
    with connect(tube) as client:
        before = client.stats()
        equal(sorted(set(SERVER_KEYS) - set(before)), [])
        client.put("x")
        after = client.stats()
        assert after["cmd-put"] > before["cmd-put"], (before["cmd-put"], after["cmd-put"])
        equal((after["draining"], after["max-job-size"]), ("false", 65535))
        assert isinstance(after["version"], str) and '"' not in after["version"], after["version"]


@check
def tubes_lists_all(tube):
    with connect(tube) as client:
        names = client.tubes()
        assert "default" in names and tube in names, names


@check
def a_paused_tube_waits(tube):
    with connect(tube) as client:
        client.put("x")
        client.pause_tube(tube, 1000)
        equal(client.stats_tube(tube)["pause"], 1000)
        raises(greenstalk.TimedOutError, client.reserve, timeout=0)
        client.pause_tube(tube, 0)
        client.reserve(timeout=0)
        raises(greenstalk.NotFoundError, client.pause_tube, tube + "-no", 1)


@check
def closing_gives_jobs_back(tube):
    with connect(tube) as observer:
        client = connect(tube)
        id = client.put("x")
        client.reserve()
        client.close()
        wait_until(lambda: observer.stats_job(id)["state"] == "ready")
        equal(observer.stats_job(id)["releases"], 0)


def main():
    failed = 0
    for number, function in enumerate(CHECKS):
        try:
            function(f"greenstalk-{os.getpid()}-{number}")
            print(f"ok {function.__name__}")
        except Exception:
            failed += 1
            print(f"FAILED {function.__name__}")
            traceback.print_exc(file=sys.stdout)
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
