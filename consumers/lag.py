"""How far behind we are: for people to see, and to notice a client that has got stuck."""

import time
from collections.abc import Mapping

from consumers.port import Messages
from engine import metrics

STUCK_S = 30.0  # after which a partition that has more, and gives nothing, is stuck


class Lag:
    """Tells the lag of each partition: messages that wait, and since when the oldest does."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._ends: dict[int, int] = {}
        self._at_end: dict[int, float] = {}  # when nothing waited last: seconds since 1970
        self._made: dict[int, float] = {}  # when the last message recorded was made

    def looked(self, extents: Mapping[int, tuple[int, int]], following: Mapping[int, int]) -> None:
        """The broker said where partitions end."""
        self._ends.update((partition, end) for partition, (_, end) in extents.items())
        self._tell(following)

    def recorded(self, messages: Messages, following: Mapping[int, int]) -> None:
        """A batch was recorded."""
        for partition, some in messages.items():
            self._made[partition] = some[-1].timestamp / 1000
        self._tell(following)

    def _tell(self, following: Mapping[int, int]) -> None:
        """The oldest message that waits came after the last one that was recorded, and after the
        last time that none waited."""
        for partition, offset in following.items():
            waiting = max(0, self._ends.get(partition, 0) - offset)
            if not waiting:
                self._at_end[partition] = time.time()
            made, at_end = self._made.get(partition, 0.0), self._at_end.get(partition, 0.0)
            since = max(made, at_end) or time.time()
            metrics.lag(self._topic, partition, waiting, since if waiting else None)


class Stuck:
    """Notices partitions that have more to read, and of which the client gives nothing."""

    def __init__(self) -> None:
        self._standing: dict[int, tuple[int, float]] = {}  # at which offset, since when
        self._told: dict[int, int] = {}  # at which offset it was noticed; once is enough

    def looked(
        self, extents: Mapping[int, tuple[int, int]], following: Mapping[int, int]
    ) -> list[int]:
        """The partitions that have not moved for long; what ends in no message is told once."""
        now = time.monotonic()
        stuck = []
        for partition, offset in following.items():
            at, since = self._standing.get(partition, (-1, now))
            if at != offset or extents[partition][1] <= offset:
                self._standing[partition] = offset, now
            elif now - since >= STUCK_S and self._told.get(partition) != offset:
                self._told[partition] = offset
                stuck.append(partition)
        return stuck
