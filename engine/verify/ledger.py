"""Whether the books of a store add up: what came, when it was recorded, and the rules.

`doctor` asks these questions too.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from engine.aggregates.rule_book import ORIGINATOR
from engine.errors import EngineError
from engine.instants import format_instant
from engine.rulefile import parse
from engine.store import ledger, rulebook
from engine.store.connection import Connection
from engine.store.gaps import Gap, gaps
from engine.store.ledger import Intake
from engine.store.mapper import RULES_PUBLISHED, TOUCHPOINT_RECORDED
from engine.store.recorder import last_position
from engine.verify.packed import differing
from engine.verify.scope import Difference, Scope

PUBLISHED_BY = "use the version of leadledger that published it, or put back a backup"
_COUNTS = """
SELECT coalesce(sum(received), 0), coalesce(sum(duplicates), 0), coalesce(sum(recorded), 0),
    (SELECT count(*) FROM ids) + (SELECT count(*) FROM recent_ids AS recent WHERE NOT EXISTS (
        SELECT 1 FROM ids WHERE (source, event_id) = (recent.source, recent.event_id)
    )),
    (SELECT count(*) FROM touchpoints),
    (SELECT count(*) FROM stored_events WHERE topic = ?),
    coalesce(sum(set_aside), 0)
FROM intake
"""
_WAITING = "SELECT origin, count(*) FROM aside WHERE outcome IS NULL GROUP BY origin"
_RECORDED = "SELECT EXISTS (SELECT 1 FROM recordings WHERE first <= ? AND last >= ?)"
_RECORDINGS = "SELECT first, last, recorded_at FROM recordings WHERE first <= ? ORDER BY first"
_RECORDED_AT = "SELECT max(recorded_at) FROM recordings WHERE first <= ? AND last >= ?"
_AMONG = """
SELECT min(stored_events.rowid), count(*) FROM stored_events
WHERE stored_events.rowid >= ? AND stored_events.rowid <= ?
"""
_PUBLISHED = """
SELECT originator_version, stored_events.rowid, topic, state FROM stored_events
WHERE originator_id = ? AND stored_events.rowid <= ? ORDER BY originator_version
"""


class Counts(NamedTuple):
    """How much came and became of it, and how much of that is there."""

    received: int
    duplicates: int
    recorded: int
    ids: int
    packed: int
    events: int
    set_aside: int


def last_recorded(connection: Connection) -> int:
    """The last position that was ever recorded, be its event gone; 0 where there is none."""
    last = connection.execute("SELECT coalesce(max(last), 0) FROM recordings").fetchone()[0]
    return max(int(last), last_position(connection))


def missing(connection: Connection, upto: int) -> list[Gap]:
    """The positions up to one whose events were recorded and are not there any more."""
    head = last_position(connection)
    there = min(upto, head)
    empty = gaps(connection, 0, there) if there else []
    if upto > head:
        empty = [*empty, Gap(head + 1, upto)]
    return [
        gap for gap in empty if connection.execute(_RECORDED, (gap.last, gap.first)).fetchone()[0]
    ]


def counts(connection: Connection) -> Counts:
    """What the store counted, and what can be counted in it."""
    return Counts(*map(int, connection.execute(_COUNTS, (TOUCHPOINT_RECORDED,)).fetchone()))


def unbalanced(connection: Connection) -> Iterator[Difference]:
    """Where received is not recorded + duplicates + set aside, or one of these is not there."""
    waiting = dict(connection.execute(_WAITING).fetchall())
    intake = ledger.intake(connection)
    for origin in sorted(intake.keys() | waiting.keys()):
        came, there = intake.get(origin, Intake()), waiting.get(origin, 0)
        all_told = came.recorded + came.duplicates + came.set_aside
        if came.received != all_told:
            what = (
                f"of {came.received:,} received from {origin}, {came.recorded:,} were recorded, "
                f"{came.duplicates:,} known and {came.set_aside:,} set aside: some are lost"
            )
            yield Difference("conservation", what, None, None, came.received, all_told)
        if came.set_aside != there:
            what = f"{came.set_aside:,} were set aside, but there are {there:,}, from {origin}"
            yield Difference("conservation", what, None, None, there, came.set_aside)
    n = counts(connection)
    if not n.recorded == n.ids == n.packed == n.events:
        what = (
            f"{n.recorded:,} touchpoints were recorded, but there are {n.ids:,} ids, "
            f"{n.packed:,} packed rows and {n.events:,} events"
        )
        stored = {"ids": n.ids, "packed": n.packed, "events": n.events}
        yield Difference("conservation", what, None, None, stored, n.recorded)


def unusable(connection: Connection, rules_id: str) -> str | None:
    """What is wrong with a kept rule set; None where it still means the same."""
    try:
        written = rulebook.written_rules(connection, rules_id)
        rules = parse(written.toml, f"the rule set {written.name}")
    except EngineError as error:
        return f"names a rule set that cannot be used: {str(error).partition('; ')[0]}"
    if rules.id != rules_id:
        return (
            f"names the rule set {written.name}, which now reads as another one, as when a "
            "calendar of holidays has changed"
        )
    return None


def check_conservation(scope: Scope) -> None:
    """All that came is there, or was a duplicate, or is aside."""
    for difference in unbalanced(scope.connection):
        scope.tell(difference)
    scope.checked["origins"] += len(ledger.intake(scope.connection))


def check_recordings(scope: Scope) -> None:
    """Every position was recorded once, at times that never fall."""
    reached, before = 0, None
    for first, last, at in scope.connection.execute(_RECORDINGS, (scope.upto,)).fetchall():
        scope.checked["recordings"] += 1
        if last < first or first <= reached:
            what = f"positions {Gap(first, max(first, last))} were recorded twice, or backwards"
            scope.tell(Difference("recordings", what, None, first, [first, last], reached + 1))
        elif first > reached + 1:
            _check_between(scope, Gap(reached + 1, first - 1))
        if before is not None and at < before:
            what = f"positions {Gap(first, last)} were recorded before the ones before them"
            told = format_instant(at), f"not before {format_instant(before)}"
            scope.tell(Difference("recordings", what, None, first, *told))
        reached, before = max(reached, last), at if before is None else max(at, before)
    if last_position(scope.connection) > reached < scope.upto:
        _check_between(scope, Gap(reached + 1, scope.upto))


def check_rule_book(scope: Scope) -> None:
    """Every entry is what its event says, and every rule set what its id says."""
    connection = scope.connection
    stored = {one.number: one for one in rulebook.rule_book(connection, scope.upto)}
    told: dict[int, Any] = {}
    for number, position, topic, data in connection.execute(
        _PUBLISHED, (ORIGINATOR, scope.upto)
    ).fetchall():
        told[number] = _publication(connection, number, position, topic, data)
    for number in sorted(stored.keys() | told.keys()):
        there = msgspec.to_builtins(stored[number]) if number in stored else None
        expected = told.get(number)
        if there == expected:
            continue
        position = (expected or there or {}).get("position")
        values = differing(there, expected) if there and expected else (there, expected)
        what = f"entry {number} of the rule book is not what was published"
        scope.tell(Difference("rule book", what, None, position, *values))
    scope.checked["publications"] += len(told)
    for (rules_id,) in connection.execute("SELECT id FROM rule_sets ORDER BY id").fetchall():
        scope.checked["rule sets"] += 1
        if wrong := unusable(connection, rules_id):
            known = [one.position for one in stored.values() if one.rules_id == rules_id]
            values = (_read_as(connection, rules_id), rules_id)
            what = f"an entry of the rule book {wrong}" if known else f"the store {wrong}"
            position = known[0] if known else None
            scope.tell(Difference("rule book", what, None, position, *values, PUBLISHED_BY))


def _check_between(scope: Scope, gap: Gap) -> None:
    """Positions that nobody recorded: empty ones may be another program's, on a server alone."""
    first, events = scope.connection.execute(_AMONG, gap).fetchone()
    if events:
        what = f"{events:,} events at positions {gap} were recorded at no time"
        scope.tell(Difference("recordings", what, None, first, None, "a recording"))
    elif scope.connection.dialect == "sqlite":
        what = f"positions {gap} were passed over, which nothing that records here does"
        scope.tell(Difference("positions", what, None, gap.first, None, "an event"))
    else:
        scope.checked["positions given up"] += gap.size


def _publication(
    connection: Connection, number: int, position: int, topic: str, data: Any
) -> dict[str, Any] | None:
    """The entry that an event makes; None where it makes none."""
    try:
        said = msgspec.json.decode(data, type=dict[str, str | int | None])
    except (msgspec.DecodeError, TypeError):
        return None
    at = connection.execute(_RECORDED_AT, (position, position)).fetchone()[0]
    if topic != RULES_PUBLISHED:
        return None
    return {
        "number": number,
        "rules_id": said.get("rules_id"),
        "effective_at": said.get("effective_at"),
        "published_at": at,
        "position": position,
    }


def _read_as(connection: Connection, rules_id: str) -> str | None:
    """The id that a kept text has now; None where it cannot be read."""
    try:
        return parse(rulebook.written_rules(connection, rules_id).toml).id
    except EngineError:
        return None
