"""The ledger of announcements: rows that are added and never changed, and what stands beside them.

Whom each announcement is about by now, how far announcing has come, when more is due and how far
each sink is, changes; it is kept in the transactions that add rows, so that nothing is told twice
and nothing is lost, wherever a process dies.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.announcement import (
    Announcement,
    Standing,
    TouchpointId,
    cause_text,
    decode,
    encode,
)
from engine.errors import AnnouncerOvertaken
from engine.store.bulk import listed
from engine.store.connection import Connection

_COLUMNS = (
    "number",
    "id",
    "lead",
    "first_source",
    "first_event_id",
    "first_position",
    "kind",
    "name",
    "at",
    "due",
    "cause",
    "position",
    "settled_to",
    "rules_id",
    "corrects",
    "announced_at",
    "data",
)
_STANDING = """
SELECT first_source, first_event_id, number, id, kind, name, at, due, settled_to,
    announcements.lead, first_position, standing.lead, standing.position
FROM standing JOIN announcements USING (number)
"""
_MOVE = """
UPDATE announcing SET settled_to = ?, position = ?, made_with = ?
WHERE settled_to = ? AND position = ? AND made_with = ?
"""
_TAKE = """
INSERT INTO sinks VALUES (:name, :number)
ON CONFLICT (name) DO UPDATE SET number = excluded.number WHERE sinks.number = :before
"""


class Stand(NamedTuple):
    """How far announcing has come: all that came about by an instant, as known at a position."""

    settled_to: int  # microseconds, UTC
    position: int
    made_with: str  # what dues depend on besides facts and rules


class Due(NamedTuple):
    """When something may have to be told of a lead though nothing new is known of it."""

    lead: int  # number
    at: int  # microseconds, UTC
    ahead: int  # 1: because of a touchpoint that lies ahead; else 0


class Placed(NamedTuple):
    """An announcement about to be told, and where its lead is found."""

    told: Announcement
    first_position: int  # of its first touchpoint
    lead: int  # number; of a correction, nobody's


def stand(connection: Connection) -> Stand | None:
    """How far announcing has come; None before it began."""
    row = connection.execute("SELECT settled_to, position, made_with FROM announcing").fetchone()
    return Stand(*row) if row else None


def begin(connection: Connection, first: Stand) -> None:
    """Let announcing begin, or begin again, where nothing is told."""
    connection.execute("DELETE FROM announcing")
    connection.execute("INSERT INTO announcing VALUES (1, ?, ?, ?)", first)


def move(connection: Connection, before: Stand, after: Stand) -> None:
    """Say how far announcing has come by now.

    Raises:
        AnnouncerOvertaken: Another process has moved it.
    """
    if connection.execute(_MOVE, (*after, *before)).rowcount != 1:
        raise AnnouncerOvertaken("how far announcing has come")


# When more is due


def due(connection: Connection, upto: int) -> list[Due]:
    """What is due by an instant, in order."""
    rows = connection.execute(
        "SELECT lead, at, ahead FROM announcing_due WHERE at <= ? ORDER BY at, lead", (upto,)
    )
    return [Due(*row) for row in rows]


def nth_due(connection: Connection, nth: int) -> int | None:
    """When the so many-th is due, from 1 on, in microseconds, UTC; None where there are fewer."""
    row = connection.execute(
        "SELECT at FROM announcing_due ORDER BY at LIMIT 1 OFFSET ?", (nth - 1,)
    ).fetchone()
    return int(row[0]) if row else None


def replace_due(connection: Connection, leads: Collection[int] | None, rows: list[Due]) -> None:
    """Put these in the place of what is kept of some leads, or of all."""
    if leads is None:
        connection.execute("DELETE FROM announcing_due")
    else:
        connection.execute(
            "DELETE FROM announcing_due WHERE lead IN (SELECT value FROM json_each(?))",
            (listed(leads),),
        )
    connection.add_rows("announcing_due", Due._fields, rows)


# What is told


def last_number(connection: Connection) -> int:
    """How many announcements there are."""
    number: int = connection.execute(
        "SELECT coalesce(max(number), 0) FROM announcements"
    ).fetchone()[0]
    return number


def append(connection: Connection, placed: Sequence[Placed]) -> None:
    """Add announcements, whose numbers go on from the last; what one corrects stands no more."""
    connection.add_rows("announcements", _COLUMNS, [_row(one) for one in placed])
    stands = [(one.told.number, one.lead, one.first_position) for one in placed if _stands(one)]
    connection.add_rows("standing", ("number", "lead", "position"), stands)
    corrected = [one.told.corrects for one in placed if one.told.corrects is not None]
    connection.execute(
        "DELETE FROM standing WHERE number IN (SELECT number FROM announcements "
        "WHERE id IN (SELECT value FROM json_each(?)))",
        (listed(corrected),),
    )


def _stands(one: Placed) -> bool:
    return one.told.corrects is None


def _row(placed: Placed) -> tuple[object, ...]:
    told = placed.told
    return (
        told.number,
        told.id,
        told.lead,
        told.first.source,
        told.first.event_id,
        placed.first_position,
        told.kind,
        told.name,
        told.at,
        told.due,
        cause_text(told.cause),
        told.position,
        told.settled_to,
        told.rules,
        told.corrects,
        told.announced_at,
        bytearray(encode(told)),
    )


def following(connection: Connection, after: int, most: int) -> list[tuple[Announcement, bytes]]:
    """The announcements after a number, with the bytes that go out; so many at most."""
    rows = connection.execute(
        "SELECT data FROM announcements WHERE number > ? ORDER BY number LIMIT ?", (after, most)
    )
    return [(decode(bytes(data)), bytes(data)) for (data,) in rows]


def about(connection: Connection, positions: Collection[int]) -> list[Announcement]:
    """What was told, corrections included, of leads whose first touchpoint has one of these."""
    rows = connection.execute(
        "SELECT data FROM announcements "
        "WHERE first_position IN (SELECT value FROM json_each(?)) ORDER BY number",
        (listed(positions),),
    )
    return [decode(bytes(data)) for (data,) in rows]


# Whom it is about


def standing(connection: Connection, leads: NDArray[np.int64] | None = None) -> list[Standing]:
    """What nothing corrects, of some leads by number, or of all; in the order of telling."""
    if leads is None:
        rows = connection.execute(f"{_STANDING} ORDER BY number")
    else:
        rows = connection.execute(
            f"{_STANDING} WHERE standing.lead IN (SELECT value FROM json_each(?)) ORDER BY number",
            (listed(leads.tolist()),),
        )
    return [Standing(TouchpointId(*row[:2]), *row[2:]) for row in rows]


def place(connection: Connection, found: Iterable[tuple[int, int, int]]) -> None:
    """Say of announcements, by number, whose they are by now: lead, and position of its anchor."""
    connection.executemany(
        "UPDATE standing SET lead = ?, position = ? WHERE number = ?",
        [(lead, position, number) for number, lead, position in found],
    )


# Sinks


def taken(connection: Connection, sink: str) -> int:
    """The number of the last announcement that a sink took; 0 before the first."""
    row = connection.execute("SELECT number FROM sinks WHERE name = ?", (sink,)).fetchone()
    return int(row[0]) if row else 0


def take(connection: Connection, sink: str, before: int, number: int) -> None:
    """Note that a sink took what follows a number, up to another.

    Raises:
        AnnouncerOvertaken: Another process has sent to it.
    """
    values = {"name": sink, "before": before, "number": number}
    if connection.execute(_TAKE, values).rowcount != 1:
        raise AnnouncerOvertaken(f"how far the {sink} is")


def waiting(connection: Connection, after: int) -> tuple[int, int | None]:
    """How many announcements follow a number, and when the first of them was told."""
    row = connection.execute(
        "SELECT announced_at FROM announcements WHERE number > ? ORDER BY number LIMIT 1", (after,)
    ).fetchone()
    return last_number(connection) - after, row[0] if row else None
