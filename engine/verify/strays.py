"""Rows that no event accounts for, and events that are gone."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from engine.history import Packed
from engine.store.bulk import listed
from engine.store.mapper import TOUCHPOINT_RECORDED
from engine.verify.ledger import missing
from engine.verify.scope import MOST, Difference, Scope

ROWS_AT_ONCE = 50_000
_THERE = (
    "SELECT stored_events.rowid FROM stored_events "
    "WHERE stored_events.rowid IN (SELECT value FROM json_each(?))"
)
_NO_EVENT = """position <= :upto AND NOT EXISTS (
    SELECT 1 FROM stored_events WHERE stored_events.rowid = position AND topic = :topic
) ORDER BY position LIMIT :most"""
_WITHOUT = (  # position, stream, source and event id, as far as they are known
    f"SELECT position, stream, NULL, NULL FROM touchpoints WHERE {_NO_EVENT}",
    f"SELECT position, NULL, source, event_id FROM ids WHERE {_NO_EVENT}",
    f"SELECT position, NULL, source, event_id FROM recent_ids WHERE {_NO_EVENT}",
    f"SELECT position, NULL, NULL, NULL FROM retractions WHERE {_NO_EVENT}",
    f"SELECT position, identifier, source, event_id FROM links WHERE {_NO_EVENT}",
)
_ELSEWHERE = """
SELECT t.position, t.stream, originator_id FROM touchpoints AS t
JOIN stored_events ON stored_events.rowid = t.position
LEFT JOIN streams ON number = t.stream
WHERE t.position <= :upto AND (originator IS NULL OR originator <> originator_id) {}
ORDER BY t.position LIMIT :most
"""
_SAID = """
SELECT e.identifier, e.{0}, e.position, e.stream, t.packed FROM {1} AS e
LEFT JOIN touchpoints AS t ON t.stream = e.stream AND t.position = e.position
WHERE (e.identifier, e.{0}) > (:one, :two) AND e.position <= :upto {2}
ORDER BY e.identifier, e.{0} LIMIT :most
"""
_OF = "IN (SELECT value FROM json_each(:of))"

Rows = Sequence[tuple[int, int, int, int, bytes | None]]


def check_gone(scope: Scope) -> None:
    """Every position that was recorded, or that anything speaks of, has its event."""
    gone: dict[int, tuple[Any, ...]] = {}
    for position, *known in _gone(scope):
        before = gone.get(position, (None, None, None))
        gone[position] = tuple(
            new if one is None else one for one, new in zip(before, known, strict=True)
        )
    for position, (stream, source, event_id) in sorted(gone.items()):
        named = f"the touchpoint {source} {event_id}" if source else "what was recorded here"
        lead = scope.lead_at(stream, position)
        scope.tell(Difference("events", f"{named} is gone", lead, position, None, "an event"))


def check_strays(scope: Scope) -> None:
    """Every row lies where its event does, and says of nobody what its event does not say."""
    of = {} if scope.lead is None else {"of": listed(scope.lead.identifiers)}
    values = {"upto": scope.bound, "most": MOST, **of}
    elsewhere = _ELSEWHERE.format(f"AND t.stream {_OF}" if of else "")
    for position, stream, originator in scope.connection.execute(elsewhere, values).fetchall():
        what = "a packed row lies in another stream than its event"
        lead = scope.lead_at(stream, position)
        scope.tell(Difference("rows", what, lead, position, scope.id_of(stream), originator))
    for table, other in (("evidence", "position"), ("pairs", "other")):
        said = _SAID.format(other, table, f"AND e.identifier {_OF}" if of else "")
        for rows in _pages(scope, said, of):
            _check_said(scope, table, rows)


def _gone(scope: Scope) -> Iterator[tuple[Any, ...]]:
    if scope.lead is not None:
        there = scope.connection.execute(_THERE, (listed(scope.lead.positions),))
        for position in sorted({*scope.lead.positions} - {position for (position,) in there}):
            yield position, scope.lead.number, None, None
        return
    values = {"upto": scope.bound, "topic": TOUCHPOINT_RECORDED, "most": MOST}
    for statement in _WITHOUT:
        yield from scope.connection.execute(statement, values).fetchall()
    for gap in missing(scope.connection, scope.upto):
        for position in range(gap.first, gap.last + 1)[:MOST]:
            yield position, None, None, None


def _pages(scope: Scope, statement: str, of: Mapping[str, str]) -> Iterator[Rows]:
    values = {"one": -1, "two": -1, "upto": scope.bound, "most": ROWS_AT_ONCE, **of}
    while rows := scope.connection.execute(statement, values).fetchall():
        yield rows
        values |= {"one": rows[-1][0], "two": rows[-1][1]}


def _check_said(scope: Scope, table: str, rows: Rows) -> None:
    """That the touchpoint of each row names whom the row says."""
    scope.checked["rows"] += len(rows)
    streams = np.array([row[3] for row in rows], np.int64)
    wanted = [np.array([row[0] for row in rows], np.int64)]
    if table == "pairs":
        wanted.append(np.array([row[1] for row in rows], np.int64))
    packed = [row[4] if isinstance(row[4], bytes) else b"" for row in rows]
    says = np.array([bool(one) for one in packed])
    there = np.flatnonzero(says)
    with suppress(IndexError, ValueError):  # a damaged row is told of where it is looked at
        counts, others = Packed([packed[row] for row in there.tolist()]).others()
        for who in wanted:
            named = np.zeros(len(rows), np.bool_)
            at = np.repeat(there, counts)
            named[at[others == who[at]]] = True
            says &= named | ((streams == who) & (table == "pairs"))
    for row in np.flatnonzero(~says).tolist():
        identifier, other, position, stream, _ = rows[row]
        told = [scope.id_of(one) for one in (identifier, other)[: len(wanted)]]
        what = f"a row of {table} names what the touchpoint at this position does not"
        lead = scope.lead_at(stream, position)
        scope.tell(Difference("rows", what, lead, position, told, None))
