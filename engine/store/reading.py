"""Reading facts in bulk: which leads, and their touchpoints as columns."""

from collections.abc import Collection
from dataclasses import replace
from hashlib import sha256
from itertools import chain

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from engine.aggregates.rule_book import ORIGINATOR
from engine.history import Histories, Strings, unpack
from engine.identity import NO_ONE, ORIGINATOR_DIGITS, STRONG, classes_of
from engine.store.belonging import gather
from engine.store.bulk import listed, without_collecting
from engine.store.connection import Connection, Cursor
from engine.store.people import People
from engine.store.recorder import last_position

Numbers = NDArray[np.int64]

_VOID = """
SELECT position FROM touchpoints
WHERE stream IN (SELECT value FROM json_each(:streams)) AND position <= :upto AND void <= :upto
"""
_TOLD = """
SELECT number FROM streams WHERE number IN (SELECT value FROM json_each(?))
AND EXISTS (SELECT 1 FROM touchpoints WHERE stream = number)
"""
_STORED = """
SELECT position, (SELECT recorded_at FROM recordings WHERE first <= position
    ORDER BY first DESC LIMIT 1), void, state
FROM stored_events JOIN streams ON originator = originator_id
JOIN touchpoints ON stream = number AND position = stored_events.rowid
WHERE stored_events.rowid IN (SELECT value FROM json_each(:positions)) ORDER BY position
"""
_LAST = """
SELECT stored_events.rowid, originator_id, state FROM stored_events
WHERE stored_events.rowid <= ? ORDER BY stored_events.rowid DESC LIMIT 1
"""
_LAST_TOLD = _LAST.replace("<= ?", "<= ? AND originator_id <> ?")


class StoredTouchpoint(Struct, frozen=True):
    """One recorded touchpoint, as it came."""

    position: int
    recorded_at: int  # microseconds, UTC
    void: int | None  # position of the retraction that names it; 0: of a type never folded
    data: bytes  # Avro


def lead_numbers(connection: Connection) -> Numbers:
    """The numbers that leads may go by, ascending: those of all identifiers."""
    numbers = np.sort(_numbers(connection.execute("SELECT number FROM streams")))
    named: Numbers = numbers[classes_of(numbers) != NO_ONE]
    return named


def leading(connection: Connection, numbers: Numbers) -> Numbers:
    """Those of some numbers that leads may go by: a weak one must have touchpoints of its own."""
    strong = classes_of(numbers) == STRONG
    weak = connection.execute(_TOLD, (listed(numbers[~strong].tolist()),))
    return np.sort(np.append(numbers[strong], _numbers(weak)))


def lead_ids(connection: Connection, leads: Numbers) -> list[str]:
    """The ids of leads, in their order."""
    statement = (
        "SELECT number, originator FROM streams WHERE number IN (SELECT value FROM json_each(?))"
    )
    ids = dict(connection.execute(statement, (listed(leads.tolist()),)))
    return [ids[number] for number in leads.tolist()]


def identifiers_beginning(connection: Connection, text: str) -> Numbers:
    """The numbers of the identifiers whose ids begin with some hex digits, ascending."""
    rows = connection.execute(
        "SELECT number FROM streams WHERE originator >= ? AND originator <= ? ORDER BY number",
        (text.ljust(ORIGINATOR_DIGITS, "0"), text.ljust(ORIGINATOR_DIGITS, "f")),
    )
    return _numbers(rows)


@without_collecting()  # until its rows are gone too
def histories(
    connection: Connection,
    strings: Strings,
    too_common: int,
    leads: Numbers | None,
    known_at: int | None,
) -> Histories:
    """The touchpoints that count of these leads, or of all, as columns.

    A number that no lead goes by, as known then, has none.
    """
    asked = lead_numbers(connection) if leads is None else np.unique(leads)
    upto = last_position(connection) if known_at is None else known_at
    people = People(connection, upto, too_common)
    owners, found = gather(connection, people, asked, known_at, strings)
    order = np.argsort(owners, kind="stable")
    order = order[np.isin(owners[order], asked)]
    numbers, begins = np.unique(owners[order], return_index=True)
    starts = np.append(begins, len(order)).astype(np.int64)
    ids = lead_ids(connection, numbers)
    unpacked = unpack(ids, starts, found.packed, found.positions, strings, order)
    return replace(unpacked, numbers=numbers)


def touchpoints_of(
    connection: Connection, strings: Strings, too_common: int, lead: int, known_at: int | None
) -> list[StoredTouchpoint]:
    """All touchpoints of a lead, and those of its streams that do not count, by position."""
    upto = last_position(connection) if known_at is None else known_at
    people = People(connection, upto, too_common)
    owners, found = gather(connection, people, np.array([lead]), known_at, strings)
    counted = found.positions[owners == lead].tolist()
    streams = [one for one, whose in people.leads(()).items() if whose == lead] or [lead]
    void = connection.execute(_VOID, {"streams": listed(streams), "upto": upto})
    return touchpoints_at(connection, counted + [position for (position,) in void], upto)


def touchpoints_at(
    connection: Connection, positions: Collection[int], upto: int
) -> list[StoredTouchpoint]:
    """The touchpoints at some positions, by position, as known at another."""
    wanted = {"positions": listed(positions)}
    return [
        StoredTouchpoint(position, at, void if void is None or void <= upto else None, data)
        for position, at, void, data in connection.execute(_STORED, wanted)
    ]


def texts_after(connection: Connection, last: int) -> list[tuple[int, str]]:
    """The strings of the dictionary with ids above one, by id, each with its id."""
    rows = connection.execute("SELECT id, text FROM strings WHERE id > ? ORDER BY id", (last,))
    return rows.fetchall()


def anchor(connection: Connection, position: int, too_common: int) -> str:
    """What facts up to a position, and how leads are told apart, are known by; empty at 0.

    That is the event there and the last one that is no publication of rules: such a one may
    be the same in other facts, to the byte.
    """
    last = connection.execute(_LAST, (position,)).fetchone()
    told = connection.execute(_LAST_TOLD, (position, ORIGINATOR)).fetchone()
    if not last or last[0] != position:
        return ""
    digest = sha256(b"%d " % too_common)
    for _, originator, state in filter(None, (last, told)):
        digest.update(originator.encode() + state)
    return digest.hexdigest()


def _numbers(rows: Cursor) -> Numbers:
    return np.fromiter(chain.from_iterable(rows), np.int64)
