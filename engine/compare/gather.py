"""Families, read from the store: what was recorded lately, and all that it may change."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from engine.compare.world import Family, Said, Universe
from engine.history import Packed
from engine.identity import components, is_strong, kind_code
from engine.store.belonging import Names
from engine.store.bulk import listed
from engine.store.connection import Connection
from engine.store.facts import Facts
from engine.store.ids import Key, by_id
from engine.store.links import Link, ascending
from engine.store.people import People

_ASKED = "IN (SELECT value FROM json_each(:asked))"
_OWN = f"""
SELECT stream, position, void, packed FROM touchpoints
WHERE stream {_ASKED} AND position <= :upto AND (void IS NULL OR void > 0)
"""
_NAMING = f"""
SELECT t.stream, t.position, t.void, t.packed FROM evidence AS e
JOIN touchpoints AS t ON t.stream = e.stream AND t.position = e.position
WHERE e.identifier {_ASKED} AND e.position <= :upto
"""
_LINKS = f"""
SELECT position, identifier, other, linked, occurred_at, sequence, source, event_id FROM links
WHERE identifier {_ASKED} AND position <= :upto
"""
_BESIDE = """
SELECT other, pairs.position <= :after AND (void IS NULL OR void > :upto) FROM pairs
JOIN touchpoints
    ON touchpoints.stream = pairs.stream AND touchpoints.position = pairs.position
WHERE pairs.identifier = :one AND pairs.position <= :upto
"""


class Row(NamedTuple):
    """A touchpoint as it is stored."""

    stream: int
    position: int
    void: int | None
    packed: bytes
    names: Sequence[int]  # identifiers, by precedence


class Lately:
    """What was recorded between two positions, the later one included."""

    def __init__(self, facts: Facts, connection: Connection, after: int, upto: int) -> None:
        self.facts, self.connection = facts, connection
        self.after, self.upto = after, upto
        self._then, self._now = (People(connection, at, facts.too_common) for at in (after, upto))
        self._common: dict[int, bool | None] = {}

    def is_common(self, number: int) -> bool | None:
        """Whether a strong identifier is too common; None where it may depend on what is kept."""
        if number not in self._common:
            self._common[number] = self._whether_common(number)
        return self._common[number]

    def members(self, leads: Collection[int]) -> set[int]:
        """The identifiers that leads, known by number at either position, are made of."""
        strong = [lead for lead in leads if is_strong(lead)]
        found = {*leads}
        for people in (self._then, self._now):
            found |= {one for one, lead in people.leads(strong).items() if lead in leads}
        return found

    def _whether_common(self, number: int) -> bool | None:
        values = {"one": number, "after": self.after, "upto": self.upto}
        beside = self.connection.execute(_BESIDE, values).fetchall()
        at_least = Counter(kind_code(other) for other, in_any_case in beside if in_any_case)
        at_most = Counter(kind_code(other) for other, _ in beside)
        if max(at_least.values(), default=0) > self.facts.too_common:
            return True
        return None if max(at_most.values(), default=0) > self.facts.too_common else False


def gather(lately: Lately, leads: Collection[int]) -> tuple[Universe, list[Family]]:
    """The families of some leads, known by number at either position."""
    return _Gathering(lately).of(leads)


class _Gathering:
    def __init__(self, lately: Lately) -> None:
        self._lately = lately
        self._rows: dict[int, Row] = {}  # by position
        self._links: dict[int, tuple[Any, ...]] = {}  # by position, in happening order
        self._ours: set[int] = set()
        self._weak: set[int] = set()

    def of(self, leads: Collection[int]) -> tuple[Universe, list[Family]]:
        """Read on and on, until nothing new is named."""
        new = self._lately.members(leads)
        while new:
            self._ours |= {one for one in new if is_strong(one)}
            self._weak |= {one for one in new if not is_strong(one)}
            self._read(new)
            new = self._reached() - self._ours - self._weak
        return self._universe()

    def _read(self, numbers: Collection[int]) -> None:
        """All touchpoints and links that name some identifiers."""
        values = {"asked": listed(sorted(numbers)), "upto": self._lately.upto}
        execute = self._lately.connection.execute
        found = {}
        for statement in (_OWN, _NAMING):
            for row in execute(statement, values).fetchall():
                if row[1] not in self._rows:
                    found[row[1]] = row
        rows = [*found.values()]
        names = _names([row[0] for row in rows], [row[3] for row in rows])
        for (stream, position, void, packed), named in zip(rows, names, strict=True):
            self._rows[position] = Row(stream, position, void, packed, named)
        self._links |= {link[0]: link for link in execute(_LINKS, values).fetchall()}

    def _reached(self) -> set[int]:
        """Identifiers of which more must be known."""
        reached: set[int] = set()
        for row in self._rows.values():
            if any(self._is_open(one) or one in self._weak for one in row.names):
                reached.update(row.names)
        for _, one, other, *_ in self._links.values():
            if self._is_open(one):
                reached.add(other)
        return {one for one in reached if not is_strong(one) or self._may_join(one)}

    def _may_join(self, number: int) -> bool:
        return self._lately.is_common(number) is not True

    def _is_open(self, number: int) -> bool:
        """Whether it is a strong identifier of ours that may join another."""
        return number in self._ours and self._may_join(number)

    def _universe(self) -> tuple[Universe, list[Family]]:
        lately, facts = self._lately, self._lately.facts
        rows = [*self._rows.values()]
        packed = Packed([row.packed for row in rows])
        order = packed.in_happening_order(
            np.arange(len(rows)), np.array([0, len(rows)]), facts.strings
        ).tolist()
        strong = {one for row in rows for one in row.names if is_strong(one)}
        universe = Universe(
            known_at=lately.after,
            too_common=facts.too_common,
            positions=[row.position for row in rows],
            names=[row.names for row in rows],
            retractions=self._retractions(rows, packed),
            packed=packed,
            strings=facts.strings,
            ours=frozenset(self._ours),
            common=frozenset(one for one in strong | self._ours if lately.is_common(one)),
        )
        return universe, [*self._families(universe, order)]

    def _retractions(self, rows: Sequence[Row], packed: Packed) -> dict[int, tuple[int, ...]]:
        """What voids each touchpoint that is void by now, by its place."""
        void = [
            at
            for at, row in enumerate(rows)
            if row.void is not None and row.void <= self._lately.upto
        ]
        sources = packed.column("source")[void].tolist()
        texts = self._lately.facts.strings.texts(sources)
        keys = [
            (source, packed.event_id(at).decode()) for source, at in zip(texts, void, strict=True)
        ]
        found = self._voids(keys)
        return {at: found[key] for at, key in zip(void, keys, strict=True)}

    def _voids(self, keys: Iterable[Key]) -> dict[Key, tuple[int, ...]]:
        """The positions of what takes back some touchpoints, by their ids."""
        found: dict[Key, tuple[int, ...]] = defaultdict(tuple)
        rows = by_id(self._lately.connection, "position FROM retractions", keys)
        for key, (position,) in rows:
            if position <= self._lately.upto:
                found[key] += (position,)
        return found

    def _families(self, universe: Universe, order: Sequence[int]) -> Iterator[Family]:
        """What shares identifiers, together."""
        beside: dict[int, set[int]] = defaultdict(set)
        anchors = {row: self._anchors(universe.names[row]) for row in order}
        links = [*self._said()]
        for together in [*anchors.values(), *(said.link.pair for said in links)]:
            for one in together:
                beside[one].update(together)
        family_of = components(beside)
        rows: dict[int, list[int]] = defaultdict(list)
        for row, together in anchors.items():
            if together:
                rows[family_of[together[0]]].append(row)
        about: dict[int, list[Said]] = defaultdict(list)
        for said in links:
            about[family_of[said.link.pair[0]]].append(said)
        for family, own in rows.items():
            changes = self._changes(universe, own, about[family])
            yield Family(tuple(own), tuple(about[family]), changes)

    def _anchors(self, names: Sequence[int]) -> Sequence[int]:
        """The identifiers by which a touchpoint has a say, or may have one."""
        strong = [one for one in names if is_strong(one)]
        weak = [one for one in names if one in self._weak]
        joining = [one for one in strong if self._is_open(one)]
        crowd = [one for one in strong if one in self._ours and not self._may_join(one)]
        if not strong:
            return weak
        if not joining:
            return crowd[:1] if crowd[:1] == strong[:1] else []
        sure = any(self._lately.is_common(one) is False for one in joining)
        return [*joining, *weak] if sure else [*joining, *crowd, *weak]

    def _said(self) -> Iterator[Said]:
        """Links and unlinks of two of ours, in happening order."""
        links = [link for link in self._links.values() if self._are_open(link[1:3])]
        voids = self._voids({(link[6], link[7]) for link in links})
        for position, one, other, linked, *_, source, event_id in sorted(links, key=_happening):
            link = Link(position, ascending(one, other), bool(linked), False)
            yield Said(link, voids.get((source, event_id), ()))

    def _are_open(self, pair: Sequence[int]) -> bool:
        return all(map(self._is_open, pair))

    def _changes(
        self, universe: Universe, rows: Sequence[int], said: Sequence[Said]
    ) -> tuple[int, ...]:
        positions = {universe.positions[row] for row in rows}
        positions |= {one.link.position for one in said}
        for row in rows:
            positions.update(universe.retractions.get(row, ()))
        for one in said:
            positions.update(one.retractions)
        return tuple(sorted(at for at in positions if at > self._lately.after))


def _happening(link: tuple[Any, ...]) -> tuple[Any, ...]:
    return link[4:]


def _names(streams: Sequence[int], packed: Sequence[bytes]) -> list[list[int]]:
    """The identifiers of touchpoints in some streams, by precedence."""
    names = Names.of(np.array(streams, np.int64), Packed(packed))
    numbers: list[int] = names.distinct[names.at].tolist()
    return [numbers[first:end] for first, end in pairwise(names.starts.tolist())]
