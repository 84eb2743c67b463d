"""Who is who, and whose each touchpoint is, if some of what was recorded lately had not been.

A family is leads that share identifiers, or would if less had been recorded. Nothing outside
says whose its touchpoints are, so it is looked at by itself: of those that are kept it is
worked out anew who is one person, as engine/store/people.py does it from the tables.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import NamedTuple

import numpy as np

from engine.compare.causes import Kept
from engine.history import Histories, Packed, Strings, unpack
from engine.identity import STRONG, classes_of, components, is_strong, kind_code
from engine.ownership import Named, owners
from engine.store.belonging import ELSEWHERE
from engine.store.links import Link, last_words


class Said(NamedTuple):
    """A link or unlink, and what takes it back."""

    link: Link
    retractions: tuple[int, ...]  # positions


class Family(NamedTuple):
    """Some touchpoints and links, and all that was lately recorded of them."""

    rows: tuple[int, ...]  # of the universe, in happening order
    links: tuple[Said, ...]  # in happening order
    changes: tuple[int, ...]  # positions of what was recorded lately, ascending


@dataclass(frozen=True)
class Universe:
    """Touchpoints that families are made of: all that name them, void ones as well."""

    known_at: int  # position; what comes after it was recorded lately
    too_common: int
    positions: Sequence[int]
    names: Sequence[Sequence[int]]  # identifiers of each touchpoint, by precedence
    retractions: Mapping[int, tuple[int, ...]]  # positions, by touchpoint
    packed: Packed
    strings: Strings
    ours: frozenset[int]  # strong identifiers of which everything is here
    common: frozenset[int]  # strong ones that are too common whatever is left out

    def owned(self, family: Family, kept: Kept) -> dict[int, list[int]]:
        """The touchpoints that count of each lead, by number, where no more was recorded."""
        rows = [row for row in family.rows if self.counts(row, kept)]
        leads, common = self._leads(family, rows, kept)
        found = self._owners(rows, leads, common) if rows else []
        own: dict[int, list[int]] = defaultdict(list)
        for row, lead in zip(rows, found, strict=True):
            if lead >= 0:
                own[lead].append(row)
        return own

    def counts(self, row: int, kept: Kept) -> bool:
        """Whether a touchpoint is known, and nothing known makes it void."""
        voids = self.retractions.get(row, ())
        return self._known(self.positions[row], kept) and not self._any_known(voids, kept)

    def histories(self, leads: Sequence[tuple[str, Sequence[int]]]) -> Histories:
        """Touchpoints, by lead, as columns; a touchpoint may be of several."""
        starts = np.cumsum([0, *(len(rows) for _, rows in leads)]).astype(np.int64)
        order = np.array([row for _, rows in leads for row in rows], np.int64)
        positions = np.array(self.positions, np.int64)
        names = [name for name, _ in leads]
        return unpack(names, starts, self.packed, positions, self.strings, order)

    def _known(self, position: int, kept: Kept) -> bool:
        return position <= self.known_at or position in kept

    def _any_known(self, positions: Sequence[int], kept: Kept) -> bool:
        return any(self._known(position, kept) for position in positions)

    def _leads(
        self, family: Family, rows: Sequence[int], kept: Kept
    ) -> tuple[dict[int, int], set[int]]:
        """The lead of each strong identifier of ours, and those that are too common."""
        together: dict[int, set[int]] = defaultdict(set)
        for row in rows:
            strong = [one for one in self.names[row] if is_strong(one)]
            for one, other in permutations(strong, 2):
                together[one].add(other)
        said = last_words(self._links(family, kept))
        joined = {one: set(others) for one, others in together.items()}
        for (one, other), link in said.items():
            for here, there in ((one, other), (other, one)):
                (set.add if link.linked else set.discard)(joined.setdefault(here, set()), there)
        common = {one for one in together if self._too_many(together[one])} & self.ours
        common |= self.common
        ours = set(joined.keys() & self.ours)
        one_person = {one: () if one in common else (joined[one] & ours) - common for one in ours}
        return components(one_person), common

    def _links(self, family: Family, kept: Kept) -> Iterator[Link]:
        for link, retractions in family.links:
            if self._known(link.position, kept):
                yield link._replace(retracted=self._any_known(retractions, kept))

    def _too_many(self, others: set[int]) -> bool:
        kinds = Counter(map(kind_code, others))
        return max(kinds.values(), default=0) > self.too_common

    def _owners(self, rows: Sequence[int], leads: Mapping[int, int], common: set[int]) -> list[int]:
        """The lead of each touchpoint; ELSEWHERE where it is none of ours."""
        counted = [len(self.names[row]) for row in rows]
        flat = np.array([one for row in rows for one in self.names[row]], np.int64)
        distinct, at = np.unique(flat, return_inverse=True)
        classes = classes_of(distinct)
        lead_of = distinct.copy()
        for place in np.flatnonzero(classes == STRONG).tolist():
            one = int(distinct[place])
            lead_of[place] = leads.get(one, one) if one in self.ours else ELSEWHERE
        named = Named(
            starts=np.cumsum([0, *counted]).astype(np.int64),
            ids=at,
            classes=classes,
            common=np.isin(distinct, sorted(common)),
            leads=lead_of,
        )
        found: list[int] = owners(named, np.arange(len(rows))).tolist()
        return found
