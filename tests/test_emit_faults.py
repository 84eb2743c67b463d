"""Emitting while brokers, disks and processes fail: nothing that was acknowledged is lost."""

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

from engine.emit import Emitter
from engine.errors import BrokerAway, NotAcknowledged, SpoolInUse
from engine.kafka import topics
from engine.kafka.sender import Sender
from tests.emitting import HASTY, arrived, at, event_ids, ids, nowhere, people, row
from tests.services.process import free_port, wait_until

services = pytest.mark.services


@services
def test_while_no_broker_is_there_rows_wait_on_disk_and_go_out_in_order(own_kafka, emitter_to):
    topic = own_kafka.new_topic(partitions=1)
    rows = [row(number) for number in range(300)]
    emitter = emitter_to(own_kafka.servers, topic)
    emitter.emit(rows[:100])
    emitter.flush()
    own_kafka.kill()
    emitter.emit(rows[100:200])
    emitter.flush()
    assert emitter.counts.spooled == 100
    assert isinstance(emitter.problem, BrokerAway)
    emitter.emit(rows[200:])
    own_kafka.start()
    emitter.flush()
    assert wait_until(lambda: emitter.drain(1), 30)
    assert (emitter.counts.spooled, emitter.problem) == (0, None)
    found = event_ids(own_kafka.messages(topic))
    once = list(dict.fromkeys(found))
    assert once == [one["event_id"] for one in rows]


@services
def test_a_broker_that_crashes_and_comes_back_loses_no_row(own_kafka, emitter_to):
    topic = own_kafka.new_topic()
    emitter = emitter_to(own_kafka.servers, topic, spool=False)
    rows = people(2000)
    crash = threading.Timer(0.3, lambda: (own_kafka.kill(), own_kafka.start()))
    crash.start()
    for start in range(0, len(rows), 100):
        emitter.emit(rows[start : start + 100])
        time.sleep(0.02)
    emitter.flush(60)
    crash.join()
    assert arrived(own_kafka, topic) == ids(rows)
    assert emitter.counts.sent == 2000


@services
def test_a_leader_that_is_killed_takes_no_row_with_it(own_cluster, emitter_to):
    settings = at(own_cluster.servers, f"test-{free_port()}")
    assert topics.init(settings, 2, None).differences == []
    assert topics.shape(settings).replication == 3
    emitter = emitter_to(own_cluster.servers, settings.topic, spool=False)
    rows = people(1000)
    emitter.emit(rows[:500])
    own_cluster.leader(settings.topic).kill()
    emitter.emit(rows[500:])
    emitter.flush(60)
    assert arrived(own_cluster, settings.topic) == ids(rows)


@services
def test_a_broker_that_stands_still_costs_so_much_memory_and_no_more(own_kafka, emitter_to):
    topic = own_kafka.new_topic()
    limits = HASTY._replace(held_bytes=200_000, room_s=1)
    emitter = emitter_to(own_kafka.servers, topic, spool=False, limits=limits)
    emitter.emit(row(0))
    emitter.flush()
    own_kafka.freeze()
    with pytest.raises(BrokerAway):
        emitter.emit(row(number) for number in range(1, 100_000))
    taken = emitter.counts.received
    held = emitter.counts.waiting
    assert (emitter.outstanding, held) == (2, taken - 1)
    assert 100 < held < 200_000 / 1200  # some 250 bytes a row, and 1024 besides
    own_kafka.thaw()
    emitter.flush(30)
    assert len(arrived(own_kafka, topic)) == taken


@services
def test_what_a_still_broker_does_not_acknowledge_goes_to_disk(own_kafka, emitter_to):
    topic = own_kafka.new_topic()
    emitter = emitter_to(own_kafka.servers, topic)
    emitter.emit(row(0))
    emitter.flush()
    own_kafka.freeze()
    emitter.emit(people(10)[1:])
    emitter.flush(20)
    assert emitter.counts.spooled == 9
    own_kafka.thaw()
    assert wait_until(lambda: emitter.drain(1), 30)
    assert arrived(own_kafka, topic) == ids(people(10))


@services
def test_closing_puts_on_disk_what_was_not_acknowledged_and_the_next_sends_it(
    own_kafka, emitter_to
):
    topic = own_kafka.new_topic()
    emitter = emitter_to(own_kafka.servers, topic)
    emitter.emit(row(0))
    emitter.flush()
    own_kafka.freeze()
    emitter.emit(people(10)[1:])
    emitter.close(0.1)
    own_kafka.thaw()
    following = emitter_to(own_kafka.servers, topic)
    assert wait_until(lambda: following.drain(1), 30)
    assert arrived(own_kafka, topic) == ids(people(10))


@services
def test_a_topic_that_is_missing_is_waited_for(kafka, emitter_to):
    topic = f"later-{free_port()}-{os.getpid()}"
    emitter = emitter_to(kafka.servers, topic, spool=False)
    emitter.emit(row(1))
    with pytest.raises(NotAcknowledged, match="kafka init") as waiting:
        emitter.flush(3)
    assert (waiting.value.rows, waiting.value.first, waiting.value.exit_code) == (1, 1, 7)
    kafka.create_topic(topic)
    emitter.flush()
    assert arrived(kafka, topic) == ["e-1"]


def test_rows_without_spool_or_broker_are_named_when_their_emitter_goes(emitter_to):
    emitter = emitter_to(nowhere(), spool=False)
    emitter.emit([b"{", row(1), row(2)])
    with pytest.raises(NotAcknowledged, match="2 rows, from number 2 on"):
        emitter.close(0.1)
    with pytest.raises(ValueError, match="closed"):
        emitter.emit(row(3))


def test_what_is_raised_inside_is_not_hidden_by_what_was_not_acknowledged(emitter_to):
    def fail_inside():
        with emitter_to(nowhere(), spool=False) as emitter:
            emitter.emit(row(1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()


def test_two_emitters_do_not_share_a_spool(emitter_to):
    emitter_to(nowhere())
    with pytest.raises(SpoolInUse):
        emitter_to(nowhere())


def test_while_the_disk_is_full_rows_stay_in_memory(emitter_to, monkeypatch):
    emitter = emitter_to(nowhere())

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        emitter.emit([row(1), row(2)])
        with pytest.raises(NotAcknowledged, match="No space left"):
            emitter.flush(3)
    emitter.emit(row(3))
    emitter.flush(10)
    assert emitter.counts.spooled == 3


def test_a_fault_in_the_sending_thread_is_raised_and_not_waited_for(edge, monkeypatch):
    monkeypatch.setattr(Sender, "_be_away", lambda self: 1 / 0)
    emitter = Emitter(edge, at(nowhere()), limits=HASTY)
    with suppress(RuntimeError):  # it is told as soon as it is known
        emitter.emit(row(0))
    with pytest.raises(RuntimeError, match="ended by a fault"):
        emitter.flush()
    with pytest.raises(RuntimeError, match="ended by a fault"):
        emitter.emit(row(1))


SPOOLING = """
import sys
from pathlib import Path
from engine.emit import Emitter
from tests.emitting import HASTY, at, edge_over, row

folder, servers, begin = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
emitter = Emitter(edge_over(folder), at(servers), folder / "spool", limits=HASTY)
for number in range(begin, begin + 100_000, 7):
    emitter.emit([row(one, f"lead{one % 50}@example.vn") for one in range(number, number + 7)])
    emitter.flush(60)
    print(number + 7, flush=True)  # everything before it is acknowledged
"""


@services
def test_a_process_killed_while_it_spools_loses_nothing_it_acknowledged(kafka, tmp_path, edge):
    topic, chance = kafka.new_topic(), random.Random(4)
    promised, begin = set(), 0
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", SPOOLING, tmp_path, nowhere(), str(begin)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        first = int(child.stdout.readline())
        time.sleep(chance.uniform(0, 0.3))
        child.send_signal(signal.SIGKILL)
        said = [first, *map(int, child.stdout.read().split())]
        child.wait()
        promised.update(f"e-{number}" for number in range(begin, said[-1]))
        begin += 100_000
    with Emitter(edge, at(kafka.servers, topic), tmp_path / "spool", limits=HASTY) as emitter:
        assert emitter.counts.spooled >= len(promised) > 0
        assert wait_until(lambda: emitter.drain(1), 30)
    assert promised <= set(arrived(kafka, topic))
