"""Reading facts in bulk: which leads, and their touchpoints as columns."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from engine.history import Histories, Strings, unpack
from engine.identity import leads_of, streams_of
from engine.store.bulk import listed, without_collecting
from engine.store.connection import Connection, Cursor
from engine.store.recorder import last_position

Numbers = NDArray[np.int64]

_ID_DIGITS = 32

_TOUCHPOINTS = "SELECT stream, position, packed FROM touchpoints "
_CHOSEN = "stream IN (SELECT value FROM json_each(:streams)) AND "
_NOW = "void IS NULL "
_THEN = "position <= :known_at AND (void IS NULL OR void > :known_at) "
_TOUCHED = """
SELECT number FROM stored_events JOIN streams ON originator = originator_id
WHERE stored_events.rowid > :after AND stored_events.rowid <= :upto AND folded_from IS NOT NULL
UNION
SELECT stream FROM retractions JOIN streams ON number = stream
WHERE position > :after AND position <= :upto AND folded_from IS NOT NULL
"""


class StoredTouchpoint(Struct, frozen=True):
    """One recorded touchpoint, as it came."""

    position: int
    recorded_at: int  # microseconds, UTC
    void: int | None  # position of the retraction that names it; 0: of a type never folded
    data: bytes  # Avro


def all_leads(connection: Connection, known_at: int | None) -> Numbers:
    """The numbers of all leads, ascending."""
    upto = last_position(connection) if known_at is None else known_at
    rows = connection.execute("SELECT number FROM streams WHERE folded_from <= ?", (upto,))
    return np.unique(leads_of(_numbers(rows)))


def touched_leads(connection: Connection, after: int, upto: int) -> Numbers:
    """The numbers of leads that got or lost touchpoints among some positions, ascending."""
    rows = connection.execute(_TOUCHED, {"after": after, "upto": upto})
    return np.unique(leads_of(_numbers(rows)))


def lead_ids(connection: Connection, leads: Numbers) -> list[str]:
    """The ids of leads, in their order."""
    statement = (
        "SELECT number, originator FROM streams WHERE number IN (SELECT value FROM json_each(?))"
    )
    ids = dict(connection.execute(statement, (listed(leads.tolist()),)))
    return [ids[number] for number in leads.tolist()]


def find_lead(connection: Connection, lead_id: str) -> int | None:
    """The number of the lead with this id, where there is one."""
    row = connection.execute(
        "SELECT number FROM streams WHERE originator = ? AND folded_from IS NOT NULL", (lead_id,)
    ).fetchone()
    return int(leads_of(np.array(row, np.int64))[0]) if row else None


def leads_beginning(connection: Connection, text: str) -> Numbers:
    """The numbers of the leads whose ids begin with some hex digits, ascending."""
    rows = connection.execute(
        "SELECT number FROM streams WHERE originator >= ? AND originator <= ? "
        "AND folded_from IS NOT NULL",
        (text.ljust(_ID_DIGITS, "0"), text.ljust(_ID_DIGITS, "f")),
    )
    return np.unique(leads_of(_numbers(rows)))


def leads_with(connection: Connection, kind: str, digest: str) -> Numbers:
    """The numbers of the leads with a touchpoint that counts and tells this among others."""
    rows = connection.execute(
        "SELECT DISTINCT stream FROM evidence JOIN touchpoints USING (stream, position) "
        "WHERE kind = ? AND digest = ? AND touchpoints.void IS NULL",
        (kind, digest),
    )
    return np.unique(leads_of(_numbers(rows)))


def histories(
    connection: Connection, strings: Strings, leads: Numbers | None, known_at: int | None
) -> Histories:
    """The touchpoints that count of these leads, or of all, as columns."""
    chosen = all_leads(connection, known_at) if leads is None else np.unique(leads)
    statement = _TOUCHPOINTS + "WHERE " + ("" if leads is None else _CHOSEN)
    statement += (_NOW if known_at is None else _THEN) + "ORDER BY stream, position"
    values = {"known_at": known_at, "streams": listed(streams_of(chosen).tolist())}
    with without_collecting():
        rows = connection.execute(statement, values).fetchall()
        streams, positions, packed = zip(*rows, strict=True) if rows else ((), (), ())
        del rows
    numbers = np.array(streams, np.int64), np.array(positions, np.int64)
    return _grouped(connection, chosen, *numbers, packed, strings)


def touchpoint_count(connection: Connection, lead: int) -> int:
    """How many touchpoints a lead's streams hold, void ones too."""
    statement = "SELECT count(*) FROM touchpoints WHERE stream IN (SELECT value FROM json_each(?))"
    streams = listed(streams_of(np.array([lead], np.int64)).tolist())
    return int(connection.execute(statement, (streams,)).fetchone()[0])


def touchpoints_of(
    connection: Connection, lead: int, known_at: int | None
) -> list[StoredTouchpoint]:
    """All touchpoints of a lead's streams, those that do not count too, by position."""
    statement = (
        "SELECT position, (SELECT recorded_at FROM recordings WHERE first <= position "
        "ORDER BY first DESC LIMIT 1), void, state "
        "FROM touchpoints JOIN stored_events ON stored_events.rowid = position "
        "WHERE stream IN (SELECT value FROM json_each(?)) AND position <= ? ORDER BY position"
    )
    streams = listed(streams_of(np.array([lead], np.int64)).tolist())
    upto = last_position(connection) if known_at is None else known_at
    rows = connection.execute(statement, (streams, upto))
    return [
        StoredTouchpoint(position, at, void if void is None or void <= upto else None, data)
        for position, at, void, data in rows
    ]


def _grouped(
    connection: Connection,
    chosen: Numbers,
    streams: Numbers,
    positions: Numbers,
    packed: Sequence[bytes],
    strings: Strings,
) -> Histories:
    leads = leads_of(streams)
    starts = np.append(np.searchsorted(leads, chosen), len(leads)).astype(np.int64)
    return unpack(lead_ids(connection, chosen), starts, packed, positions, strings)


def _numbers(rows: Cursor) -> Numbers:
    return np.fromiter(chain.from_iterable(rows), np.int64)
