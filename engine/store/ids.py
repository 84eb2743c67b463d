"""Touchpoint ids, unique for ever: a sorted table, and before it those that came lately.

A random id falls on a page of its own in the sorted table, and writing that page costs
more than all else that its touchpoint leaves. So new ids go to the end of a table in the
order in which they come, kept in memory to be found again, until there are enough to
be copied in sorted order, many to a page. That takes a round: with every batch some more
are copied, so that no batch has to wait for all, and at its end they leave the first table.
"""

from collections.abc import Collection, Iterable, Sequence
from operator import itemgetter
from typing import Any

from engine.store.bulk import listed
from engine.store.connection import Connection

WAITING = 1 << 16  # ids, before a round begins
PACE = 2  # ids copied for each that is new
_COPY = """
INSERT INTO ids SELECT source, event_id, content, position FROM recent_ids
WHERE position IN (SELECT value FROM json_each(?)) ORDER BY source, event_id
ON CONFLICT DO NOTHING
"""
_SOURCE, _EVENT = itemgetter(0), itemgetter(1)
Key = tuple[str, str]  # source and event id of a touchpoint
Recorded = tuple[bytes, int]  # content digest and position


class Ids:
    """The ids, for the one who writes; forget what it remembers when a transaction is undone."""

    def __init__(self) -> None:
        self._recent: dict[Key, Recorded] = {}
        self._seen = 0  # position up to which the table's rows are among them
        self._round: list[int] = []  # positions still to be copied, the next one last
        self._round_upto = 0  # position up to which ids are in this round

    def forget(self) -> None:
        """Empty the memory."""
        self._recent.clear()
        self._round.clear()
        self._seen = 0

    def find(self, connection: Connection, keys: Collection[Key]) -> dict[Key, Recorded]:
        """What is recorded under these ids; ids that are new are left out."""
        self._catch_up(connection)
        recent = self._recent
        found = {key: recent[key] for key in keys if key in recent}
        for key, what in by_id(connection, "content, position FROM ids", keys):
            found[key] = what
        return found

    def add(self, connection: Connection, new: Sequence[tuple[Key, Recorded]]) -> None:
        """Keep ids that `find` did not find in this transaction."""
        rows = [(position, *key, bytearray(content)) for key, (content, position) in new]
        connection.add_rows("recent_ids", ("position", "source", "event_id", "content"), rows)
        self._recent.update(new)
        self._seen = rows[-1][0]
        if self._round or len(self._recent) >= WAITING:
            self._settle(connection, PACE * len(rows))

    def _catch_up(self, connection: Connection) -> None:
        """Remember what other processes added; what they moved since stays true."""
        if len(self._recent) > 2 * WAITING:
            self.forget()
        rows = connection.execute("SELECT * FROM recent_ids WHERE position > ?", (self._seen,))
        for position, source, event_id, content in rows:
            self._recent[source, event_id] = content, position
            self._seen = position

    def _settle(self, connection: Connection, count: int) -> None:
        """Copy so many more; what another process copied is there already."""
        connection.take_time()
        if not self._round:
            recent = self._recent
            by_event = sorted(recent, key=_EVENT, reverse=True)  # texts compare sooner than pairs
            self._round = [recent[key][1] for key in sorted(by_event, key=_SOURCE, reverse=True)]
            self._round_upto = self._seen
        some = self._round[-count:]
        del self._round[-count:]
        connection.execute(_COPY, (listed(some),))
        if not self._round:
            upto = self._round_upto
            connection.execute("DELETE FROM recent_ids WHERE position <= ?", (upto,))
            self._recent = {key: what for key, what in self._recent.items() if what[1] > upto}


def by_id(
    connection: Connection, what: str, keys: Iterable[Key]
) -> Iterable[tuple[Key, tuple[Any, ...]]]:
    """Columns of the rows with these ids, by a statement a source."""
    by_source: dict[str, list[str]] = {}
    for source, event_id in keys:
        by_source.setdefault(source, []).append(event_id)
    statement = (
        f"SELECT event_id, {what} WHERE source = ? AND event_id IN (SELECT value FROM json_each(?))"
    )
    for source, event_ids in by_source.items():
        for event_id, *values in connection.execute(statement, (source, listed(event_ids))):
            yield (source, event_id), tuple(values)
