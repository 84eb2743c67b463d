"""Announcements on a real broker: each at least once, under its id, framed as touchpoints are."""

import json
import os
import signal
import subprocess
import sys
import uuid
from contextlib import closing
from dataclasses import replace
from io import BytesIO

import fastavro
import pytest

from engine.announcement import decode, lead_key, line
from engine.codec import HEADER_BYTES
from engine.errors import SinkAway, SinkRefused
from engine.kafka import topics
from engine.kafka.wire import unframe
from engine.privacy import IdentifierKey, WorkspaceKey
from engine.resources import folder
from engine.settings import IDENTIFIER_KEY, WORKSPACE_KEY
from engine.sinks import kafka as kafka_sink
from engine.sinks.kafka import KafkaSink
from engine.store import announcements as ledger
from tests.emitting import at, nowhere, partition_of
from tests.read_side import DAY, RULES
from tests.receiving import messages
from tests.shop import Shop, about
from tests.storing import Clock

pytestmark = pytest.mark.services
KEYS = {IDENTIFIER_KEY: "11" * 32, WORKSPACE_KEY: "22" * 32}
INVOKE = "from engine.cli.main import cli; cli()"


@pytest.fixture
def there(kafka):
    """Topics that nobody else uses: that of announcements is there."""
    topic = kafka.new_topic(4)
    return replace(at(kafka.servers, f"{topic}-touchpoints"), lifecycle=topic)


def test_each_is_a_message_under_the_key_of_its_lead(kafka, there):
    with closing(KafkaSink(there)) as sink:
        assert sink.send(messages(1, 2, 3)) == 3
        assert sink.send(messages(4)) == 1
    sent = {decode(one.value).number: one for one in kafka.messages(there.lifecycle)}
    for told, data in messages(1, 2, 3, 4):
        message = sent[told.number]
        assert (message.key, message.value) == (lead_key(told.first), data)
        assert message.partition == partition_of(message.key, 4)


def test_a_message_is_read_by_its_schema_alone(kafka, there):
    ((told, data),) = messages(1)
    with closing(KafkaSink(there)) as sink:
        sink.send([(told, data)])
    (message,) = kafka.messages(there.lifecycle)
    written = fastavro.schema.load_schema(str(folder("schemas") / "announcement.avsc"))
    digits = fastavro.schema.fingerprint(
        fastavro.schema.to_parsing_canonical_form(written), "CRC-64-AVRO"
    )
    assert message.value[:HEADER_BYTES] == b"\xc3\x01" + bytes.fromhex(digits)
    schema, record = unframe(message.value)
    assert schema.fingerprint == digits
    read = fastavro.schemaless_reader(BytesIO(record), written, None)
    assert (read["id"], read["kind"], read["name"]) == (told.id, "stage_entered", "life.mql")
    assert read["at"].isoformat() == "2026-03-02T00:00:00.000001+00:00"
    assert json.loads(line(told))["at"] == "2026-03-02T00:00:00.000001Z"


def test_the_topic_is_made_and_looked_over_with_the_others(kafka):
    name = f"test-{uuid.uuid4().hex[:12]}"
    settings = replace(at(kafka.servers, name), lifecycle=f"{name}-told")
    try:
        assert set(topics.init(settings, 2, None).created) == {*settings.topics}
        assert topics.check(settings) == []
        assert topics.init(settings, None, None) == topics.Made([], [])
    finally:
        with closing(kafka.admin()) as admin:
            admin.delete_topics([*settings.topics], raise_errors=False)


def test_a_topic_that_is_missing_is_told_with_what_to_do_and_used_once_it_is_there(kafka):
    name = f"test-{uuid.uuid4().hex[:12]}"
    with closing(KafkaSink(replace(at(kafka.servers), lifecycle=name))) as sink:
        with pytest.raises(SinkRefused, match=f"no topic {name}.*kafka init.*LIFECYCLE_TOPIC"):
            sink.send(messages(1))
        kafka.create_topic(name, 1)
        assert sink.send(messages(1)) == 1
    assert len(kafka.messages(name)) == 1


def test_without_a_broker_nothing_is_taken(monkeypatch):
    monkeypatch.setattr(kafka_sink, "CONNECT_S", 0.5)
    with closing(KafkaSink(at(nowhere()))) as sink, pytest.raises(SinkAway, match="no Kafka at"):
        sink.send(messages(1))


def test_a_broker_that_goes_and_comes_back_gets_the_rest_in_order(own_kafka, monkeypatch):
    monkeypatch.setattr(kafka_sink, "CONNECT_S", 2)
    monkeypatch.setattr(kafka_sink, "ACKNOWLEDGE_S", 2)
    topic = own_kafka.new_topic(1)
    with closing(KafkaSink(replace(at(own_kafka.servers), lifecycle=topic))) as sink:
        assert sink.send(messages(1, 2)) == 2
        own_kafka.stop()
        with pytest.raises(SinkAway):
            sink.send(messages(3, 4))
        own_kafka.start()
        assert sink.send(messages(3, 4)) == 2
    numbers = [decode(one.value).number for one in own_kafka.messages(topic)]
    assert numbers[:2] == [1, 2]
    assert sorted({*numbers}) == [1, 2, 3, 4]
    assert numbers[-2:] == [3, 4]


def announce(where, there, *, crash_at="", code=0):
    environ = {**os.environ, **KEYS, "LEADLEDGER_CRASH_AT": crash_at}
    environ |= {"LEADLEDGER_KAFKA": there.servers[0], "LEADLEDGER_LIFECYCLE_TOPIC": there.lifecycle}
    command = [sys.executable, "-c", INVOKE, "announce", "--once", "--db", str(where / "facts.db")]
    ran = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert ran.returncode == code, ran.stderr


def test_killed_once_the_broker_has_them_the_next_run_sends_them_again_under_their_ids(
    kafka, there, tmp_path
):
    shop = Shop(tmp_path)
    shop.facts.clock = Clock(DAY)
    first, second = (bytes.fromhex(key) for key in KEYS.values())
    shop.facts.check_keys(IdentifierKey(first), WorkspaceKey(second))
    shop.publish(RULES)
    announce(tmp_path, there)
    shop.record(about(1, DAY), about(2, DAY, type="price_asked"))
    announce(tmp_path, there, crash_at="sink.kafka", code=-signal.SIGKILL)
    announce(tmp_path, there)
    with shop.facts.snapshot() as connection:
        told = [data for _, data in ledger.following(connection, 0, 1000)]
    sent = [one.value for one in kafka.messages(there.lifecycle)]
    assert sorted(sent) == sorted(told * 2)
    assert len({decode(one).id for one in sent}) == len(told) > 0
    announce(tmp_path, there)
    assert len(kafka.messages(there.lifecycle)) == len(sent)
    shop.close()
