"""Which touchpoints are whose, as known at a position: what a lead is made of, and what changed.

A touchpoint lies in the stream of its first identifier for ever; whose it is may be said by
others on it, by what joins them, and by who a cookie or click belonged to at the time.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from engine.history import Packed, Strings
from engine.identity import ANONYMOUS, CLICK, STRONG, class_of
from engine.store.bulk import listed, without_collecting
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
WHERE e.identifier {_LIST} AND """
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
_CLASSES = f"SELECT number, kind FROM streams WHERE number {_LIST}"


class Gathered:
    """Touchpoints that count at a position, each once, and whom they name."""

    def __init__(self, connection: Connection, known_at: int | None) -> None:
        """`known_at` is a position; None: now."""
        self._connection = connection
        self._known_at = known_at
        self._live = _NOW if known_at is None else _THEN
        self._whole: set[int] = set()  # streams
        self._named_by: set[int] = set()  # identifiers
        self._seen: set[int] = set()  # positions of rows of other streams
        self.streams: list[int] = []
        self.positions: list[int] = []
        self.packed: list[bytes] = []
        self.classes: dict[int, int] = {}

    def add_all_of(self, numbers: Collection[int]) -> None:
        """Add every touchpoint that names one of these identifiers."""
        own = set(numbers) - self._whole
        self._whole |= own
        self._add([row for row in self._select(_OWN, own) if row[1] not in self._seen])
        named = set(numbers) - self._named_by
        self._named_by |= named
        others = [
            row
            for row in {row[1]: row for row in self._select(_NAMING, named)}.values()
            if row[0] not in self._whole and row[1] not in self._seen
        ]
        self._seen.update(row[1] for row in others)
        self._add(others)

    def add_rows(self, statement: str, values: Mapping[str, int]) -> None:
        """Add what a statement selects; it is for the caller to select nothing twice."""
        self._add(self._connection.execute(statement, values).fetchall())

    def weak(self) -> set[int]:
        """All weak identifiers that are named."""
        distinct = np.unique(self.named()[1])
        classes = self.classes_of(distinct)
        return set(distinct[(classes == ANONYMOUS) | (classes == CLICK)].tolist())

    def named(self) -> tuple[Numbers, Numbers]:
        """Where the identifiers of each touchpoint begin, and their numbers, the stream's first."""
        counts, others = Packed(self.packed).others()
        starts = np.append(0, np.cumsum(counts + 1)).astype(np.int64)
        ids = np.empty(starts[-1], np.int64)
        first = np.zeros(len(ids), np.bool_)
        first[starts[:-1]] = True
        ids[first], ids[~first] = np.array(self.streams, np.int64), others
        return starts, ids

    def classes_of(self, numbers: Numbers) -> NDArray[np.int8]:
        """The classes of identifiers."""
        new = set(numbers.tolist()) - self.classes.keys()
        for number, kind in self._connection.execute(_CLASSES, {"asked": listed(sorted(new))}):
            self.classes[number] = class_of(kind)
        return np.array([self.classes[number] for number in numbers.tolist()], np.int8)

    def _select(self, statement: str, asked: Collection[int]) -> Sequence[tuple[int, int, bytes]]:
        if not asked:
            return []
        values = {"asked": listed(sorted(asked)), "known_at": self._known_at}
        with without_collecting():
            return self._connection.execute(statement + self._live, values).fetchall()

    def _add(self, rows: Sequence[tuple[int, int, bytes]]) -> None:
        streams, positions, packed = zip(*rows, strict=True) if rows else ((), (), ())
        self.streams += streams
        self.positions += positions
        self.packed += packed


def gather(
    connection: Connection, people: People, leads: Numbers, known_at: int | None, strings: Strings
) -> tuple[Numbers, Gathered]:
    """The touchpoints that leads may be made of, and the lead of each; ELSEWHERE for others'."""
    found = Gathered(connection, known_at)
    classes = found.classes_of(leads)
    asked = set(leads[classes == STRONG].tolist())
    lead_of = {one: lead for one, lead in people.leads(asked).items() if lead in asked}
    weak = set(leads[(classes == ANONYMOUS) | (classes == CLICK)].tolist())
    found.add_all_of(lead_of.keys() | weak)
    while new := _weak_on_ours(found, lead_of) - weak:
        weak |= new
        found.add_all_of(new)
    return _owners(found, people, lead_of, strings), found


def _weak_on_ours(found: Gathered, lead_of: Mapping[int, int]) -> set[int]:
    """Weak identifiers on touchpoints that name one of these, or nobody strong."""
    starts, ids = found.named()
    distinct, at = np.unique(ids, return_inverse=True)
    classes = found.classes_of(distinct)
    weak = (classes == ANONYMOUS) | (classes == CLICK)
    if not weak.any():
        return set()
    ours = np.isin(distinct, np.fromiter(lead_of, np.int64, len(lead_of)))
    row = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    says = np.zeros(len(starts) - 1, np.bool_)
    strong = says.copy()
    says[row[ours[at]]] = True
    strong[row[(classes == STRONG)[at]]] = True
    return set(ids[weak[at] & (says | ~strong)[row]].tolist())


def _owners(
    found: Gathered, people: People, lead_of: Mapping[int, int], strings: Strings
) -> Numbers:
    starts, ids = found.named()
    distinct, at = np.unique(ids, return_inverse=True)
    classes = found.classes_of(distinct)
    strong = distinct[classes == STRONG].tolist()
    common = people.common(strong) if len(ids) > len(starts) - 1 else set()
    leads = distinct.copy()
    leads[classes == STRONG] = [lead_of.get(one, ELSEWHERE) for one in strong]
    if len(ids) == len(starts) - 1:  # each names one alone
        return leads[at]
    from engine.ownership import Named, owners

    named = Named(starts, at, classes, np.isin(distinct, sorted(common)), leads)
    ends = np.array([0, len(starts) - 1])
    order = Packed(found.packed).happening_order(ends, strings)
    return owners(named, np.arange(len(starts) - 1) if order is None else order)


def touched(
    connection: Connection, after: int, upto: int, strings: Strings, too_common: int
) -> Numbers:
    """The leads that gained or lost touchpoints between two positions, under either's numbers."""
    changed = _changed(connection, after, upto)
    distinct = np.unique(changed.named()[1])
    classes = changed.classes_of(distinct)
    strong = set(distinct[classes == STRONG].tolist()) | _linked(connection, after, upto)
    weak = changed.weak()
    people = People(connection, after, too_common), People(connection, upto, too_common)
    common = [known.common(strong) for known in people]
    if flipped := common[0] ^ common[1]:
        strong |= set(chain.from_iterable(people[1].company(one) for one in flipped))
        weak |= _weak_beside(connection, flipped, upto)
    numbers: set[int] = set(weak)
    for known, known_at in zip(people, (after, upto), strict=True):
        leads = known.leads(strong)
        numbers.update(leads[one] for one in strong)
        if weak:
            numbers.update(_owners_of(connection, known, weak, known_at, strings))
    return np.array(sorted(numbers), np.int64)


def _changed(connection: Connection, after: int, upto: int) -> Gathered:
    """The touchpoints that count at one of two positions and not at the other."""
    changed = Gathered(connection, upto)
    changed.add_rows(_NEW, {"after": after, "upto": upto})
    changed.add_rows(_VOIDED, {"after": after, "upto": upto})
    return changed


def _linked(connection: Connection, after: int, upto: int) -> set[int]:
    """The identifiers that links are about which count at one of two positions only."""
    rows = connection.execute(_CHANGED_LINKS, {"after": after, "upto": upto})
    return {number for (number,) in rows}


def _weak_beside(connection: Connection, numbers: Iterable[int], known_at: int) -> set[int]:
    """The weak identifiers that stand on a touchpoint with one of these."""
    found = Gathered(connection, known_at)
    found.add_all_of(set(numbers))
    return found.weak()


def _owners_of(
    connection: Connection, people: People, weak: Collection[int], known_at: int, strings: Strings
) -> set[int]:
    """The leads of all touchpoints that name one of these weak identifiers."""
    found = Gathered(connection, known_at)
    asked = set(weak)
    found.add_all_of(asked)
    while new := _weak_on_ours(found, {}) - asked:
        asked |= new
        found.add_all_of(new)
    _, ids = found.named()
    distinct = np.unique(ids)
    strong = distinct[found.classes_of(distinct) == STRONG].tolist()
    return set(_owners(found, people, people.leads(strong), strings).tolist())


def leads_of(
    connection: Connection, numbers: Numbers, strings: Strings, too_common: int
) -> Numbers:
    """The leads that identifiers are of now: of a strong one its own, of a weak one all owners."""
    head = last_position(connection)
    people = People(connection, head, too_common)
    found = Gathered(connection, None)
    classes = found.classes_of(numbers)
    strong = numbers[classes == STRONG].tolist()
    leads = people.leads(strong)
    whose = {leads[one] for one in strong}
    weak = numbers[(classes == ANONYMOUS) | (classes == CLICK)].tolist()
    if weak:
        whose |= _owners_of(connection, people, weak, head, strings)
    return np.array(sorted(whose), np.int64)


def touchpoint_count(connection: Connection, lead: int, too_common: int) -> int:
    """How many touchpoints name one of a lead's identifiers, about."""
    leads = People(connection, last_position(connection), too_common).leads([lead])
    values = {"asked": listed([one for one, whose in leads.items() if whose == leads[lead]])}
    return int(connection.execute(_COUNT, values).fetchone()[0])
