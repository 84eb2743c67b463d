"""How far behind we are, for people to see; nothing rests on it."""

import time
from collections.abc import Mapping

from consumers.port import Messages
from engine import metrics


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
