"""The partitions that are ours: claimed in the database, and read on from what it says."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence

from consumers.port import Look, Message, Messages
from engine import metrics
from engine.errors import OffsetOutOfRange
from engine.store import offsets
from engine.store.facts import Facts
from engine.store.offsets import Offsets, Place, Step

CLAIM_AGAIN_S = 10.0  # after a partition was lost that the group goes on giving us


class Partitions:
    """Which partitions the group gives us, and which of them we hold in the database."""

    def __init__(self, facts: Facts, topic: str, owner: str) -> None:
        self._facts = facts
        self._topic = topic
        self._owner = owner
        self._given: frozenset[int] = frozenset()
        self._held: dict[int, Place] = {}
        self._lost: dict[int, float] = {}  # when to claim again

    @property
    def given(self) -> frozenset[int]:
        """What the group gives us."""
        return self._given

    @property
    def held(self) -> Mapping[int, Place]:
        """What we hold: where each is to be read on, and under which epoch."""
        return self._held

    def give(self, owned: frozenset[int]) -> None:
        """The group has given partitions out: whatever we held is to be claimed anew."""
        for partition in self._given - owned:
            metrics.partition_left(self._topic, partition)
        self._given = owned
        self._held.clear()
        self._lost.clear()

    def release(self) -> None:
        """Hold nothing: what the database says is no longer known for sure."""
        self._held.clear()

    def lose(self, partition: int) -> None:
        """Another owner has claimed a partition; should the group leave it to us, claim it later.

        Else one that two groups read, or whose other owner has died since, would lie idle.
        """
        self._held.pop(partition, None)
        self._lost[partition] = time.monotonic() + CLAIM_AGAIN_S

    def to_claim(self) -> list[int]:
        """The partitions given to us that we do not hold and may claim now."""
        now = time.monotonic()
        return [
            partition
            for partition in sorted(self._given - self._held.keys())
            if self._lost.get(partition, now) <= now
        ]

    def claim(self, wanted: Collection[int], look: Look) -> None:
        """Come to own partitions.

        Raises:
            TopicRecreated: What was read so far was in another topic of this name.
            OffsetOutOfRange: A partition no longer has the offset that comes next.
        """
        earliest = {partition: look.extents[partition][0] for partition in wanted}
        with self._facts.transaction() as connection:
            places = offsets.claim(connection, self._topic, look.topic_id, earliest, self._owner)
        for partition, place in places.items():
            self.check_range(partition, place.next_offset, look.extents[partition])
            self._held[partition] = place
            self._lost.pop(partition, None)
            metrics.epoch_changed()

    def check_range(self, partition: int, offset: int, extent: tuple[int, int]) -> None:
        """Make sure that an offset is one of those a partition has, or the next.

        Raises:
            OffsetOutOfRange: It is not.
        """
        if not extent[0] <= offset <= extent[1]:
            raise OffsetOutOfRange(self._topic, partition, offset, extent)

    def ours(self, messages: Messages) -> dict[int, Sequence[Message]]:
        """Those messages that come next in partitions that we hold."""
        taken: dict[int, Sequence[Message]] = {}
        for partition, some in messages.items():
            place = self._held.get(partition)
            if place is None:
                continue
            if some and some[0].offset < place.next_offset:
                some = [one for one in some if one.offset >= place.next_offset]
            if some:
                taken[partition] = some
        return taken

    def steps(self, messages: Messages) -> Offsets:
        """What a batch of messages moves on, to be kept with it."""
        topic_id = next(self._held[partition].topic_id for partition in messages)
        steps = {}
        for partition, some in messages.items():
            place = self._held[partition]
            steps[partition] = Step(place.epoch, place.next_offset, some[-1].offset + 1)
        return Offsets(self._topic, topic_id, steps)

    def moved(self, kept: Offsets) -> None:
        """A batch was recorded."""
        for partition, step in kept.steps.items():
            self._held[partition] = self._held[partition]._replace(next_offset=step.upto)

    def next_offsets(self, among: Iterable[int] | None = None) -> dict[int, int]:
        """Where the partitions that we hold are to be read on."""
        wanted = self._held if among is None else self._held.keys() & set(among)
        return {partition: self._held[partition].next_offset for partition in wanted}
