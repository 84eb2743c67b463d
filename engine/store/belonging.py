"""Which touchpoints are whose, as known at a position: what a lead is made of, and what changed.

A touchpoint lies in the stream of its first identifier for ever; whose it is may be said by
others on it, by what joins them, and by who a cookie or click belonged to at the time.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from engine.history import Packed, Strings
from engine.identity import ANONYMOUS, CLICK, STRONG, classes_of
from engine.store.bulk import listed
from engine.store.connection import Connection
from engine.store.people import People
from engine.store.recorder import last_position

Numbers = NDArray[np.int64]

ELSEWHERE = -2  # a lead that nobody asked for
_LIST = "IN (SELECT value FROM json_each(:asked))"
_NOW = "t.void IS NULL"
_THEN = "t.position <= :known_at AND (t.void IS NULL OR t.void > :known_at)"
_OWN = f"SELECT t.stream, t.position, t.packed FROM touchpoints AS t WHERE t.stream {_LIST} AND "
_NAMING = f"""
SELECT t.stream, t.position, t.packed FROM evidence AS e
JOIN touchpoints AS t ON t.stream = e.stream AND t.position = e.position
WHERE e.identifier {_LIST} AND NOT (e.stream IN (SELECT value FROM json_each(:whole))) AND """
_NEW = """
SELECT t.stream, t.position, t.packed FROM touchpoints AS t
WHERE t.stream IN (
    SELECT number FROM stored_events JOIN streams ON originator = originator_id
    WHERE stored_events.rowid > :after AND stored_events.rowid <= :upto
) AND t.position > :after AND t.position <= :upto AND (t.void IS NULL OR t.void > :upto)
"""
_VOIDED = """
SELECT t.stream, t.position, t.packed FROM touchpoints AS t
WHERE t.stream IN (SELECT stream FROM retractions WHERE position > :after AND position <= :upto)
AND t.position <= :after AND t.void > :after AND t.void <= :upto
"""
_CHANGED_LINKS = """
SELECT identifier FROM links WHERE position > :after AND position <= :upto
UNION SELECT identifier FROM links WHERE void > :after AND void <= :upto
"""
_COUNT = f"""
SELECT (SELECT count(*) FROM touchpoints WHERE stream {_LIST})
    + (SELECT count(*) FROM evidence WHERE identifier {_LIST})
"""


class Names(NamedTuple):
    """The identifiers of touchpoints: row i has distinct[at[starts[i]:starts[i + 1]]]."""

    starts: Numbers  # n + 1
    at: Numbers
    distinct: Numbers  # ascending
    classes: NDArray[np.int8]  # of each distinct one

    @classmethod
    def of(cls, streams: Numbers, packed: Packed) -> Self:
        """Those of touchpoints in these streams."""
        counts, others = packed.others()
        starts = np.append(0, np.cumsum(counts + 1)).astype(np.int64)
        ids = np.empty(starts[-1], np.int64)
        first = np.zeros(len(ids), np.bool_)
        first[starts[:-1]] = True
        ids[first], ids[~first] = streams, others
        distinct, at = np.unique(ids, return_inverse=True)
        return cls(starts, at, distinct, classes_of(distinct))

    @property
    def row(self) -> Numbers:
        """Which touchpoint each stands on."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def on_which(self, wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The touchpoints that name any of some distinct ones."""
        found = np.zeros(len(self.starts) - 1, np.bool_)
        found[self.row[wanted[self.at]]] = True
        return found

    @property
    def strong(self) -> list[int]:
        """All strong identifiers that are named."""
        strong: list[int] = self.distinct[self.classes == STRONG].tolist()
        return strong

    @property
    def weak(self) -> set[int]:
        """All weak ones."""
        return set(self.distinct[_is_weak(self.classes)].tolist())


class Gathered:
    """Touchpoints that count at a position, each once, and whom they name."""

    def __init__(self, connection: Connection, known_at: int | None) -> None:
        """`known_at` is a position; None: now."""
        self._connection = connection
        self._known_at = known_at
        self._live = _NOW if known_at is None else _THEN
        self._whole: set[int] = set()  # identifiers of whom all is added
        self._seen: set[int] = set()  # positions of rows of other streams
        self._rows: list[tuple[int, int, bytes]] = []  # stream, position, packed
        self._names: Names | None = None
        self._packed: Packed | None = None

    def add_all_of(self, numbers: Collection[int]) -> None:
        """Add every touchpoint that names one of these identifiers."""
        new = set(numbers) - self._whole
        self._whole |= new
        rows = self._select(_OWN, new)
        self._add([row for row in rows if row[1] not in self._seen] if self._seen else rows)
        others = [
            row
            for row in {row[1]: row for row in self._select(_NAMING, new)}.values()
            if row[1] not in self._seen
        ]
        self._seen.update(row[1] for row in others)
        self._add(others)

    def add_rows(self, statement: str, values: Mapping[str, int]) -> None:
        """Add what a statement selects; it is for the caller to select nothing twice."""
        self._add(self._connection.execute(statement, values).fetchall())

    @property
    def packed(self) -> Packed:
        """The touchpoints."""
        if self._packed is None:
            self._packed = Packed([*map(itemgetter(2), self._rows)])
        return self._packed

    @property
    def positions(self) -> Numbers:
        """Of each touchpoint."""
        return self._numbers(1)

    @property
    def names(self) -> Names:
        """Whom they name."""
        if self._names is None:
            self._names = Names.of(self._numbers(0), self.packed)
        return self._names

    def _numbers(self, column: int) -> Numbers:
        return np.fromiter(map(itemgetter(column), self._rows), np.int64, len(self._rows))

    def _select(self, statement: str, asked: Collection[int]) -> Sequence[tuple[int, int, bytes]]:
        if not asked:
            return []
        values: dict[str, str | int | None] = {
            "asked": listed(sorted(asked)),
            "known_at": self._known_at,
        }
        if statement == _NAMING:
            values["whole"] = listed(sorted(self._whole))
        return self._connection.execute(statement + self._live, values).fetchall()

    def _add(self, rows: Sequence[tuple[int, int, bytes]]) -> None:
        if rows:
            self._rows += rows
            self._names = self._packed = None


def gather(
    connection: Connection, people: People, leads: Numbers, known_at: int | None, strings: Strings
) -> tuple[Numbers, Gathered]:
    """The touchpoints that leads may be made of, and the lead of each; ELSEWHERE for others'."""
    classes = classes_of(leads)
    asked = set(leads[classes == STRONG].tolist())
    lead_of = {one: lead for one, lead in people.leads(asked).items() if lead in asked}
    weak = leads[_is_weak(classes)].tolist()
    found = _gathered(connection, lead_of.keys() | weak, known_at, lead_of)
    return _owners(found, people, lead_of, strings), found


def _gathered(
    connection: Connection,
    numbers: Collection[int],
    known_at: int | None,
    lead_of: Mapping[int, int],
) -> Gathered:
    """All that names one of these, and what says whose the weak identifiers on it are."""
    found, asked = Gathered(connection, known_at), set(numbers)
    found.add_all_of(asked)
    while new := _weak_on_ours(found.names, lead_of) - asked:
        asked |= new
        found.add_all_of(new)
    return found


def _is_weak(classes: NDArray[np.int8]) -> NDArray[np.bool_]:
    weak: NDArray[np.bool_] = (classes == ANONYMOUS) | (classes == CLICK)
    return weak


def _weak_on_ours(names: Names, lead_of: Mapping[int, int]) -> set[int]:
    """Weak identifiers on touchpoints that name one of these, or nobody strong."""
    weak = _is_weak(names.classes)
    if not weak.any():
        return set()
    ours = np.isin(names.distinct, np.fromiter(lead_of, np.int64, len(lead_of)))
    asked = names.on_which(ours) | ~names.on_which(names.classes == STRONG)
    wanted = names.at[weak[names.at] & asked[names.row]]
    return set(names.distinct[wanted].tolist())


def _owners(
    found: Gathered, people: People, lead_of: Mapping[int, int], strings: Strings
) -> Numbers:
    names = found.names
    leads = names.distinct.copy()
    leads[names.classes == STRONG] = [lead_of.get(one, ELSEWHERE) for one in names.strong]
    if len(names.at) == len(names.starts) - 1:  # each names one alone
        return leads[names.at]
    from engine.ownership import Named, owners

    common = np.isin(names.distinct, sorted(people.common(names.strong)))
    order = np.arange(len(names.starts) - 1)
    if np.any(names.classes != STRONG):  # only of weak ones does it matter
        order = found.packed.in_happening_order(order, np.array([0, len(order)]), strings)
    return owners(Named(names.starts, names.at, names.classes, common, leads), order)


def touched(
    connection: Connection, after: int, upto: int, strings: Strings, too_common: int
) -> Numbers:
    """The leads that gained or lost touchpoints between two positions, under either's numbers."""
    new, voided = _changed(connection, after, upto)
    strong, weak = {*new.names.strong, *voided.names.strong}, new.names.weak | voided.names.weak
    people = People(connection, after, too_common), People(connection, upto, too_common)
    moved = people[1].changed_since(strong, after) | {*voided.names.strong}
    moved |= _linked(connection, after, upto)
    common = [known.common(moved) for known in people]
    moved -= common[0] & common[1]  # whoever stands with them comes and goes, and moves nothing
    if flipped := common[0] ^ common[1]:
        moved |= set(chain.from_iterable(people[1].company(one) for one in flipped))
        weak |= _weak_beside(connection, flipped, upto)
    now, then = people[1].leads(strong | moved), people[0].leads(moved.union(voided.names.strong))
    numbers = {now[one] for one in moved} | {then[one] for one in moved}
    for found, known, leads in ((new, people[1], now), (voided, people[0], then)):
        of_somebody = found.names.on_which(found.names.classes == STRONG)
        numbers.update(_owners(found, known, leads, strings)[of_somebody].tolist())
    if weak:
        before = _owned(connection, people[0], weak, after, strings)
        numbers.update(
            lead for _, lead in before ^ _owned(connection, people[1], weak, upto, strings)
        )
    return np.array(sorted(numbers), np.int64)


def _changed(connection: Connection, after: int, upto: int) -> tuple[Gathered, Gathered]:
    """The touchpoints that count at the later of two positions alone, and at the earlier alone."""
    new, voided = Gathered(connection, upto), Gathered(connection, after)
    new.add_rows(_NEW, {"after": after, "upto": upto})
    voided.add_rows(_VOIDED, {"after": after, "upto": upto})
    return new, voided


def _linked(connection: Connection, after: int, upto: int) -> set[int]:
    """The identifiers that links are about which count at one of two positions only."""
    rows = connection.execute(_CHANGED_LINKS, {"after": after, "upto": upto})
    return {number for (number,) in rows}


def _weak_beside(connection: Connection, numbers: Iterable[int], known_at: int) -> set[int]:
    """The weak identifiers that stand on a touchpoint with one of these."""
    found = Gathered(connection, known_at)
    found.add_all_of(set(numbers))
    return found.names.weak


def _owners_of(
    connection: Connection, people: People, weak: Collection[int], known_at: int, strings: Strings
) -> tuple[Numbers, Gathered]:
    """The touchpoints that name one of these, or another weak one that decides; the leads."""
    found = _gathered(connection, weak, known_at, {})
    return _owners(found, people, people.leads(found.names.strong), strings), found


def _owned(
    connection: Connection, people: People, weak: Collection[int], known_at: int, strings: Strings
) -> set[tuple[int, int]]:
    """The same as pairs of a position and a lead."""
    owners, found = _owners_of(connection, people, weak, known_at, strings)
    return {*zip(found.positions.tolist(), owners.tolist(), strict=True)}


def leads_naming(
    connection: Connection, people: People, weak: Collection[int], known_at: int, strings: Strings
) -> dict[int, set[int]]:
    """The leads whose touchpoints name each of some weak identifiers."""
    owners, found = _owners_of(connection, people, weak, known_at, strings)
    leads, named = owners[found.names.row], found.names.distinct[found.names.at]
    return {one: set(leads[named == one].tolist()) for one in weak}


def leads_of(
    connection: Connection,
    numbers: Numbers,
    strings: Strings,
    too_common: int,
    known_at: int | None = None,
) -> Numbers:
    """The leads that identifiers are of: of a strong one its own, of a weak one all owners."""
    upto = last_position(connection) if known_at is None else known_at
    people = People(connection, upto, too_common)
    classes = classes_of(numbers)
    strong = numbers[classes == STRONG].tolist()
    leads = people.leads(strong)
    whose = {leads[one] for one in strong}
    weak = numbers[_is_weak(classes)].tolist()
    if weak:
        naming = leads_naming(connection, people, weak, upto, strings)
        whose.update(*naming.values())
    return np.array(sorted(whose), np.int64)


def touchpoint_count(connection: Connection, lead: int, too_common: int) -> int:
    """How many touchpoints name one of a lead's identifiers, about."""
    leads = People(connection, last_position(connection), too_common).leads([lead])
    values = {"asked": listed([one for one, whose in leads.items() if whose == leads[lead]])}
    return int(connection.execute(_COUNT, values).fetchone()[0])
