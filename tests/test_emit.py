"""Emitting to a real broker: everything arrives, under its key, and nobody reads who it is."""

import base64
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner import murmur2 as clients_murmur2

from engine.codec import decode
from engine.emit import Refusal
from engine.privacy import context_of, unseal
from tests.emitting import (
    IDENTIFIER_KEY,
    arrived,
    event_ids,
    ids,
    murmur2,
    nowhere,
    partition_of,
    people,
    row,
)
from tests.services.process import wait_until

services = pytest.mark.services


@pytest.mark.parametrize(
    ("key", "hashed"),  # the vectors of Kafka's own tests
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_our_own_murmur2_is_javas(key, hashed):
    assert murmur2(key) == hashed % (1 << 32)


@given(st.binary(max_size=64))
def test_the_client_hashes_keys_as_java_does(key):
    assert clients_murmur2(key) % (1 << 32) == murmur2(key)


@services
def test_a_touchpoint_lies_under_the_digest_of_its_primary_identifier(kafka, emitter_to):
    topic = kafka.new_topic(partitions=4)
    rows = people(50)
    emitter = emitter_to(kafka.servers, topic)
    assert emitter.emit(rows) == range(1, 51)
    emitter.flush()
    found = kafka.messages(topic)
    assert sorted(event_ids(found)) == ids(rows)
    for message in found:
        (person,) = (one for one in rows if one["event_id"] == decode(message.value).event_id)
        who = person["identifiers"][0]["value"]
        assert message.key.hex() == IDENTIFIER_KEY.digest("email", "", who)
        assert message.partition == partition_of(message.key, 4)
    assert len({message.partition for message in found}) == 4


@services
def test_what_names_nobody_lies_under_its_streams_digest(kafka, emitter_to):
    topic = kafka.new_topic()
    retraction = row(1, type="touchpoint_retracted", attributes={"source": "web", "event_id": "e"})
    del retraction["identifiers"]
    emitter = emitter_to(kafka.servers, topic)
    emitter.emit(retraction)
    emitter.flush()
    (message,) = kafka.messages(topic)
    assert message.key.hex() == decode(message.value).stream.digest


@services
def test_nothing_personal_and_no_key_goes_on_the_topic(kafka, edge, emitter_to):
    topic = kafka.new_topic()
    secret = {"name": "Nguyễn Thị Ánh", "text": "call me at home"}
    emitter = emitter_to(kafka.servers, topic)
    emitter.emit([row(number, personal=secret) for number in range(3)])
    emitter.flush()
    found = kafka.messages(topic)
    sealed = decode(found[0].value).sealed
    data_key = edge._keyring.keys([sealed.key_id])[sealed.key_id]
    database = edge._keyring._database
    with database.snapshot() as connection:
        ((wrapped,),) = connection.execute("SELECT wrapped FROM data_keys").fetchall()
    everything = b"".join(message.key + message.value for message in found)
    for hidden in ("an@example.vn", "Ánh", "call me"):
        assert hidden.encode() not in everything
    for key in (data_key, wrapped, base64.urlsafe_b64encode(wrapped)[:40]):
        assert key not in everything
    assert unseal(sealed, data_key, context_of(decode(found[0].value))) == {
        **secret,
        "email": "an@example.vn",
    }


@services
def test_rows_that_are_refused_are_told_by_number_and_reason_and_never_by_value(kafka, emitter_to):
    topic = kafka.new_topic()
    told = []
    emitter = emitter_to(kafka.servers, topic, on_error=told.append)
    bad = row(7, type="page-of-Ann", channel="Ann")
    emitter.emit([row(1), b'{"source": "Ann"', "Ann", bad, row(2, occurred_at="Ann"), row(3)])
    emitter.flush()
    assert [refusal[:2] for refusal in told] == [
        (2, "undecodable"),
        (3, "undecodable"),
        (4, "unknown_type"),
        (5, "not_canonical"),
    ]
    assert not [refusal for refusal in told if "Ann" in refusal.detail]
    counts = emitter.counts
    assert (counts.received, counts.sent, sum(counts.refused.values())) == (6, 2, 4)
    assert arrived(kafka, topic) == ["e-1", "e-3"]


@services
def test_a_callback_that_fails_stops_nothing(kafka, emitter_to):
    topic = kafka.new_topic()
    emitter = emitter_to(kafka.servers, topic, on_error=lambda refusal: 1 / 0)
    emitter.emit([b"{", row(1)])
    emitter.flush()
    assert arrived(kafka, topic) == ["e-1"]


@services
def test_what_no_broker_takes_is_told_and_the_rest_goes_out(kafka, emitter_to):
    topic = kafka.new_topic(max_message_bytes=2000)
    told = []
    emitter = emitter_to(kafka.servers, topic, on_error=told.append)
    rows = people(30)
    rows[10]["attributes"] = rows[20]["attributes"] = {"path": "/" * 3000}
    emitter.emit(rows)
    emitter.flush()
    reason = "refused_by_broker", "MessageSizeTooLargeError"
    assert told == [Refusal(11, *reason), Refusal(21, *reason)]
    fine = [one for one in rows if one not in (rows[10], rows[20])]
    assert arrived(kafka, topic) == ids(fine)


@services
def test_what_no_broker_takes_does_not_stop_what_is_spooled_with_it(kafka, emitter_to):
    topic = kafka.new_topic(max_message_bytes=2000)
    rows = people(30)
    rows[10]["attributes"] = {"path": "/" * 3000}
    with emitter_to(nowhere(), topic) as emitter:
        emitter.emit(rows)
    told = []
    emitter = emitter_to(kafka.servers, topic, on_error=told.append)
    assert wait_until(lambda: emitter.drain(1), 20)
    assert told == [Refusal(0, "refused_by_broker", "MessageSizeTooLargeError")]
    assert arrived(kafka, topic) == ids(one for one in rows if one is not rows[10])


@services
def test_threads_share_an_emitter(kafka, emitter_to):
    topic = kafka.new_topic()
    emitter = emitter_to(kafka.servers, topic)
    rows = people(200)
    parts = [rows[start::4] for start in range(4)]
    threads = [threading.Thread(target=emitter.emit, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    emitter.close()
    assert emitter.counts.sent == 200
    assert arrived(kafka, topic) == ids(rows)


@services
def test_an_emitter_leaves_no_thread_behind(kafka, emitter_to):
    before = threading.active_count()
    emitter_to(kafka.servers, kafka.new_topic()).close()
    emitter_to(nowhere()).close()
    assert wait_until(lambda: threading.active_count() <= before, 5)
