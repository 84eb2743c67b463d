"""The topics: made as they must be, and looked over.

A log that is the source of truth is never compacted, and nothing in it ever ends.
How many partitions it has decides where each key lies, so that is chosen once.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, OffsetSpec

from engine.backoff import Backoff
from engine.codec import MAX_BYTES
from engine.errors import BrokerRefused, TopicMissing
from engine.kafka.faults import translated
from engine.kafka.settings import ASIDE, KafkaSettings

DEFAULT_PARTITIONS = 24
SAFE_REPLICATION = 3
MAX_MESSAGE_BYTES = 2 * MAX_BYTES  # the largest touchpoint, its headers and the batch around it
MAX_ASIDE_BYTES = 2 * MAX_MESSAGE_BYTES  # whatever came, sealed
WAIT_MS = 10_000
_ALREADY_EXISTS, _UNKNOWN_TOPIC = 36, 3  # error codes of Kafka's protocol


class Partition(NamedTuple):
    """Which offsets a partition has: from `begin` up to, not including, `end`."""

    begin: int
    end: int


class Difference(NamedTuple):
    """Something about a topic that is not as it must be."""

    topic: str
    what: str
    found: str
    wanted: str
    fix: str


class Made(NamedTuple):
    """What `init` did and found."""

    created: list[str]
    differences: list[Difference]


class Shape(NamedTuple):
    """A topic as the cluster has it."""

    topic_id: str
    partitions: int
    replication: int


def init(kafka: KafkaSettings, partitions: int | None, replication: int | None) -> Made:
    """Make the topics that are missing, and compare those that are there; change none of them.

    Args:
        kafka: Where, and the names of the topics.
        partitions: Of each topic; None: 24 for a new one, and any number for an old one.
        replication: Copies of each; None: as many as the cluster has brokers, up to 3.

    Raises:
        BrokerAway, BrokerRefused: See there.
    """
    with _admin(kafka) as admin:
        brokers = len(admin.describe_cluster()["brokers"])
        copies = replication or min(brokers, SAFE_REPLICATION)
        wanted = {
            name: {
                "num_partitions": partitions or DEFAULT_PARTITIONS,
                "replication_factor": copies,
                "configs": _configs(name, copies),
            }
            for name in kafka.topics
        }
        created = _create(admin, wanted, kafka)
        return Made(created, _differences_of_new(admin, kafka, partitions, replication))


def check(kafka: KafkaSettings) -> list[Difference]:
    """What is not as it must be.

    Raises:
        TopicMissing: One of the topics is not there.
        BrokerAway, BrokerRefused: See there.
    """
    with _admin(kafka) as admin:
        return _differences(admin, kafka, None, None)


def shape(kafka: KafkaSettings) -> Shape:
    """The topic, as the cluster has it.

    Raises:
        TopicMissing: It has not.
        BrokerAway, BrokerRefused: See there.
    """
    with _admin(kafka) as admin:
        return _shape(admin, kafka, kafka.topic)


def extents(kafka: KafkaSettings) -> tuple[str, dict[int, Partition]]:
    """The topic's id, and the offsets that each of its partitions has.

    Raises:
        TopicMissing: It is not there.
        BrokerAway, BrokerRefused: See there.
    """
    with _admin(kafka) as admin:
        found = _shape(admin, kafka, kafka.topic)
        places = [TopicPartition(kafka.topic, number) for number in range(found.partitions)]
        begins = admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.EARLIEST))
        ends = admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST))
    extent = {
        place.partition: Partition(begins[place].offset, ends[place].offset) for place in places
    }
    return found.topic_id, extent


@contextmanager
def _admin(kafka: KafkaSettings) -> Iterator[Any]:
    with translated(kafka):
        client = KafkaAdminClient(
            **kafka.python(), bootstrap_timeout_ms=WAIT_MS, request_timeout_ms=WAIT_MS
        )
        with closing(client):
            yield client


def _configs(topic: str, replication: int) -> dict[str, str]:
    size = MAX_ASIDE_BYTES if topic.endswith(ASIDE) else MAX_MESSAGE_BYTES
    return {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "message.timestamp.type": "CreateTime",
        "min.insync.replicas": "2" if replication >= SAFE_REPLICATION else "1",
        "unclean.leader.election.enable": "false",
        "max.message.bytes": str(size),
    }


def _create(admin: Any, wanted: Mapping[str, Any], kafka: KafkaSettings) -> list[str]:
    """Make topics, and wait until they can be written; the names of those that are new."""
    answer = admin.create_topics(wanted, raise_errors=False)
    for topic in answer["topics"]:
        if topic["error_code"] not in (0, _ALREADY_EXISTS):
            why = f"{topic['name']} cannot be made ({topic['error_message']})"
            raise BrokerRefused(", ".join(kafka.servers), why)
    admin.wait_for_topics(list(wanted))
    return [topic["name"] for topic in answer["topics"] if topic["error_code"] == 0]


def _differences_of_new(
    admin: Any, kafka: KafkaSettings, partitions: int | None, replication: int | None
) -> list[Difference]:
    """The differences; brokers that were not told yet of a topic that another made are waited for.

    Raises:
        TopicMissing: One still does not know it.
    """
    backoff, until = Backoff(0.05, 0.5), time.monotonic() + WAIT_MS / 1000
    while True:
        try:
            return _differences(admin, kafka, partitions, replication)
        except TopicMissing:
            if time.monotonic() > until:
                raise
        time.sleep(backoff.next_s())


def _differences(
    admin: Any, kafka: KafkaSettings, partitions: int | None, replication: int | None
) -> list[Difference]:
    found: list[Difference] = []
    for name in kafka.topics:
        shape = _shape(admin, kafka, name)
        found += _shape_differences(name, shape, partitions, replication)
        wanted = _configs(name, shape.replication)
        resource = ConfigResource("TOPIC", name, dict.fromkeys(wanted))
        told = admin.describe_configs([resource], config_filter="all")["topic"][name]
        for key, value in wanted.items():
            if not _fits(key, told[key]["value"], value):
                fix = _alter(kafka, name, f"{key}={value}")
                found.append(Difference(name, key, told[key]["value"], value, fix))
    return found


def _shape(admin: Any, kafka: KafkaSettings, name: str) -> Shape:
    (topic,) = admin.describe_topics([name])
    if topic["error_code"] == _UNKNOWN_TOPIC:
        raise TopicMissing(name, ", ".join(kafka.servers))
    parts = topic["partitions"]
    return Shape(str(topic["topic_id"]), len(parts), min(len(p["replica_nodes"]) for p in parts))


def _shape_differences(
    name: str, shape: Shape, partitions: int | None, replication: int | None
) -> list[Difference]:
    found = []
    if partitions not in (None, shape.partitions):
        fix = "leave it: with another number every key would lie elsewhere than its past"
        found.append(Difference(name, "partitions", str(shape.partitions), str(partitions), fix))
    if replication not in (None, shape.replication):
        fix = "move the copies with kafka-reassign-partitions.sh"
        found.append(Difference(name, "replication", str(shape.replication), str(replication), fix))
    return found


def _fits(key: str, found: str, wanted: str) -> bool:
    return int(found) >= int(wanted) if key == "max.message.bytes" else found == wanted


def _alter(kafka: KafkaSettings, topic: str, setting: str) -> str:
    return (
        f"kafka-configs.sh --bootstrap-server {kafka.servers[0]} --alter "
        f"--entity-type topics --entity-name {topic} --add-config {setting}"
    )
