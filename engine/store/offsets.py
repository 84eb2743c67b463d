"""How far each partition of a topic has been read, and who may read on.

A partition has one owner at a time. Whoever comes to own it raises its epoch, and a batch
moves its offset on only under the epoch and from the offset that its owner knows: one who
was replaced without noticing writes nothing.
"""

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct

from engine.errors import Fenced, TopicRecreated
from engine.store.connection import Connection

_CLAIM = """
INSERT INTO offsets (topic, partition, topic_id, next_offset, epoch, owner)
VALUES (:topic, :partition, :topic_id, :earliest, 1, :owner)
ON CONFLICT (topic, partition) DO UPDATE SET epoch = offsets.epoch + 1, owner = excluded.owner
"""
_ADVANCE = """
UPDATE offsets SET next_offset = :upto
WHERE topic = :topic AND partition = :partition AND topic_id = :topic_id
AND epoch = :epoch AND next_offset = :after
"""
_RESET = """
INSERT INTO offsets (topic, partition, topic_id, next_offset, epoch, owner)
VALUES (:topic, :partition, :topic_id, :next_offset, 1, '')
ON CONFLICT (topic, partition) DO UPDATE SET topic_id = excluded.topic_id,
next_offset = excluded.next_offset, epoch = offsets.epoch + 1, owner = ''
"""


class Place(NamedTuple):
    """How far a partition has been read, by whom last."""

    topic_id: str
    next_offset: int
    epoch: int
    owner: str


class Step(NamedTuple):
    """A partition is read from one offset up to another, under an epoch."""

    epoch: int
    after: int  # the next offset before
    upto: int  # the next offset from now on


class Offsets(Struct, frozen=True):
    """The steps of one batch, kept in the transaction that records it."""

    topic: str
    topic_id: str
    steps: Mapping[int, Step]  # by partition

    def keep(self, connection: Connection) -> None:
        """Move the offsets on.

        Raises:
            Fenced: One of them is no longer ours to move; nothing of the batch may be kept.
        """
        for partition, step in self.steps.items():
            values = {"topic": self.topic, "topic_id": self.topic_id, "partition": partition}
            cursor = connection.execute(_ADVANCE, {**values, **step._asdict()})
            if cursor.rowcount != 1:
                now = places(connection, self.topic).get(partition)
                raise Fenced(self.topic, partition, step.epoch, now.owner if now else "")


def places(connection: Connection, topic: str) -> dict[int, Place]:
    """How far the partitions of a topic have been read; those never claimed are missing."""
    rows = connection.execute(
        "SELECT partition, topic_id, next_offset, epoch, owner FROM offsets WHERE topic = ?",
        (topic,),
    )
    return {int(partition): Place(*rest) for partition, *rest in rows}


def claim(
    connection: Connection, topic: str, topic_id: str, earliest: Mapping[int, int], owner: str
) -> dict[int, Place]:
    """Come to own partitions: whoever did before writes no more.

    Args:
        connection: In a writing transaction.
        topic: Whose partitions they are.
        topic_id: The broker's, which tells a topic from one made anew under its name.
        earliest: By partition, the offset from which on one is read that never was.
        owner: Who claims, for people to read.

    Returns:
        Where to go on, by partition.

    Raises:
        TopicRecreated: What was read so far was in another topic of this name.
    """
    known = places(connection, topic)
    for partition in sorted(earliest):
        place = known.get(partition)
        if place is not None and place.topic_id != topic_id:
            raise TopicRecreated(topic, partition, place.next_offset)
    values = {"topic": topic, "topic_id": topic_id, "owner": owner}
    connection.executemany(
        _CLAIM, [{**values, "partition": one, "earliest": at} for one, at in earliest.items()]
    )
    now = places(connection, topic)
    return {partition: now[partition] for partition in earliest}


def reset(
    connection: Connection, topic: str, topic_id: str, next_offsets: Mapping[int, int]
) -> None:
    """Let partitions be read from other offsets on; whoever owns one now writes no more."""
    values = {"topic": topic, "topic_id": topic_id}
    connection.executemany(
        _RESET,
        [{**values, "partition": one, "next_offset": at} for one, at in next_offsets.items()],
    )
