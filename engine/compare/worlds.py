"""The figures of leads as they would be if less had been recorded."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.book import Book
from engine.compare.books import Books
from engine.compare.causes import EVERYBODY, NOTHING, Asked, Kept, World
from engine.compare.figures import MADE_OF, Figures, counts, figures
from engine.compare.world import Family, Universe
from engine.folding import fold
from engine.store.facts import Facts


class Families:
    """Families of leads, each a case of its own."""

    def __init__(
        self,
        facts: Facts,
        universe: Universe,
        families: Sequence[Family],
        books: Books,
        seen: Set[int],
    ) -> None:
        """Without those of which a lead, by number, was seen before."""
        self._facts, self._universe, self._books = facts, universe, books
        owned = [
            (one, universe.owned(one, NOTHING), universe.owned(one, frozenset(one.changes)))
            for one in families
        ]
        new = [its for its in owned if seen.isdisjoint(its[1]) and seen.isdisjoint(its[2])]
        self._families = [family for family, *_ in new]
        self._before = [before for _, before, _ in new]
        self.numbers = {lead for _, *both in new for own in both for lead in own}
        self._ids: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._families)

    def changes(self, case: int) -> Kept:
        """All that was recorded lately of a family, rule sets aside."""
        return frozenset(self._families[case].changes)

    def rows(self, case: int) -> int:
        """How many touchpoints a family has."""
        return len(self._families[case].rows)

    def last_at(self) -> Mapping[str, int]:
        """When the last touchpoint of each lead known before happened: microseconds, UTC."""
        when = self._universe.packed.column("occurred_at")
        return {
            self._id(lead): int(when[rows].max())
            for owned in self._before
            for lead, rows in owned.items()
        }

    def evaluate(self, asked: Sequence[Asked]) -> list[World | None]:
        """The figures of families where only so much was recorded lately."""
        found: list[World | None] = [None] * len(asked)
        for book, numbers in _by_book(self._books, asked):
            worlds = self._worlds(book, [asked[number] for number in numbers])
            for number, world in zip(numbers, worlds, strict=True):
                found[number] = world
        return found

    def _worlds(self, book: Book, asked: Sequence[Asked]) -> Iterator[World]:
        owned = [self._universe.owned(self._families[case], kept) for case, kept in asked]
        named = [
            (f"{number} {lead}", rows)
            for number, own in enumerate(owned)
            for lead, rows in own.items()
        ]
        folded = fold(self._universe.histories(named), book, self._books.as_of)
        found = figures(folded)
        for number, ((case, _), own) in enumerate(zip(asked, owned, strict=True)):
            leads = {}
            for lead, rows in own.items():
                if (its := found.get(f"{number} {lead}")) is not None:
                    made_of = self._made_of(case, rows)
                    leads[self._id(lead)] = {**its, MADE_OF: made_of} if made_of else its
            yield _world(leads)

    def _made_of(self, case: int, rows: Iterable[int]) -> Mapping[str, int]:
        """How many touchpoints were of which lead before; those alone that count ever since."""
        changes = frozenset(self._families[case].changes)
        whose = {row: lead for lead, own in self._before[case].items() for row in own}
        still = (row for row in rows if row in whose and self._universe.counts(row, changes))
        many = Counter(self._id(whose[row]) for row in still)
        return dict(sorted(many.items()))

    def _id(self, lead: int) -> str:
        if lead not in self._ids:
            (self._ids[lead],) = self._facts.lead_ids(np.array([lead], np.int64))
        return self._ids[lead]


class Alone:
    """Leads of whom nothing new is known but rules, all one case."""

    def __init__(self, facts: Facts, leads: NDArray[np.int64], upto: int, books: Books) -> None:
        self._histories, self._books = facts.histories(leads, upto), books

    def evaluate(self, asked: Sequence[Asked]) -> list[World | None]:
        """The figures of these leads where only so much was published lately."""
        found: list[World | None] = [None] * len(asked)
        for book, numbers in _by_book(self._books, asked):
            world = _world(figures(fold(self._histories, book, self._books.as_of)))
            for number in numbers:
                found[number] = world
        return found


def by_lead(world: World) -> dict[str, dict[str, Any]]:
    """The figures of a world, by lead; those of EVERYBODY are left out."""
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for (lead, name), figure in world.items():
        if lead != EVERYBODY:
            found[lead][name] = figure
    return found


def _world(leads: Mapping[str, Figures]) -> World:
    all_told: Counter[str] = Counter()
    for its in leads.values():
        all_told.update(counts(its))
    return {
        **{(lead, name): figure for lead, its in leads.items() for name, figure in its.items()},
        **{(EVERYBODY, name): many for name, many in all_told.items()},
    }


def _by_book(books: Books, asked: Sequence[Asked]) -> Collection[tuple[Book, list[int]]]:
    """The books that judge, with the places of what is asked; of what there can be."""
    found: dict[str, tuple[Book, list[int]]] = {}
    for number, (_, kept) in enumerate(asked):
        book = books.with_only(kept)
        if book is not None:
            found.setdefault(book.id, (book, []))[1].append(number)
    return found.values()
