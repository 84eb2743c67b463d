"""What there is to tell between one stand of announcing and the next, worked out before it is kept.

Leads of whom more is known are looked at where announcing stood, as known there, and where it goes.
Those whom time alone changes are looked at just before each instant at which it does, and then.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.announceable import announceable, dues
from engine.announcement import (
    CORRECTED,
    Announcement,
    Key,
    Standing,
    announcement_id,
)
from engine.book import Book
from engine.decay import FACTORS
from engine.fold_scores import first_below
from engine.folded import Folded
from engine.folding import fold
from engine.history import NEVER
from engine.news import Look, Meant, differences, in_doubt, whom
from engine.progress import Progress, quiet
from engine.projections.runner import CHUNK, chunks
from engine.ruleset import RuleSet
from engine.store import announcements as ledger
from engine.store.announcements import Due, Placed
from engine.store.connection import Connection
from engine.store.facts import Facts

Numbers = NDArray[np.int64]


class Point(NamedTuple):
    """As of when leads are looked at, known at which position, by which rule book."""

    at: int  # microseconds, UTC
    known_at: int
    book: Book


@dataclass
class Batch:
    """What a step comes to; announcements have no numbers before they are kept."""

    placed: list[Placed] = field(default_factory=list)
    dues: dict[int, Due | None] = field(default_factory=dict)  # by lead; None: never
    of_all: bool = False  # whether the dues are those of all leads
    moved: list[tuple[int, int, int]] = field(default_factory=list)  # number, lead, anchor
    rules: dict[str, RuleSet] = field(default_factory=dict)  # by which something is told

    def in_order(self) -> list[Placed]:
        """What was wrong, then what is new in the order in which it came about."""
        return sorted(self.placed, key=lambda one: (one.told.kind != CORRECTED, one.told.at))


class Teller:
    """Works out what there is to tell; keeps nothing."""

    def __init__(self, facts: Facts, soon_us: int | None, progress: Progress = quiet) -> None:
        self._facts, self._soon_us, self._progress = facts, soon_us, progress

    def survey(self, batch: Batch, point: Point, told: Iterable[Standing] = ()) -> Counter[str]:
        """Find out when every lead is due next, and whom announcements are about.

        Returns:
            How many leads stand in each stage, as track.stage.
        """
        stages: Counter[str] = Counter()
        anchored: dict[int, list[int]] = defaultdict(list)  # numbers, by position of the anchor
        for one in told:
            anchored[one.anchor].append(one.number)
        batch.of_all = True
        for leads in chunks(self._facts.lead_numbers(), CHUNK, self._progress):
            folded = self._folded(leads, point)
            self._keep_dues(batch, folded, leads)
            stages.update(_stages(folded))
            for lead, position in _touches(folded) if anchored else ():
                batch.moved += [(one, lead, position) for one in anchored.get(position, ())]
        return stages

    def era(self, batch: Batch, point: Point) -> None:
        """Tell what the instant brings at which other rules come into force: to every lead."""
        batch.of_all = True
        for leads in chunks(self._facts.lead_numbers(), CHUNK, self._progress):
            self._wave(batch, leads, point)

    def step(self, connection: Connection, batch: Batch, before: Point, after: Point) -> None:
        """Tell what touchpoints brought between two points, and what time did."""
        due = ledger.due(connection, after.at)
        touched = np.union1d(
            self._facts.touched_leads(before.known_at, after.known_at),
            np.array([one.lead for one in due if one.ahead], np.int64),
        )
        if len(touched):
            self._jump(connection, batch, touched, before, after)
        others = {one.lead: one.at for one in due}
        for lead in touched.tolist():
            others.pop(lead, None)
        self._waves(batch, others, after)

    def look_at_none(self, point: Point) -> None:
        """Run what is compiled, on nothing."""
        self._look(np.array([], np.int64), point)
        first_below(0, (0, 0), 0, 0, FACTORS)

    def _waves(self, batch: Batch, due: dict[int, int], after: Point) -> None:
        """Look at leads at each instant at which they are due, one after the other."""
        waiting: dict[int, list[int]] = defaultdict(list)
        for lead, at in due.items():
            waiting[at].append(lead)
        instants = sorted(waiting)
        while instants:
            at = heapq.heappop(instants)
            leads = np.array(sorted(waiting.pop(at)), np.int64)
            for part in chunks(leads):
                self._wave(batch, part, after._replace(at=at))
            for lead in leads.tolist():
                again = batch.dues[lead]
                if again is not None and again.at <= after.at:
                    if again.at not in waiting:
                        heapq.heappush(instants, again.at)
                    waiting[again.at].append(lead)

    def _wave(self, batch: Batch, leads: Numbers, point: Point) -> None:
        """What one instant brings to leads of whom nothing new is known."""
        before = self._look(leads, point._replace(at=point.at - 1))
        after = self._look(leads, point)
        for lead, key in differences(before, after).news:
            self._tell(batch, after, lead, key, point, touched=False)
        self._keep_dues(batch, after.said.folded, leads)

    def _jump(
        self, connection: Connection, batch: Batch, leads: Numbers, start: Point, end: Point
    ) -> None:
        """What came about between two points for leads of whom more is known."""
        before, after = self._look(leads, start), self._look(leads, end)
        meant = [*whom(before, after, ledger.standing(connection, leads))]
        wrong = self._wrong_then([*in_doubt(before, after, meant)], before, after, (start, end))
        found = differences(before, after, meant, wrong)
        for told in found.wrong:
            batch.placed.append(Placed(_correction(told, end), told.first_position, told.whose))
            batch.rules[end.book.at(end.at).id] = end.book.at(end.at)
        for lead, key in found.news:
            self._tell(batch, after, lead, key, end, touched=True)
        numbers = after.said.folded.histories.numbers.tolist()
        for one in found.stands:
            if one.after is not None:
                place = numbers[one.after], one.anchor
                if place != (one.told.whose, one.told.anchor):
                    batch.moved.append((one.told.number, *place))
        self._keep_dues(batch, after.said.folded, leads)

    def _wrong_then(
        self,
        doubted: Sequence[Meant],
        before: Look,
        after: Look,
        points: tuple[Point, Point],
    ) -> set[int]:
        """The numbers of those that held as of their own instant, and do not as more is known."""
        asked: dict[tuple[int, int | None], list[Meant]] = defaultdict(list)
        for one in doubted:
            soon = None if one.told.due is None else one.told.due - one.told.at
            asked[one.told.settled_to, soon].append(one)
        wrong: set[int] = set()
        for (at, soon), some in asked.items():
            start, end = (point._replace(at=at) for point in points)
            then = self._held([(one.told, before.number(one.before)) for one in some], start, soon)
            now = self._held([(one.told, after.number(one.after)) for one in some], end, soon)
            wrong |= then - now
        return wrong

    def _held(
        self, asked: Sequence[tuple[Standing, int | None]], point: Point, soon_us: int | None
    ) -> set[int]:
        """The numbers of those announcements that leads, by number, say at a point."""
        leads = np.array(sorted({lead for _, lead in asked if lead is not None}), np.int64)
        said = announceable(self._folded(leads, point), soon_us)
        place = {lead: at for at, lead in enumerate(said.folded.histories.numbers.tolist())}
        return {
            told.number
            for told, lead in asked
            if lead is not None and said.holds(place.get(lead), told.key)
        }

    def _tell(
        self, batch: Batch, look: Look, lead: int, key: Key, point: Point, *, touched: bool
    ) -> None:
        said, histories = look.said, look.said.folded.histories
        rules, start = said.folded.rules, int(histories.starts[lead])
        first = said.touchpoint(start)
        told = Announcement(
            id=announcement_id(first, key, point.known_at, None),
            number=0,
            kind=key[0],
            name=key[1],
            at=key[2],
            due=said.due(lead, key),
            lead=histories.leads[lead],
            first=first,
            cause=said.cause(lead, key, touched),
            position=point.known_at,
            settled_to=point.at,
            rules=rules.id,
            announced_at=0,
        )
        whose = int(histories.numbers[lead])
        batch.placed.append(Placed(told, int(histories.positions[start]), whose))
        batch.rules[rules.id] = rules

    def _look(self, leads: Numbers, point: Point) -> Look:
        return Look(announceable(self._folded(leads, point), self._soon_us))

    def _folded(self, leads: Numbers, point: Point) -> Folded:
        return fold(self._facts.histories(leads, point.known_at), point.book, point.at)

    def _keep_dues(self, batch: Batch, folded: Folded, leads: Numbers) -> None:
        """Note when leads are due next; of all that are asked for, for some are gone."""
        found = dues(folded, self._soon_us)
        if not batch.of_all:
            batch.dues.update(dict.fromkeys(leads.tolist()))
        columns = (folded.histories.numbers, found.at, found.ahead)
        for lead, at, ahead in zip(*(column.tolist() for column in columns), strict=True):
            if at != NEVER:
                batch.dues[lead] = Due(lead, at, int(ahead))


def _correction(told: Standing, point: Point) -> Announcement:
    """What says of an announcement that it was wrong: about the same lead, under the same name."""
    key = CORRECTED, told.name, told.at
    return Announcement(
        id=announcement_id(told.first, key, point.known_at, told.id),
        number=0,
        kind=CORRECTED,
        name=told.name,
        at=told.at,
        due=told.due,
        lead=told.lead,
        first=told.first,
        position=point.known_at,
        settled_to=point.at,
        rules=point.book.at(point.at).id,
        corrects=told.id,
        announced_at=0,
    )


def _stages(folded: Folded) -> Iterator[str]:
    """The stages in which leads stand, as track.stage, each as often."""
    for index, track in enumerate(folded.rules.tracks):
        names = [f"{track.name}.{stage.name}" for stage in track.stages]
        standing = folded.states["stage"][folded.states["touchpoints"] > 0, index]
        yield from (names[stage] for stage in standing.tolist() if stage >= 0)


def _touches(folded: Folded) -> Iterator[tuple[int, int]]:
    """Every touchpoint: the number of its lead, and its position."""
    histories = folded.histories
    owners = np.repeat(histories.numbers, np.diff(histories.starts))
    return zip(owners.tolist(), histories.positions.tolist(), strict=True)
