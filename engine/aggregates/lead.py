"""The Lead aggregate: the stream of one identifier, and what it refuses.

Facts only: what they are worth is the business of the fold.
"""

from dataclasses import dataclass
from typing import ClassVar

from engine.aggregates.stream import Stream, StreamEvent
from engine.errors import WrongStream
from engine.identity import originator_of
from engine.touchpoint import Identifier


class Lead(Stream):
    """The touchpoints of one identifier, in the order in which they were recorded."""

    __slots__ = ()

    def record(self, stream: Identifier) -> int:
        """Take a touchpoint of this stream; returns the version that it gets.

        Raises:
            WrongStream: The touchpoint belongs to another stream.
        """
        originator = originator_of(stream)
        if originator != self.originator:
            raise WrongStream(originator, self.originator)
        return self.advance()


@dataclass(frozen=True, slots=True)
class TouchpointRecorded(StreamEvent):
    """A touchpoint was recorded; `data` is its Avro single-object encoding."""

    aggregate: ClassVar[type[Stream]] = Lead
