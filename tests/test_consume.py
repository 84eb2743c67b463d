"""From Kafka into the database, by real processes over a real broker: an effect once."""

import os
import random
import re
import subprocess
import sys
import time
from contextlib import closing
from urllib.request import urlopen

import pytest
from kafka import TopicPartition

from consumers.decode import Decoder
from engine import lifecycle
from engine.codec import encode
from engine.edge import Edge
from engine.privacy import IdentifierKey
from engine.store import ledger
from tests.consuming import (
    PATIENCE_S,
    ROOT,
    WORKSPACE_KEY,
    NoText,
    Pipeline,
    hostile,
    numbered,
)
from tests.services.process import wait_until
from tests.storing import touch
from tests.warm import Warm

pytestmark = pytest.mark.services
PLACES = ("polled", "decoded", "recorded", "kept", "committed")
CHANGED = 8
PROGRAM = (sys.executable, "-c", "from engine.cli.main import cli; cli()")


@pytest.fixture(scope="module")
def warm():
    """Forks consumers off."""
    made = Warm("consumers.__main__", "consumers.kafka_python", "consumers.confluent")
    yield made
    made.close()


@pytest.fixture
def pipeline(warm, kafka, tmp_path):
    """A topic, a database, and consumers between them, which end with the test."""
    made = Pipeline(warm, kafka, tmp_path)
    yield made
    made.close()


@pytest.fixture
def on_postgres(warm, kafka, tmp_path, database, proxy_before):
    """The same with a database on a server, behind a proxy that can be cut."""
    proxy = proxy_before(database)
    made = Pipeline(warm, kafka, tmp_path, database)
    made.proxy, made.through = proxy, proxy.url(database)
    yield made
    made.close()


def ids(touchpoints):
    return sorted(one.event_id for one in touchpoints)


def command(pipeline, *words):
    """Run a command of the product; exit code and output."""
    done = subprocess.run(
        [*PROGRAM, *words],
        env={**pipeline.environ(), "PATH": ""},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("client", ["standard", "fast"])
def test_what_is_sent_is_recorded_and_sigterm_ends_the_consumer_in_order(pipeline, client):
    sent = numbered(500)
    pipeline.send(sent)
    consumer = pipeline.consumer(CLIENT=client)
    assert pipeline.has_read(500), consumer.said()
    assert consumer.stop() == 0
    assert pipeline.recorded() == ids(sent)
    assert pipeline.is_conserved()


def test_the_command_does_the_same_and_shows_metrics(pipeline, tmp_path):
    pipeline.send(numbered(100))
    words = ("--topic", pipeline.topic, "--group", "mine", "--metrics-port", "0", "--db")
    with (tmp_path / "said").open("w") as said:
        consumer = subprocess.Popen(
            [*PROGRAM, "consume", *words, pipeline.url],
            env={**os.environ, **pipeline.environ(TOPIC="another", CLIENT="fast")},
            cwd=ROOT,
            stderr=said,
        )
    assert pipeline.has_read(100)
    port = re.search(r"http://127.0.0.1:(\d+)/metrics", (tmp_path / "said").read_text())[1]
    shown = urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    consumer.terminate()
    assert consumer.wait(PATIENCE_S) == 0
    recorded = 'leadledger_recorded_touchpoints_total{source="web",type="page_viewed"} 100.0'
    assert recorded in shown
    assert f'leadledger_lag_touchpoints{{partition="0",topic="{pipeline.topic}"}} 0.0' in shown
    assert "leadledger_database_up 1.0" in shown
    assert "leadledger_broker_up 1.0" in shown


@pytest.mark.parametrize("client", ["standard", "fast"])
def test_a_header_whose_name_is_no_text_hinders_nobody(pipeline, client):
    one, other, last = numbered(3)
    odd = [("ce_id", b"1"), (NoText("odd"), b"2"), ("traceparent", b"3")]
    pipeline.send_raw([(b"k", encode(one))], [("ce_id", b"1")], partition=0)
    pipeline.send_raw([(b"k", encode(other))], odd, partition=0)
    pipeline.send_raw([(b"k", encode(last))], partition=0)
    consumer = pipeline.consumer(CLIENT=client)
    assert pipeline.has_read(3), consumer.said()
    assert consumer.stop() == 0
    assert pipeline.recorded() == ids([one, other, last])
    with pipeline.facts() as facts, facts.snapshot() as connection:
        kept = [ledger.headers_at(connection, position) for position in (1, 2, 3)]
    assert kept == [[("ce_id", b"1")], [], []]


def test_killed_at_any_named_place_and_at_random_ones_it_records_each_touchpoint_once(pipeline):
    sent = numbered(2000)
    pipeline.send(sent)
    for place in PLACES:
        consumer = pipeline.consumer(CRASH_AT=f"consumer.{place}:2", BATCH=100, INSTANCE="one")
        assert consumer.wait() == -9
    for _ in range(2):
        consumer = pipeline.consumer(BATCH=20, INSTANCE="one")
        assert consumer.says("given to us: [")
        time.sleep(random.uniform(0, 0.5))
        consumer.kill()
    consumer = pipeline.consumer(INSTANCE="one")
    assert pipeline.has_read(2000), consumer.said()
    assert consumer.stop() == 0
    assert pipeline.recorded() == ids(sent)
    assert pipeline.is_conserved()


def test_a_group_that_was_deleted_changes_nothing(pipeline, kafka):
    sent = numbered(300)
    pipeline.send(sent[:200])
    consumer = pipeline.consumer()
    assert pipeline.has_read(200), consumer.said()
    assert consumer.stop() == 0
    with closing(kafka.admin()) as admin:
        admin.delete_groups([pipeline.environ()["LEADLEDGER_GROUP"]])
    pipeline.send(sent[200:])
    consumer = pipeline.consumer()
    assert pipeline.has_read(300), consumer.said()
    assert consumer.stop() == 0
    assert pipeline.intake().received == 300
    assert pipeline.recorded() == ids(sent)


def test_a_topic_made_anew_stops_the_consumer_until_it_is_told_where_to_go_on(pipeline, kafka):
    pipeline.send(numbered(200))
    consumer = pipeline.consumer()
    assert pipeline.has_read(200), consumer.said()

    kafka.delete_topic(pipeline.topic)
    kafka.create_topic(pipeline.topic)
    later = numbered(300, first=1000)
    pipeline.send(later)

    assert consumer.wait() == CHANGED
    assert f"topic {pipeline.topic} was made anew" in consumer.said()
    assert "leadledger kafka reset" in consumer.said()
    again = pipeline.consumer()
    assert again.wait() == CHANGED
    assert len(pipeline.recorded()) == 200

    assert command(pipeline, "kafka", "reset", "--yes")[0] == 0
    consumer = pipeline.consumer()
    assert pipeline.has_read(300), consumer.said()
    assert consumer.stop() == 0
    assert pipeline.recorded() == sorted(ids(numbered(200)) + ids(later))


def test_a_topic_cut_short_before_it_was_read_stops_the_consumer(pipeline, kafka):
    pipeline.send_raw(((None, encode(one)) for one in numbered(20)), partition=2)
    consumer = pipeline.consumer()
    assert pipeline.has_read(20), consumer.said()
    assert consumer.stop() == 0
    pipeline.send_raw(((None, encode(one)) for one in numbered(80, first=20)), partition=2)
    with closing(kafka.admin()) as admin:
        admin.delete_records({TopicPartition(pipeline.topic, 2): 50})

    consumer = pipeline.consumer()
    assert consumer.wait() == CHANGED
    told = f"partition 2 of {pipeline.topic} is to be read from offset 20, but holds offsets 50 to"
    assert f"{told} 100" in consumer.said()
    assert len(pipeline.recorded()) == 20

    assert command(pipeline, "kafka", "reset", "--yes")[0] == 0
    consumer = pipeline.consumer()
    assert wait_until(lambda: pipeline.read()[2] == 100)
    assert consumer.stop() == 0
    assert pipeline.recorded() == sorted(ids(numbered(20)) + ids(numbered(50, first=50)))


def test_a_topic_that_is_missing_is_said(pipeline):
    consumer = pipeline.consumer(TOPIC="nobody-made-it")
    assert consumer.wait() == 4
    assert "has no topic nobody-made-it" in consumer.said()


@pytest.mark.parametrize("clients", [("standard", "standard"), ("standard", "fast")])
def test_consumers_that_come_and_go_share_the_work_and_do_none_of_it_twice(pipeline, clients):
    sent = numbered(3000)
    first, second = (
        pipeline.consumer(CLIENT=clients[0], BATCH=50),
        pipeline.consumer(CLIENT=clients[1], BATCH=50),
    )
    assert first.says("given to us: [")
    assert second.says("given to us: [")
    pipeline.send(sent[:1500])
    assert pipeline.has_read(700)
    second.kill()
    pipeline.send(sent[1500:])
    third = pipeline.consumer(CLIENT=clients[1], BATCH=50)
    assert third.says("given to us: [")
    assert first.stop() == 0
    assert pipeline.has_read(3000), third.said()
    assert third.stop() == 0
    assert pipeline.recorded() == ids(sent)
    assert pipeline.is_conserved()


def test_a_frozen_consumer_that_comes_back_with_a_batch_in_hand_writes_nothing(pipeline):
    sent = numbered(400)
    pipeline.send(sent)
    zombie = pipeline.consumer(CRASH_AT="consumer.decoded:2:stop", BATCH=50, SESSION_SECONDS=1)
    assert wait_until(lambda: zombie.is_frozen())
    before = pipeline.epochs()
    heir = pipeline.consumer(BATCH=50, SESSION_SECONDS=1)
    assert pipeline.has_read(400), heir.said()
    assert all(pipeline.epochs()[one] > epoch for one, epoch in before.items())

    zombie.thaw()

    assert zombie.says("has another owner by now")
    assert pipeline.recorded() == ids(sent)
    more = numbered(100, first=400)
    pipeline.send(more)
    assert pipeline.has_read(500)
    assert (zombie.stop(), heir.stop()) == (0, 0)
    assert pipeline.recorded() == ids(sent + more)
    assert pipeline.is_conserved()


def test_who_takes_longer_than_the_group_waits_is_replaced_and_nothing_is_done_twice(pipeline):
    sent = numbered(300)
    slow = pipeline.consumer(POLL_LIMIT_SECONDS=2, SESSION_SECONDS=2)
    assert slow.says("given to us: [")
    with pipeline.facts() as facts, facts.transaction():  # whoever writes waits for this
        pipeline.send(sent)
        heir = pipeline.consumer(POLL_LIMIT_SECONDS=60, SESSION_SECONDS=2)
        assert heir.says("given to us: [0, 1, 2, 3]")
    assert pipeline.has_read(300), heir.said()
    assert (slow.stop(), heir.stop()) == (0, 0)
    assert pipeline.recorded() == ids(sent)
    assert pipeline.is_conserved()


def test_a_second_consumer_of_one_instance_id_ends_the_first(pipeline):
    first = pipeline.consumer(INSTANCE="one")
    assert first.says("given to us: [")
    second = pipeline.consumer(INSTANCE="one")
    assert first.wait() == 2
    assert "another consumer goes by the instance id 'one'" in first.said()
    assert second.stop() == 0


@pytest.mark.parametrize("client", ["standard", "fast"])
def test_a_broker_that_goes_away_is_waited_for_and_said_once(own_kafka, warm, tmp_path, client):
    pipeline = Pipeline(warm, own_kafka, tmp_path)
    with closing(pipeline):
        pipeline.send(numbered(100))
        consumer = pipeline.consumer(CLIENT=client)
        assert pipeline.has_read(100), consumer.said()
        own_kafka.stop()
        assert consumer.says("waiting for it")
        late = pipeline.consumer(CLIENT=client)
        assert late.says("waiting for it")
        own_kafka.start()
        pipeline.send(numbered(100, first=100))
        assert pipeline.has_read(200), consumer.said()
        assert consumer.says("it is back")
        assert (consumer.stop(), late.stop()) == (0, 0)
        assert consumer.said().count("waiting for it") == 1
        assert pipeline.recorded() == ids(numbered(200))


def test_a_database_that_goes_away_is_waited_for_and_nothing_is_done_twice(on_postgres, postgres):
    pipeline, through = on_postgres, {"DATABASE_URL": on_postgres.through}
    sent = numbered(600)
    pipeline.send(sent[:200])
    consumer = pipeline.consumer(BATCH=20, **through)
    assert pipeline.has_read(200), consumer.said()

    pipeline.proxy.cut()
    pipeline.proxy.refuse()
    pipeline.send(sent[200:400])
    assert consumer.says("waiting for it")
    pipeline.proxy.accept()
    assert pipeline.has_read(400), consumer.said()

    pipeline.send(sent[400:])
    for _ in range(5):
        postgres.terminate_backends(pipeline.url)
        time.sleep(random.uniform(0, 0.2))
    assert pipeline.has_read(600), consumer.said()
    assert consumer.stop() == 0
    assert pipeline.recorded() == ids(sent)
    assert pipeline.is_conserved()


def test_a_connection_lost_right_after_commit_makes_nothing_happen_twice(on_postgres):
    pipeline = on_postgres
    consumer = pipeline.consumer(BATCH=20, DATABASE_URL=pipeline.through)
    assert consumer.says("given to us: [")
    pipeline.proxy.cut_after()
    sent = numbered(200)
    pipeline.send(sent)
    assert pipeline.has_read(200), consumer.said()
    assert consumer.stop() == 0
    assert pipeline.recorded() == ids(sent)
    assert pipeline.is_conserved()


def test_what_cannot_be_accepted_is_set_aside_published_sealed_and_taken_up_again(pipeline):
    bad, good = hostile()
    pipeline.send_raw([(b"an@example.vn", encode(good))], partition=0)
    headers = [("traceparent", b"00-1"), ("cookie", b"an@example.vn")]
    pipeline.send_raw([(b"an@example.vn", value) for _, value in bad], headers, partition=0)
    consumer = pipeline.consumer()
    assert wait_until(lambda: len(pipeline.kafka.messages(f"{pipeline.topic}.aside")) == len(bad))

    with pipeline.facts() as facts:
        items = facts.aside()
        assert [item.reason for item in items] == [reason for reason, _ in bad]
        assert [(item.origin, item.partition, item.line) for item in items] == [
            (pipeline.topic, 0, offset) for offset in range(1, 1 + len(bad))
        ]
    published = pipeline.kafka.messages(f"{pipeline.topic}.aside")
    told = [{name: value.decode() for name, value in one.headers} for one in published]
    assert [one["reason"] for one in told] == [reason for reason, _ in bad]
    assert [int(one["offset"]) for one in told] == list(range(1, 1 + len(bad)))
    assert not any(b"example" in one.value + one.key for one in published)
    code, listed = command(pipeline, "aside", "list", "--json")
    assert code == 0
    assert f'"origin":"{pipeline.topic}","line":3' in listed

    pipeline.send(numbered(50))  # traffic goes on while it is tried again
    for _ in range(2):
        code, said = command(pipeline, "aside", "retry")
        assert said.startswith(f"{len(bad)} tried: 0 recorded, 0 known already")
    assert pipeline.has_read(1 + len(bad) + 50), consumer.said()
    assert consumer.stop() == 0
    assert pipeline.is_conserved()


def test_what_is_accepted_by_now_is_recorded_once_however_often_it_is_tried(pipeline, monkeypatch):
    one = touch("later", "email:ann", type="nonsense")
    pipeline.send_raw([(b"k", encode(one))], [("traceparent", b"00-1")], partition=1)
    consumer = pipeline.consumer()
    assert pipeline.has_read(1), consumer.said()
    assert consumer.stop() == 0
    with pipeline.facts() as facts:
        edge = Edge(IdentifierKey(bytes(32)), facts.keyring(WORKSPACE_KEY))
        monkeypatch.setattr("engine.catalogue.Catalogue.knows_type", lambda *_: True)
        again = Decoder().again
        first = lifecycle.retry_aside(facts, edge, WORKSPACE_KEY, redecode=again)
        second = lifecycle.retry_aside(facts, edge, WORKSPACE_KEY, redecode=again)
        assert (first.recorded, second.received) == (1, 0)
        with facts.snapshot() as connection:
            assert ledger.headers_at(connection, 1) == [("traceparent", b"00-1")]
    assert pipeline.recorded() == ["later"]
    assert pipeline.is_conserved()
