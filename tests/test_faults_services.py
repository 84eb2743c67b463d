"""What happens to brokers, databases and disks under a running pipeline shows in no table.

Each test lets things go wrong while touchpoints come in, each several times and in any
order, with messages among them that nobody can accept; then the oracles are asked.
"""

import random
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from contextlib import closing, contextmanager

import pytest

from tests.consuming import Pipeline
from tests.faults.running import Run, new_warm
from tests.services.process import wait_until
from tests.services.wanted import NotHere, or_skip

pytestmark = pytest.mark.services
IO_ERROR = 7
SLICES = 12


@pytest.fixture(scope="module")
def warm():
    """Forks consumers and runners off."""
    made = new_warm()
    yield made
    made.close()


@pytest.fixture
def begin(warm, tmp_path):
    """A function that begins a run over a broker and a database; all ends with the test."""
    begun = []

    def begin(kafka, url=None, touchpoints=1200):
        pipeline = Pipeline(warm, kafka, tmp_path, url)
        begun.append(pipeline)
        seed = random.randrange(10**6)
        print(f"seed {seed}")
        return Run(pipeline, seed, touchpoints, SLICES)

    yield begin
    for pipeline in begun:
        pipeline.close()


def read_all(run):
    """Wait until all that was sent so far is read."""
    assert wait_until(lambda: run.read() >= run.feed.messages, 60)


# Brokers


def test_a_leader_that_is_killed_and_a_cluster_that_loses_its_majority(own_cluster, begin):
    run = begin(own_cluster)
    consumer, runner = run.consumer(BATCH=50), run.runner()
    run.send(3)
    for _ in range(2):
        node = own_cluster.leader(run.pipeline.topic, random.randrange(4))
        node.kill()
        run.send(2)
        read_all(run)
        node.start()
    first, second, _ = own_cluster.nodes
    first.freeze()
    second.freeze()
    time.sleep(1)
    own_cluster.start()
    run.drain(consumer, runner)
    run.check()


def test_a_broker_that_crashes_and_comes_back(own_kafka, begin):
    run = begin(own_kafka)
    consumer, runner = run.consumer(BATCH=50), run.runner()
    for _ in range(2):
        run.send(3)
        own_kafka.kill()
        assert wait_until(lambda: consumer.said().count("waiting for it"))
        own_kafka.start()
    run.drain(consumer, runner)
    run.check()


# The group


def test_consumers_come_and_go_while_work_takes_longer_than_the_group_waits(
    kafka, database, proxy_before, begin
):
    run = begin(kafka, database)
    proxy = proxy_before(database)
    slow = {
        "DATABASE_URL": proxy.url(database),
        "POLL_LIMIT_SECONDS": 2,
        "SESSION_SECONDS": 2,
        "BATCH": 40,
    }
    runner = run.runner()
    consumers = [run.consumer(**slow) for _ in range(2)]
    for _ in range(3):
        run.send(2)
        wait_until(lambda: sum(run.pipeline.read().values()) >= run.feed.messages, 1)
        proxy.freeze()
        consumers.append(run.consumer(**slow))
        time.sleep(2.5)
        consumers.pop(0).kill()
        proxy.thaw()
    run.drain(*consumers, runner)
    run.check()


@pytest.mark.parametrize("place", ["consumer.polled", "consumer.decoded", "consumer.kept"])
def test_an_owner_that_stood_still_comes_back_to_partitions_of_another(
    kafka, database, begin, place
):
    run = begin(kafka, database, 400)
    zombie = run.consumer(CRASH_AT=f"{place}:3:stop", BATCH=20, SESSION_SECONDS=1)
    runner = run.runner()
    run.send(6)
    assert wait_until(zombie.is_frozen)
    heir = run.consumer(BATCH=20, SESSION_SECONDS=1)
    assert heir.says("given to us: [0, 1, 2, 3]")
    if place != "consumer.kept":  # there it holds the lock that all who write wait for
        read_all(run)
    zombie.thaw()
    run.drain(zombie, heir, runner)
    run.check()


def test_a_runner_that_stood_still_comes_back_and_overwrites_nothing(kafka, database, begin):
    run = begin(kafka, database, 400)
    consumer, zombie = run.consumer(), run.runner(CRASH_AT="runner.derived:2:stop")
    assert wait_until(lambda: zombie.is_frozen() or (run.is_derived() and run.send(1)))
    heir = run.runner()
    assert heir.says("standing by")
    zombie.thaw()
    run.drain(consumer, zombie, heir)
    run.check()


# Databases


def test_a_server_that_is_restarted_killed_and_cut_off_at_the_worst_moments(
    kafka, own_postgres, proxy_before, begin
):
    url = own_postgres.new_database()
    proxy = proxy_before(url)
    run = begin(kafka, url)
    by_proxy = {"DATABASE_URL": proxy.url(url)}
    consumer, runner = run.consumer(BATCH=50, **by_proxy), run.runner(**by_proxy)
    for happens in (
        lambda: proxy.cut_after(times=3),
        lambda: proxy.cut_before(times=3),
        lambda: own_postgres.terminate_backends(url),
        lambda: proxy.cut_after(times=2),
        lambda: (own_postgres.stop(), own_postgres.start()),
        lambda: (own_postgres.kill(), own_postgres.start()),
        lambda: (proxy.refuse(), proxy.cut(), time.sleep(0.5), proxy.accept()),
    ):
        happens()
        run.send(1)
        read_all(run)
    run.drain(consumer, runner)
    assert proxy.cuts >= 5
    run.check()


def test_who_writes_for_too_long_is_waited_for(kafka, begin):
    run = begin(kafka, touchpoints=400)
    consumer, runner = run.consumer(BATCH=50), run.runner()
    run.send(2)
    read_all(run)
    file = run.pipeline.url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        run.send(1)
        assert consumer.says("waiting for it")
        other.execute("ROLLBACK")
    run.drain(consumer, runner)
    run.check()


# Disks


def test_a_disk_that_is_full_is_waited_for(kafka, small_disk, begin):
    small_disk.grow(2)
    run = begin(kafka, f"sqlite:///{small_disk.folder}/facts.db", 3000)
    consumer, runner = run.consumer(BATCH=50), run.runner()
    run.send(SLICES)
    assert consumer.says("no room left"), consumer.said()
    small_disk.grow(256)
    run.drain(consumer, runner)
    run.check()


@pytest.mark.parametrize("calls", ["pwrite64", "fsync,fdatasync"])
def test_a_disk_that_does_not_write_or_flush_loses_nothing(kafka, begin, calls):
    run = begin(kafka, touchpoints=400)
    consumer, runner = run.consumer(BATCH=2), run.runner()
    assert consumer.says("given to us: [")
    with _failing(calls, consumer.pid) as failures:
        run.send(4)
        assert wait_until(failures, 30)
        assert wait_until(
            lambda: (
                consumer.code is not None
                or calls == "fsync,fdatasync"
                or "waiting for it" in consumer.said()
            ),
            30,
        )
    assert consumer.code in (None, IO_ERROR)
    run.drain(consumer if consumer.code is None else run.consumer(), runner)
    run.check()


@contextmanager
def _failing(calls, pid):
    """Let calls of a process fail within the block; gives a function: whether any has."""
    tracer = or_skip(lambda: _tracer(calls, pid))
    seen = []
    reader = threading.Thread(target=lambda: seen.extend(tracer.stdout), daemon=True)
    reader.start()
    try:
        yield lambda: any("INJECTED" in line for line in seen)
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait()


def _tracer(calls, pid):
    """A strace that lets calls of a process fail.

    Raises:
        NotHere: It is not installed, or may not trace.
    """
    if not shutil.which("strace"):
        raise NotHere("strace is not installed: apt-get install strace")
    command = ["strace", "-f", "-p", str(pid), "-e", f"trace={calls}"]
    command += ["-e", f"inject={calls}:error=EIO", "-o", "/dev/stdout"]
    tracer = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = tracer.stderr.readline()
    if "attached" not in said:
        tracer.kill()
        raise NotHere(f"no process may be traced here: {said.strip()}; run the tests as root")
    return tracer
