"""What came to be known between two positions: what it changed in any figure, and which did it."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compare.books import Books
from engine.compare.causes import EVERYBODY, NOTHING, TRIES, Figure, Kept, Question, World, find
from engine.compare.figures import MADE_OF, counts, totals
from engine.compare.gather import Lately, gather
from engine.compare.told import JOIN, PARTING, tell
from engine.compare.worlds import Alone, Families, by_lead
from engine.instants import format_instant
from engine.progress import Progress, quiet
from engine.projections.database import Models
from engine.projections.projection import READ_MODELS
from engine.projections.runner import CHUNK, chunks
from engine.reading import Question as Reading
from engine.reading import frames
from engine.store.connection import Connection
from engine.store.facts import Facts
from engine.store.in_force import book_at

Document = dict[str, Any]

LEADS_AT_ONCE = 100
PARTS = 4  # of the work: figures before and after, leads that were touched, and others
ROWS_TRIED = 400_000  # touchpoints looked at in search of the causes of one figure, about
FEWEST_TRIES = 8


class Span(NamedTuple):
    """Two positions, and the instant as of which both are read."""

    before: int
    after: int
    as_of: int  # microseconds, UTC


@dataclass
class Changed:
    """A lead of which a figure differs."""

    lead: str  # id
    figures: Mapping[str, tuple[Any, Any]]  # both values, by name
    causes: dict[str, Kept] = field(default_factory=dict)  # positions, by figure


@dataclass
class Counted:
    """A figure that counts leads: what makes it differ, and whom."""

    before: int
    after: int
    leads: list[str] = field(default_factory=list)  # ids, the first ones
    by_rules: bool = False  # whether what was published must be named
    others: set[int] = field(default_factory=set)  # positions, named beside what was published
    without_rules: set[int] = field(default_factory=set)  # those that do without


def compare(
    facts: Facts, models: Models, span: Span, most: int, progress: Progress = quiet
) -> Document:
    """Every figure that differs; and of so many leads at most which do, and by what.

    Of each figure positions are named without which it is as it was before, and with which
    alone it is as it is after.
    """
    with facts.snapshot() as connection:
        comparison = _Comparison(facts, connection, span, most)
        comparison.count(models, progress)
        comparison.look(progress)
        return comparison.document()


class _Comparison:
    def __init__(self, facts: Facts, connection: Connection, span: Span, most: int) -> None:
        self._facts, self._connection, self._span, self._most = facts, connection, span, most
        self.books = Books(connection, span.before, span.after, span.as_of)
        self._lately = Lately(facts, connection, span.before, span.after)
        self._leads: list[Changed] = []  # the first ones
        self._changed = 0  # how many there are
        self._counted: dict[str, Counted] = {}  # by name
        self._last_at: dict[str, int] = {}  # of leads, as known before
        self._seen: set[int] = set()  # numbers of leads of families that were looked at

    def count(self, models: Models, progress: Progress) -> None:
        """Find the figures that differ of all leads together."""
        before = self._totals(models, self._span.before, _part(progress, 0))
        after = self._totals(models, self._span.after, _part(progress, 1))
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                self._counted[name] = Counted(before.get(name, 0), after.get(name, 0))

    def look(self, progress: Progress) -> None:
        """Find the leads that differ, and what made them."""
        touched = self._facts.touched_leads(self._span.before, self._span.after)
        waiting, total = touched.tolist(), len(touched)
        while waiting:
            _part(progress, 2)(total - len(waiting), total)
            self._look_at_families(waiting[:LEADS_AT_ONCE])
            waiting = [lead for lead in waiting[LEADS_AT_ONCE:] if lead not in self._seen]
        others = np.empty(0, np.int64)
        if self.books.differ:
            others = np.setdiff1d(self._facts.lead_numbers(), [*self._seen])
        for leads in chunks(others, CHUNK, _part(progress, 3)):
            self._look_at_others(leads)

    def document(self) -> Document:
        """All of it, as JSON has it."""
        figures = [self._figure(name, counted) for name, counted in self._counted.items()]
        return {
            "as_of": format_instant(self._span.as_of),
            "known_at": [self._span.before, self._span.after],
            "figures": figures,
            "changed": self._changed,
            "leads": [_lead(one) for one in self._leads],
            "causes": tell(self._connection, self._causes(figures), self._moved(), self._last_at),
        }

    def _totals(self, models: Models, known_at: int, progress: Progress) -> dict[str, int]:
        """What the reports say as known at a position."""
        book, as_of = book_at(self._connection, known_at), self._span.as_of
        asked = Reading(book, as_of, book, as_of, known_at, READ_MODELS)
        return totals(frames(self._facts, models, asked, progress))

    def _look_at_families(self, leads: Collection[int]) -> None:
        """Look at leads, by number, and at all that they share anything with."""
        universe, found = gather(self._lately, leads)
        families = Families(self._facts, universe, found, self.books, self._seen)
        every = [families.changes(case) | self.books.published for case in range(len(families))]
        before = families.evaluate([(case, NOTHING) for case in range(len(families))])
        after = families.evaluate([*enumerate(every)])
        questions: list[Question] = []
        for case, *both in zip(range(len(families)), before, after, strict=True):
            then, now = (world or {} for world in both)
            tries = max(FEWEST_TRIES, min(TRIES, ROWS_TRIED // max(families.rows(case), 1)))
            questions += [
                Question(case, one, every[case], tries=tries) for one in self._take(then, now)
            ]
            questions += self._of_everybody(case, families.changes(case), tries, then, now)
        self._keep(questions, find(questions, families.evaluate))
        self._last_at |= families.last_at()
        self._seen |= families.numbers

    def _of_everybody(
        self, case: int, changes: Kept, tries: int, then: World, now: World
    ) -> Iterator[Question]:
        """What a family adds to figures of all: by itself, and beside what was published."""
        published, needed, differ = self.books.published, self.books.needed, self.books.differ
        for figure in ((EVERYBODY, name) for name in self._counted):
            if differ:
                yield Question(case, figure, changes, needed, published - needed, tries)
            if differ or then.get(figure) != now.get(figure):
                yield Question(case, figure, changes, NOTHING, published, tries)

    def _look_at_others(self, leads: NDArray[np.int64]) -> None:
        """Look at leads that only rules can have changed."""
        alone = Alone(self._facts, leads, self._span.after, self.books)
        published = self.books.published
        then, now = (world or {} for world in alone.evaluate([(0, NOTHING), (0, published)]))
        questions = [Question(0, figure, published) for figure in self._take(then, now, True)]
        self._keep(questions, find(questions, alone.evaluate))

    def _take(self, before: World, after: World, by_rules: bool = False) -> Iterator[Figure]:
        """Note who differs; what is to be explained, of those that are listed."""
        then, now = by_lead(before), by_lead(after)
        for lead in sorted(then.keys() | now.keys()):
            was, is_ = then.get(lead, {}), now.get(lead, {})
            differing = sorted(
                name for name in was.keys() | is_.keys() if was.get(name) != is_.get(name)
            )
            if not differing:
                continue
            self._changed += 1
            for name in _unlike(counts(was), counts(is_)) & self._counted.keys():
                counted = self._counted[name]
                counted.by_rules |= by_rules
                if len(counted.leads) < self._most:
                    counted.leads.append(lead)
            if len(self._leads) < self._most:
                both = {name: (was.get(name), is_.get(name)) for name in differing}
                self._leads.append(Changed(lead, both))
                yield from ((lead, name) for name in differing)

    def _keep(self, questions: Sequence[Question], found: Sequence[Kept | None]) -> None:
        """Note what made figures differ."""
        listed = {one.lead: one for one in self._leads}
        for question, causes in zip(questions, found, strict=True):
            lead, name = question.figure
            if lead != EVERYBODY:
                listed[lead].causes[name] = causes or NOTHING
            elif question.named:
                self._counted[name].others |= causes or NOTHING
            elif causes is None:
                self._counted[name].by_rules = True
            else:
                self._counted[name].without_rules |= causes

    def _figure(self, name: str, counted: Counted) -> Document:
        causes = counted.without_rules
        if counted.by_rules:
            causes = counted.others | self.books.needed
        return {
            "figure": name,
            "before": counted.before,
            "after": counted.after,
            "leads": counted.leads,
            "causes": sorted(causes),
        }

    def _causes(self, figures: Sequence[Document]) -> dict[int, set[str]]:
        """The leads that each cause changed, of those that are listed; by position."""
        named: dict[int, set[str]] = defaultdict(set)
        for figure in figures:
            for position in figure["causes"]:
                named[position] |= set()
        for one in self._leads:
            for position in set().union(*one.causes.values()):
                named[position].add(one.lead)
        return named

    def _moved(self) -> dict[int, str]:
        """Whether what moved touchpoints from lead to lead joined or parted; by position."""
        moved: dict[int, str] = {}
        for one in self._leads:
            _, made_of = one.figures.get(MADE_OF, (None, None))
            for position in one.causes.get(MADE_OF, NOTHING) if made_of else NOTHING:
                if len(made_of) > 1 or position not in moved:
                    moved[position] = JOIN if len(made_of) > 1 else PARTING
        return moved


def _part(progress: Progress, number: int) -> Progress:
    """The progress of one of the parts of this work, by its number from 0."""
    return lambda done, total: progress(number * total + done, PARTS * total)


def _unlike(one: Mapping[str, int], other: Mapping[str, int]) -> set[str]:
    return {name for name in one.keys() | other.keys() if one.get(name, 0) != other.get(name, 0)}


def _lead(one: Changed) -> Document:
    changes = [
        {"figure": name, "before": was, "after": is_, "causes": sorted(one.causes[name])}
        for name, (was, is_) in sorted(one.figures.items())
    ]
    return {"lead": one.lead, "changes": changes}
