"""The way on where a topic was made anew, or cut short of what was read last."""

from typing import NamedTuple

from engine.kafka.settings import KafkaSettings
from engine.kafka.topics import Partition, extents
from engine.store.facts import Facts
from engine.store.offsets import Place, places, reset


class Move(NamedTuple):
    """A partition that will be read from another offset on than the one that was kept."""

    partition: int
    kept: int
    begin: int  # the earliest that there is
    why: str
    lost: int | None  # messages that nobody will read any more; None: nobody can tell


class Plan(NamedTuple):
    """What a reset would change."""

    topic: str
    topic_id: str
    moves: list[Move]


def plan(facts: Facts, kafka: KafkaSettings, everything: bool = False) -> Plan:
    """Which partitions cannot be read on from where they were; or all, from their beginning.

    Raises:
        TopicMissing, BrokerAway, BrokerRefused: See there.
    """
    topic_id, extent = extents(kafka)
    with facts.snapshot() as connection:
        kept = places(connection, kafka.topic)
    moves = [
        move
        for partition, place in sorted(kept.items())
        if partition in extent
        if (move := _move(partition, place, topic_id, extent[partition], everything))
    ]
    return Plan(kafka.topic, topic_id, moves)


def carry_out(facts: Facts, plan: Plan) -> None:
    """Keep the new offsets; a consumer that is running loses the partitions and writes no more."""
    with facts.transaction() as connection:
        offsets = {move.partition: move.begin for move in plan.moves}
        reset(connection, plan.topic, plan.topic_id, offsets)


def _move(
    partition: int, place: Place, topic_id: str, extent: Partition, everything: bool
) -> Move | None:
    kept, begin = place.next_offset, extent.begin
    if place.topic_id != topic_id:
        return Move(partition, kept, begin, "the topic was made anew", None)
    if kept < begin:
        return Move(partition, kept, begin, "its beginning was cut off", begin - kept)
    if kept > extent.end:
        return Move(partition, kept, begin, f"it ends at {extent.end:,} already", None)
    return Move(partition, kept, begin, "all of it was asked for", 0) if everything else None
