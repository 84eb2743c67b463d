"""What an audit looks at, whose it is, and what it finds."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from msgspec import Struct

from engine.identity import ANONYMOUS, CLICK, STRONG, classes_of
from engine.privacy import IdentifierKey, WorkspaceKey
from engine.progress import Progress
from engine.store.belonging import gather, leads_of
from engine.store.bulk import listed
from engine.store.connection import Connection
from engine.store.facts import Facts
from engine.store.people import People
from engine.store.reading import lead_ids

AT_ONCE = 5_000  # events
_ALL = 1 << 62  # positions
MOST = 200  # differences of one check that are listed
BACKUP = "put back a backup, or import the touchpoints again into a new database"
_COLUMNS = "SELECT stored_events.rowid, originator_id, topic, state FROM stored_events"
_NEXT = f"""
{_COLUMNS} WHERE stored_events.rowid > ? AND stored_events.rowid <= ?
ORDER BY stored_events.rowid LIMIT ?
"""
_AT = f"""
{_COLUMNS} WHERE stored_events.rowid IN (SELECT value FROM json_each(?))
ORDER BY stored_events.rowid
"""
_ABOUT = """
SELECT stored_events.rowid FROM stored_events JOIN streams ON originator = originator_id
WHERE number IN (SELECT value FROM json_each(:numbers))
UNION SELECT position FROM touchpoints WHERE stream IN (SELECT value FROM json_each(:numbers))
UNION SELECT position FROM evidence WHERE identifier IN (SELECT value FROM json_each(:numbers))
UNION SELECT position FROM links WHERE identifier IN (SELECT value FROM json_each(:numbers))
UNION SELECT position FROM retractions WHERE stream IN (SELECT value FROM json_each(:numbers))
"""
_STREAMS_AT = """
SELECT DISTINCT number FROM stored_events JOIN streams ON originator = originator_id
WHERE stored_events.rowid IN (SELECT value FROM json_each(?))
"""


class Difference(Struct, frozen=True):
    """One thing that is not as it must be, and what to do about it."""

    check: str
    what: str
    lead: str | None = None  # id
    position: int | None = None
    stored: Any = None  # what is there; None: nothing
    expected: Any = None  # what should be
    fix: str = BACKUP


class Keys(NamedTuple):
    """What opens sealed fields, and makes digests of them."""

    identifier: IdentifierKey
    workspace: WorkspaceKey


class Event(NamedTuple):
    """A row of `stored_events`; a damaged one may hold anything."""

    position: int
    originator: Any
    topic: Any
    data: Any


class OneLead(NamedTuple):
    """What concerns one lead, as known at a position."""

    number: int
    id: str
    identifiers: Sequence[int]  # by number
    names: frozenset[str]  # all ids that it goes by
    positions: Sequence[int]  # of touchpoints, links and retractions, ascending

    def goes_by(self, name: str, first: int) -> bool:
        """Whether an id means it, or one whose first touchpoint, by position, is its own now."""
        return name in self.names or first in self.positions


class Scope:
    """The facts up to a position, in one snapshot: of everybody, or of one lead."""

    def __init__(
        self, facts: Facts, connection: Connection, upto: int, keys: Keys | None, progress: Progress
    ) -> None:
        self.facts = facts
        self.connection = connection
        self.upto = upto  # position
        self.keys = keys
        self.lead: OneLead | None = None  # None: everybody
        self.checked: Counter[str] = Counter()
        self.differences: list[Difference] = []
        self.found: Counter[str] = Counter()  # differences by check, those included not listed
        self.notes: list[str] = []  # what could not be looked at, and why
        self._progress = progress
        self._done, self._total = 0, 0

    @property
    def head(self) -> bool:
        """Whether all that is recorded is looked at."""
        return self.upto >= self.facts.head()

    @property
    def bound(self) -> int:
        """The position up to which rows are looked at: all, for a damaged one may say any."""
        return _ALL if self.head else self.upto

    @cached_property
    def known_at(self) -> int | None:
        """The position as reading the facts takes it."""
        return None if self.head else self.upto

    @cached_property
    def people(self) -> People:
        """Who was who."""
        return People(self.connection, self.upto, self.facts.too_common)

    def tell(self, difference: Difference) -> None:
        """Keep a difference; of a check that finds very many only the first are listed."""
        self.found[difference.check] += 1
        if self.found[difference.check] <= MOST:
            self.differences.append(difference)

    def ahead(self, more: int) -> None:
        """There is so much more to do."""
        self._total += more

    def advance(self, more: int) -> None:
        """So much more is done."""
        self._done += more
        self._progress(self._done, max(self._total, self._done))

    def events(self) -> Iterator[list[Event]]:
        """The events, so many at a time, by position."""
        if self.lead is not None:
            positions = self.lead.positions
            for start in range(0, len(positions), AT_ONCE):
                asked = (listed(positions[start : start + AT_ONCE]),)
                yield [Event(*row) for row in self.connection.execute(_AT, asked).fetchall()]
            return
        at = 0
        while rows := self.connection.execute(_NEXT, (at, self.upto, AT_ONCE)).fetchall():
            yield [Event(*row) for row in rows]
            at = rows[-1][0]

    def narrow(self, number: int) -> None:
        """Look at one lead alone."""
        members = [number]
        if classes_of(np.array([number]))[0] == STRONG:
            leads = self.people.leads([number])
            members = sorted(one for one, whose in leads.items() if whose == leads[number])
        rows = self.connection.execute(_ABOUT, {"numbers": listed(members)})
        positions = {position for (position,) in rows if position <= self.upto}
        with suppress(Exception):  # rows that are damaged are told of where they are looked at
            owners, found = self._gathered([members[0]])
            positions.update(found.positions[owners == members[0]].tolist())
        names = lead_ids(self.connection, np.array(members, np.int64))
        lead = members[0]
        self.lead = OneLead(lead, names[0], members, frozenset(names), sorted(positions))

    def lead_at(self, stream: int | None, position: int) -> str | None:
        """The id of the lead that the touchpoint at a position of a stream is of."""
        if self.lead is not None:
            return self.lead.id
        if stream is None:
            return None
        whose = stream
        with suppress(Exception):  # where more is damaged, its stream has to do
            whose = self._whose(stream, position)
        return self.id_of(whose)

    def id_of(self, number: int) -> str | None:
        """The id of an identifier; None of what names no lead, or is not there."""
        if classes_of(np.array([number]))[0] not in (STRONG, ANONYMOUS, CLICK):
            return None
        try:
            return lead_ids(self.connection, np.array([number], np.int64))[0]
        except KeyError:
            return None

    def numbers_of(self, originators: Collection[str]) -> Mapping[str, int]:
        """The numbers of streams, by their ids in the event store."""
        return dict(
            self.connection.execute(
                "SELECT originator, number FROM streams "
                "WHERE originator IN (SELECT value FROM json_each(?))",
                (listed([one for one in originators if isinstance(one, str)]),),
            ).fetchall()
        )

    def leads_at(self, positions: Collection[int], known_at: int) -> list[int]:
        """The numbers of the leads that the streams at some positions are of, then."""
        found = self.connection.execute(_STREAMS_AT, (listed(positions),)).fetchall()
        streams = np.array([stream for (stream,) in found], np.int64)
        too_common, strings = self.facts.too_common, self.facts.strings
        leads: list[int] = leads_of(
            self.connection, streams, strings, too_common, known_at
        ).tolist()
        return leads

    def _whose(self, stream: int, position: int) -> int:
        leads = leads_of(
            self.connection,
            np.array([stream]),
            self.facts.strings,
            self.facts.too_common,
            self.upto,
        ).tolist()
        if len(leads) < 2:
            return int(leads[0]) if leads else stream
        owners, found = self._gathered(leads)
        return int(owners[found.positions == position][0])

    def _gathered(self, leads: Sequence[int]) -> Any:
        asked = np.array(leads, np.int64)
        return gather(self.connection, self.people, asked, self.known_at, self.facts.strings)
