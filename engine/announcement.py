"""Announcements: what was told of a lead, as a record, as Avro and as JSON."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import msgspec
from msgspec import Struct

from engine.codec import read, schema_of, write
from engine.errors import Undecodable
from engine.instants import format_instant

STAGE_ENTERED: Final = "stage_entered"
CLOCK_BREACHED: Final = "clock_breached"
CLOCK_DUE_SOON: Final = "clock_due_soon"
SEGMENT_JOINED: Final = "segment_joined"
SEGMENT_LEFT: Final = "segment_left"
CORRECTED: Final = "corrected"
KINDS = (STAGE_ENTERED, CLOCK_BREACHED, CLOCK_DUE_SOON, SEGMENT_LEFT, SEGMENT_JOINED, CORRECTED)
LASTING = (STAGE_ENTERED, CLOCK_BREACHED)  # once they are so, time does not undo them
SEGMENTS = (SEGMENT_LEFT, SEGMENT_JOINED)  # by whether the lead is in it

Key = tuple[str, str, int]  # kind, name, at: what tells the news of one lead apart


class TouchpointId(Struct, frozen=True):
    """A touchpoint by its source and the emitter's id."""

    source: str
    event_id: str


class TimedMove(Struct, frozen=True):
    """A move that came about by time: after_silence, after_stay or below_score."""

    timer: str
    move: int  # which of its track, from 1


Cause = TouchpointId | TimedMove | None


class Announcement(Struct, frozen=True, kw_only=True):
    """What was told, once, and when, why and from what; instants are microseconds, UTC."""

    id: str
    number: int  # from 1, in the order of telling
    kind: str
    name: str  # of the stage (track.stage), clock or segment
    at: int  # when it came about; of a correction, what it corrects has here
    due: int | None = None  # of a clock's run
    lead: str  # the id that it went by
    first: TouchpointId  # of the lead, as it was known
    cause: Cause = None
    position: int  # known at which it was folded
    settled_to: int  # as of which it was folded
    rules: str  # id of the rule set in force then
    corrects: str | None = None  # id
    announced_at: int

    @property
    def key(self) -> Key:
        """What tells it apart from other news of the lead."""
        return self.kind, self.name, self.at


class Standing(Struct, frozen=True):
    """An announcement that nothing corrects, and whom it is about."""

    first: TouchpointId
    number: int
    id: str
    kind: str
    name: str
    at: int
    due: int | None
    settled_to: int
    lead: str
    first_position: int
    whose: int  # number of the lead that is meant
    anchor: int  # position of the touchpoint that tells: whoever it is of, is meant

    @property
    def key(self) -> Key:
        """What it says."""
        return self.kind, self.name, self.at


def announcement_id(first: TouchpointId, key: Key, position: int, corrects: str | None) -> str:
    """The id of an announcement: SHA-256 in hex of its parts as a JSON array without blanks."""
    parts = [first.source, first.event_id, *key, position, corrects]
    return sha256(msgspec.json.encode(parts)).hexdigest()


def lead_key(first: TouchpointId) -> bytes:
    """What keeps announcements of a lead in order: 32 bytes made of its first touchpoint."""
    return sha256(msgspec.json.encode([first.source, first.event_id])).digest()


def encode(told: Announcement) -> bytes:
    """The bytes that go out: C3 01, the schema's fingerprint, the record."""
    record = msgspec.to_builtins(told)
    if told.cause is not None:
        record["cause"] = (f"leadledger.{type(told.cause).__name__}", record["cause"])
    return write(schema_of("announcement"), record)


def decode(data: bytes) -> Announcement:
    """The announcement that bytes of ours stand for.

    Raises:
        Undecodable: They are of another schema, damaged, or too many.
    """
    schema = schema_of("announcement")
    if not data.startswith(schema.header):
        raise Undecodable("the first ten bytes are not those of an announcement")
    return _of(read(schema, data))


def document(told: Announcement) -> dict[str, Any]:
    """The form in which it goes out as JSON."""
    said: dict[str, Any] = msgspec.to_builtins(told)
    for name in ("at", "due", "settled_to", "announced_at"):
        if said[name] is not None:
            said[name] = format_instant(said[name])
    return said


def line(told: Announcement) -> bytes:
    """That document as JSON on one line, without its end."""
    return msgspec.json.encode(document(told))


def cause_text(cause: Cause) -> str | None:
    """A cause as it is stored: JSON, as a visit tells it."""
    return None if cause is None else msgspec.json.encode(cause).decode()


def cause_of(said: Mapping[str, Any] | None) -> Cause:
    """A cause as it was decoded."""
    if said is None:
        return None
    return TimedMove(**said) if "timer" in said else TouchpointId(**said)


def _of(record: Mapping[str, Any]) -> Announcement:
    first, cause = TouchpointId(**record["first"]), cause_of(record["cause"])
    return Announcement(**{**record, "first": first, "cause": cause})
