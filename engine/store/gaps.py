"""Positions below the newest that no event has, and whether one may still come.

Whoever records with this program takes positions under a lock, one after the other. Other
writers of a PostgreSQL database count by a sequence: a transaction that is undone leaves its
positions empty for good, and one that locks nothing may still be open when later positions
are seen already. Read models that stood behind such a position would miss what comes there.

A writer holds a lock on the table from before it takes a position until its end. So it is
known, at the first sight of a gap, who may fill it; when those are gone it stays as it is.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from engine.store.connection import Connection, Database
from engine.store.recorder import last_position

_COUNT = "SELECT count(*) FROM stored_events WHERE {0} > :after AND {0} <= :upto"
_GAPS = """
SELECT before + 1, position - 1 FROM (
    SELECT {0} AS position, coalesce(lag({0}) OVER (ORDER BY {0}), :after) AS before
    FROM stored_events WHERE {0} > :after AND {0} <= :upto
) AS pairs
WHERE position > before + 1 ORDER BY position
"""
_NTH = """
SELECT max(position) FROM (
    SELECT {0} AS position FROM stored_events WHERE {0} > :after AND {0} <= :upto
    ORDER BY {0} LIMIT :most
) AS first
"""
_POSITION = "stored_events.rowid"
# Who has the table for himself writes at positions after all that are seen.
_WRITERS = """
SELECT virtualtransaction, pid FROM pg_locks
WHERE relation IN (
    'stored_events'::regclass, pg_get_serial_sequence('stored_events', 'notification_id')::regclass
) AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
GROUP BY 1, 2 HAVING bool_or(granted AND mode = 'RowExclusiveLock')
AND NOT bool_or(granted AND mode IN ('ExclusiveLock', 'AccessExclusiveLock'))
"""
Writers = Mapping[str, int | None]  # by transaction the server's process; None: prepared


class Gap(NamedTuple):
    """Positions without an event, from the first to the last."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first:,}" if self.first == self.last else f"{self.first:,} to {self.last:,}"

    @property
    def size(self) -> int:
        """How many positions."""
        return self.last - self.first + 1


class Reach(NamedTuple):
    """How far events are complete: nothing more will come at or before `upto`."""

    upto: int  # position
    head: int  # position of the newest event
    open: tuple[Gap, ...] = ()  # behind it: a transaction may still fill them
    writers: tuple[int, ...] = ()  # the server's processes that may
    empty: tuple[Gap, ...] = ()  # up to it: they stay as they are


class Gaps:
    """Watches gaps until those who may fill them are gone."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watched: dict[Gap, Writers] = {}

    def reach(self, after: int, most: int | None = None) -> Reach:
        """How far events are complete after a position, and at most so many of them.

        Not to be asked within a snapshot, which would not show what comes meanwhile.
        """
        with self._database.snapshot() as connection:
            head = last_position(connection)
            if head <= after:
                return Reach(after, head)
            seen = gaps(connection, after, head) if connection.dialect == "postgresql" else []
            if not seen:
                self._watched.clear()
                return Reach(_nth(connection, after, head, most), head)
            writers = _writers(connection)
        with self._database.snapshot() as connection:
            left = gaps(connection, after, head)
            self._watched = {gap: self._holders(gap, seen, writers) for gap in left}
            waits = tuple(gap for gap in left if self._watched[gap])
            upto = _nth(connection, after, waits[0].first - 1 if waits else head, most)
        processes = {pid or 0 for gap in waits for pid in self._watched[gap].values()}
        empty = tuple(gap for gap in left if gap.last <= upto)
        return Reach(upto, head, waits, tuple(sorted(processes)), empty)

    def _holders(self, gap: Gap, seen: Sequence[Gap], writers: Writers) -> Writers:
        """Who may still fill a gap; what is left of another was first seen now."""
        if gap not in self._watched or gap not in seen:
            return writers
        return {one: pid for one, pid in self._watched[gap].items() if one in writers}


def gaps(connection: Connection, after: int, upto: int) -> list[Gap]:
    """The positions in (after, upto] without an event, where `upto` has one."""
    where = {"after": after, "upto": upto}
    (count,) = connection.execute(_COUNT.format(_POSITION), where).fetchone()
    if count == upto - after:
        return []
    return [Gap(*row) for row in connection.execute(_GAPS.format(_POSITION), where)]


def _nth(connection: Connection, after: int, upto: int, most: int | None) -> int:
    """The last position in (after, upto] with an event, or that of the first so many."""
    if most is None or upto - after <= most:
        return upto
    row = connection.execute(
        _NTH.format(_POSITION), {"after": after, "upto": upto, "most": most}
    ).fetchone()
    return int(row[0])


def _writers(connection: Connection) -> Writers:
    """The transactions that are writing events now, as the server sees it, not the snapshot."""
    return dict(connection.execute(_WRITERS).fetchall())
