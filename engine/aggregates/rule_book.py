"""The rule book as a stream: publishing is a fact too, and takes a position like any other."""

from dataclasses import dataclass
from typing import ClassVar

from engine.aggregates.stream import Stream, StreamEvent

ORIGINATOR = "0" * 32  # no digest of an identifier comes to this


class RuleBook(Stream):
    """The publications of rule sets, in their order."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class RulesPublished(StreamEvent):
    """A rule set was published; `data` is JSON: rules_id and effective_at."""

    aggregate: ClassVar[type[Stream]] = RuleBook
