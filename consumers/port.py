"""What the loop asks of a Kafka client: five methods, and nothing of the client's own."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

Headers = Sequence[tuple[str, bytes | None]]


class Message(Protocol):
    """A message as a client hands it over."""

    @property
    def offset(self) -> int:
        """In its partition."""
        ...

    @property
    def timestamp(self) -> int:
        """When it was made, or appended: milliseconds since 1970, UTC; -1 where nobody says."""
        ...

    @property
    def key(self) -> bytes | None:
        """What decides on the partition."""
        ...

    @property
    def value(self) -> bytes | None:
        """What it says."""
        ...

    @property
    def headers(self) -> Headers:
        """What stands beside; none where their names are no text."""
        ...


Messages = Mapping[int, Sequence[Message]]  # by partition, in the order of their offsets


class Polled(NamedTuple):
    """What a look at the broker gave."""

    generation: int  # another one whenever the group has given partitions out anew
    owned: frozenset[int]  # the partitions that the group gives us
    messages: Messages


class Look(NamedTuple):
    """The topic as the broker has it: its id, and the offsets (first, next) of partitions."""

    topic_id: str
    extents: Mapping[int, tuple[int, int]]


class OutOfRange(Exception):
    """Partitions do not have the offset that they were to be read from.

    Args:
        ends: By partition, the offset at which it was cut short; None: the broker must be asked.
    """

    def __init__(self, ends: Mapping[int, int | None]) -> None:
        super().__init__(f"offset out of range in partitions {sorted(ends)}")
        self.ends = ends


class Source(Protocol):
    """A member of a consumer group that reads one topic; for one thread only."""

    def poll(self, seconds: float, most: int) -> Polled:
        """Wait for messages, at most so long; keeps us in the group.

        Args:
            seconds: To wait where there is nothing.
            most: Messages; 0: take none, and only stay in the group.

        Raises:
            OutOfRange: A partition does not have the offset that it is to be read from.
            BrokerAway, BrokerRefused, InstanceTaken: See there.
        """
        ...

    def seek(self, offsets: Mapping[int, int]) -> None:
        """Read these partitions on from these offsets, and no other."""
        ...

    def look(self, partitions: Sequence[int] = ()) -> Look:
        """Ask the broker for the topic's id, and for the offsets of partitions.

        Raises:
            TopicMissing, BrokerAway, BrokerRefused: See there.
        """
        ...

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Tell the group how far we are, for its displays; whether that succeeds is no matter."""
        ...

    def close(self) -> None:
        """Leave the group; who polls again joins it anew, with a client made anew."""
        ...
