"""Rows to emit, emitters for them, and what a topic then holds."""

from contextlib import suppress
from pathlib import Path

import pytest

from engine.codec import decode
from engine.edge import Edge
from engine.emit import Emitter
from engine.errors import NotAcknowledged
from engine.kafka.sender import Limits
from engine.kafka.settings import KafkaSettings
from engine.privacy import IdentifierKey
from engine.store.facts import Facts
from tests.services.process import free_port
from tests.storing import NOW, WORKSPACE_KEY

IDENTIFIER_KEY = IdentifierKey(bytes(range(32, 64)))


def row(number, who="an@example.vn", **more):
    """A row that says little."""
    return {
        "source": "web",
        "event_id": f"e-{number}",
        "type": "page_viewed",
        "occurred_at": NOW - 1_000_000,
        "identifiers": [{"kind": "email", "value": who}],
        **more,
    }


def people(count):
    """Rows of as many people."""
    return [row(number, f"lead{number}@example.vn") for number in range(count)]


def edge_over(folder: Path) -> Edge:
    """An edge whose data keys are kept in a database in a folder, for good."""
    facts = Facts.open(folder / "keys.db")
    return Edge(IDENTIFIER_KEY, facts.keyring(WORKSPACE_KEY))


def at(servers: str, topic: str = "touchpoints") -> KafkaSettings:
    return KafkaSettings(tuple(servers.split(",")), topic)


def murmur2(data: bytes) -> int:
    """Kafka's hash of a key, written down from its description; tested against its own vectors."""
    multiplier, mask = 0x5BD1E995, 0xFFFFFFFF
    hashed = (0x9747B28C ^ len(data)) & mask
    whole = len(data) - len(data) % 4
    for at in range(0, whole, 4):
        word = int.from_bytes(data[at : at + 4], "little") * multiplier & mask
        word = (word ^ word >> 24) * multiplier & mask
        hashed = (hashed * multiplier & mask) ^ word
    if rest := data[whole:]:
        hashed = (hashed ^ int.from_bytes(rest, "little")) * multiplier & mask
    hashed = (hashed ^ hashed >> 13) * multiplier & mask
    return hashed ^ hashed >> 15


def partition_of(key: bytes, partitions: int) -> int:
    return (murmur2(key) & 0x7FFFFFFF) % partitions


HASTY = Limits(connect_s=1, acknowledge_s=2, retry_s=0.05, retry_most_s=0.2)


@pytest.fixture
def edge(tmp_path):
    """An edge whose keys are gone after the test."""
    return edge_over(tmp_path)


@pytest.fixture
def emitter_to(edge, tmp_path):
    """A function that makes emitters; those left open are closed after the test."""
    made = []

    def make(servers, topic="touchpoints", spool=True, **more):
        folder = tmp_path / "spool" if spool else None
        made.append(Emitter(edge, at(servers, topic), folder, **{"limits": HASTY, **more}))
        return made[-1]

    yield make
    for emitter in made:
        with suppress(NotAcknowledged):
            emitter.close(0.1)


def nowhere():
    """Where no broker is."""
    return f"127.0.0.1:{free_port()}"


def event_ids(messages):
    """Theirs, in the order of the messages."""
    return [decode(message.value).event_id for message in messages]


def arrived(kafka, topic):
    """The event ids in a topic, sorted, each once."""
    return sorted(set(event_ids(kafka.messages(topic))))


def ids(rows):
    """Theirs, sorted."""
    return sorted(one["event_id"] for one in rows)
