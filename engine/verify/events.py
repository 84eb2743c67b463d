"""Whether events are what was recorded: their bytes, their streams and their ids."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from engine.avroform import SOUND, Program, program, verdicts
from engine.codec import HEADER_BYTES, decode
from engine.errors import EngineError
from engine.identity import originator_of
from engine.resources import folder
from engine.store.ids import Key, Recorded, by_id
from engine.store.mapper import RULES_PUBLISHED, TOUCHPOINT_RECORDED
from engine.touchpoint import Touchpoint
from engine.verify.scope import Difference, Event, Scope

SHOWN_BYTES = 32  # of an event that cannot be read
_VERSIONS = """
SELECT originator_id, originator_version, position, before, came_after FROM (
    SELECT originator_id, originator_version, stored_events.rowid AS position,
        lag(originator_version) OVER streams AS before,
        lag(stored_events.rowid) OVER streams AS came_after
    FROM stored_events
    WINDOW streams AS (PARTITION BY originator_id ORDER BY originator_version)
) AS events
WHERE (originator_version <> coalesce(before, 0) + 1 OR position <= came_after)
AND position <= :upto ORDER BY position
"""


class Placed(NamedTuple):
    """A touchpoint that could be read, where it lies, and its stream's number where it has one."""

    position: int
    touchpoint: Touchpoint
    data: bytes
    stream: int | None

    @property
    def key(self) -> Key:
        """Its id."""
        return self.touchpoint.source, self.touchpoint.event_id

    def __str__(self) -> str:
        return f"the touchpoint {' '.join(self.key)}"


Check = Callable[[Scope, Sequence[Placed]], None]


def check_events(scope: Scope, more: Sequence[Check]) -> None:
    """Every event, and what further checks say of the touchpoints that could be read."""
    for some in scope.events():
        placed = _readable(scope, some)
        for check in (_check_ids, *more):
            check(scope, placed)
        scope.checked["events"] += len(some)
        scope.advance(len(some))


def check_versions(scope: Scope) -> None:
    """Every stream counts from 1 without a gap, in the order of positions."""
    own = None if scope.lead is None else set(scope.lead.positions)
    found = scope.connection.execute(_VERSIONS, {"upto": scope.upto}).fetchall()
    numbers = scope.numbers_of([row[0] for row in found])
    for originator, version, position, before, came_after in found:
        if own is not None and position not in own:
            continue
        stored, expected = version, (before or 0) + 1
        what = f"the stream {originator} goes on with version {stored} where {expected} was due"
        if stored == expected:
            stored, expected = position, f"after {came_after}"
            what = f"version {version} of the stream {originator} lies before the one before it"
        lead = scope.lead_at(numbers.get(originator), position)
        scope.tell(Difference("streams", what, lead, position, stored, expected))


def _readable(scope: Scope, some: Sequence[Event]) -> list[Placed]:
    """The touchpoints among events, each in the one form of its bytes and in its own stream."""
    numbers = scope.numbers_of([event.originator for event in some])
    told = [event for event in some if _is_touchpoint(scope, event, numbers)]
    forms = verdicts(_program(), [event.data[HEADER_BYTES:] for event in told])
    placed = []
    for event, form in zip(told, forms, strict=True):
        number = numbers.get(event.originator)
        try:
            touchpoint = decode(event.data)
            stream = originator_of(touchpoint.stream)
        except EngineError as error:
            _tell_unreadable(scope, event, number, f"cannot be read: {error}")
            continue
        if form < SOUND:
            _tell_unreadable(scope, event, number, "is not in the one form that Avro bytes have")
            continue
        one = Placed(event.position, touchpoint, event.data, number)
        placed.append(one)
        if stream != event.originator:
            what = f"{one} lies in the stream of somebody else"
            lead = scope.lead_at(number, event.position)
            scope.tell(Difference("streams", what, lead, event.position, event.originator, stream))
    return placed


def _is_touchpoint(scope: Scope, event: Event, numbers: Mapping[str, int]) -> bool:
    if event.topic == TOUCHPOINT_RECORDED and isinstance(event.data, bytes):
        return True
    if event.topic != RULES_PUBLISHED:
        what = "an event is of a kind that nothing here records"
        topics = f"{TOUCHPOINT_RECORDED} or {RULES_PUBLISHED}"
        lead = scope.lead_at(numbers.get(event.originator), event.position)
        scope.tell(Difference("events", what, lead, event.position, event.topic, topics))
    return False


def _tell_unreadable(scope: Scope, event: Event, number: int | None, why: str) -> None:
    lead = scope.lead_at(number, event.position)
    shown = event.data[:SHOWN_BYTES].hex()
    scope.tell(Difference("events", f"the event {why}", lead, event.position, shown))


@cache
def _program() -> Program:
    return program((folder("schemas") / "touchpoint.avsc").read_text())


def _check_ids(scope: Scope, placed: Sequence[Placed]) -> None:
    """Every touchpoint has an id of its own, which says what it says and where it lies."""
    keys = {one.key for one in placed}
    found: dict[Key, set[Recorded]] = defaultdict(set)
    for table in ("ids", "recent_ids"):
        for key, (content, at) in by_id(scope.connection, f"content, position FROM {table}", keys):
            found[key].add((content, at))
    for one in placed:
        expected = (bytes.fromhex(one.touchpoint.content), one.position)
        kept = found.get(one.key)
        if not kept:
            _tell_id(scope, one, None)
        for wrong in (kept or set()) - {expected}:
            _tell_id(scope, one, wrong)
    scope.checked["ids"] += len(placed)


def _tell_id(scope: Scope, one: Placed, kept: Recorded | None) -> None:
    lead = scope.lead_at(one.stream, one.position)
    what, stored, expected = f"{one} has no id", None, one.position
    if kept is not None:
        content, stored = kept
        what = f"the id of {one} is that of another position: it is there twice"
        if stored == one.position:
            what = f"{one} says something else than its id: its content was changed"
            said = content.hex(), one.touchpoint.content
            scope.tell(Difference("ids", what, lead, one.position, *said))
            return
    scope.tell(Difference("ids", what, lead, one.position, stored, expected))
