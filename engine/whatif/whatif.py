"""What other rules would have made of all history: folded under both, and nothing written.

The journal is read bucket by bucket and is extended first; what was known at an earlier
position it does not tell, and that is read from the store.
"""

import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine import bulk
from engine.book import Book
from engine.bulk import HERE
from engine.folding import fold
from engine.history import Histories, Strings
from engine.journal.journal import Journal, columns_folded
from engine.parting import Parted, compare
from engine.progress import Progress, quiet
from engine.projections.projection import FUNNEL, LEADS, Frames
from engine.reports import funnel, pipeline
from engine.shared_names import Shared
from engine.store.facts import Facts
from engine.whatif.tables import Brief, Gathered, Whole, brief

Numbers = NDArray[np.int64]
Document = dict[str, Any]

FEW = 20  # leads: to load what is compiled before anything is timed
CHUNK = 10_000  # leads that are read from the store at once
TRIED = 2  # buckets for each worker that a preview folds: the first ones take longer


@dataclass(frozen=True)
class Question:
    """Two books to compare, and as of when."""

    before: Book
    after: Book
    as_of: int  # microseconds, UTC
    points: int = 0  # scores that lie no more micro-points apart do not differ

    @property
    def columns(self) -> Collection[str]:
        """What folding reads of a journal."""
        eras = (era for book in (self.before, self.after) for era in book.until(self.as_of).eras)
        return {"position", *columns_folded(era.rules for era in eras)}

    @property
    def shared(self) -> Shared:
        """What the rules in force then have in common."""
        return Shared.of(self.before.at(self.as_of), self.after.at(self.as_of))

    def __call__(self, histories: Histories) -> "Share":
        """Some leads, folded under both books."""
        before, after = (fold(histories, book, self.as_of) for book in (self.before, self.after))
        return Share(
            compare(before, after, self.points),
            brief(before),
            brief(after),
            len(histories.touches),
        )


class Share(NamedTuple):
    """What came of some leads."""

    parted: Parted
    before: Brief
    after: Brief
    touchpoints: int


class Preview(NamedTuple):
    """What lies ahead."""

    touchpoints: int
    leads: int
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """What differs."""

    question: Question
    parted: Parted
    touchpoints: int
    before: Whole
    after: Whole

    @property
    def leads(self) -> int:
        """How many leads there are by then."""
        return len(self.before.leads)


@dataclass(frozen=True)
class Stored:
    """Histories as known at a position, in chunks read from the store."""

    facts: Facts
    known_at: int
    numbers: Numbers  # of leads

    @property
    def strings(self) -> Strings:
        """The dictionary."""
        return self.facts.strings

    @property
    def buckets(self) -> range:
        """The numbers of the chunks."""
        return range(max(1, -(-len(self.numbers) // CHUNK)))

    def read(self, bucket: int, columns: Collection[str] | None = None) -> Histories:
        """The histories of a chunk, with all columns."""
        chosen = self.numbers[bucket * CHUNK : (bucket + 1) * CHUNK]
        return self.facts.histories(chosen, self.known_at)


def history(
    facts: Facts, folder: Path, known_at: int | None = None, progress: Progress = quiet
) -> Journal | Stored:
    """All histories, as known at a position.

    Args:
        folder: Of the journal, which is made or extended there.
        known_at: None: all that is recorded.
        progress: Of extending the journal.

    Raises:
        StoreError: See `Journal.extend`.
    """
    if known_at is not None and known_at < facts.head():
        return Stored(facts, known_at, facts.lead_numbers())
    journal = Journal.open(folder)
    journal.extend(facts, progress)
    return journal


class Found:
    """What came of the leads so far; `leads` are expected."""

    def __init__(self, question: Question, leads: int) -> None:
        books = question.before, question.after
        self._question = question
        self._sides = [Gathered(book.at(question.as_of), leads) for book in books]
        self._parted: list[Parted] = []
        self.touchpoints = 0

    @property
    def leads(self) -> int:
        """How many there are, that something happened to by then."""
        return self._sides[0].leads

    def add(self, share: Share) -> None:
        """Put leads behind those that are there."""
        self._parted.append(share.parted)
        for side, part in zip(self._sides, (share.before, share.after), strict=True):
            side.add(part)
        self.touchpoints += share.touchpoints

    def outcome(self, strings: Strings) -> Outcome:
        """All of it, in words."""
        parts = zip(*(parted.frames() for parted in self._parted), strict=True)
        parted = Parted(*(pl.concat(frames) for frames in parts))
        with ThreadPoolExecutor(2) as threads:
            before, after = threads.map(Gathered.whole, self._sides, repeat(strings))
        return Outcome(self._question, parted, self.touchpoints, before, after)


class WhatIf:
    """One comparison: previewed, then carried out."""

    def __init__(self, source: Journal | Stored, question: Question, on: str = HERE) -> None:
        self.source, self.question, self._on = source, question, on
        self._folded: list[int] = []
        self._touchpoints, self._leads = _size(source)
        self._found = Found(question, self._leads)

    def preview(self) -> Preview:
        """How much there is, and how long it will take: the largest buckets are folded and timed.

        In threads of this process; what comes of them is kept.
        """
        largest = _largest(self.source)
        few = _first_leads(self.source.read(largest[0], self.question.columns), FEW)
        found = Found(self.question, FEW)
        found.add(self.question(few))  # loads what is compiled, and so does reporting
        self._report(found)
        least = _seconds(lambda: self._report(found))
        took = _seconds(lambda: self._fold(largest))
        reporting = _seconds(lambda: self._report(self._found))
        times = self._touchpoints / max(1, self._found.touchpoints)
        if isinstance(self.source, Stored):  # it tells how many there may be; most are as these are
            times = max(1, len(self.source.numbers) / (CHUNK * len(largest)))
            self._touchpoints = round(self._found.touchpoints * times)
            self._leads = round(self._found.leads * times)
        left = took * (times - 1) + least + max(0, reporting - least) * times
        return Preview(self._touchpoints, self._leads, left)

    def outcome(self, progress: Progress = quiet) -> Outcome:
        """Fold the rest, and compare; tells how many touchpoints are done, and how many there are.

        Raises:
            JournalDamaged: A file of the journal is not there any more.
            WorkerDied, ClusterMissing, ClusterAway: See `engine.bulk`.
        """
        found, touchpoints = self._found, self._touchpoints
        rest = [bucket for bucket in self.source.buckets if bucket not in self._folded]
        progress(found.touchpoints, touchpoints)
        for share in bulk.results(self.source, self.question, self._on, rest):
            found.add(share)
            progress(found.touchpoints, max(found.touchpoints, touchpoints))
        return found.outcome(self.source.strings)

    def _fold(self, buckets: list[int]) -> None:
        for share in bulk.results(self.source, self.question, HERE, buckets):
            self._found.add(share)
        self._folded = buckets

    def _report(self, found: Found) -> None:
        outcome = found.outcome(self.source.strings)
        both_reports(self.question, outcome.before, outcome.after)


def both_reports(question: Question, before: Whole, after: Whole) -> tuple[Document, Document]:
    """The reports before and after, made at once."""
    books = question.before, question.after
    with ThreadPoolExecutor(2) as threads:
        one, other = threads.map(reports, books, repeat(question.as_of), (before, after))
    return one, other


def reports(book: Book, as_of: int, found: Whole) -> Document:
    """Pipeline and funnels, as their commands report them."""
    frames = Frames(book, as_of, {LEADS.name: found.leads, FUNNEL.name: found.funnel})
    names = [one.name for one in frames.rules.funnels]
    return {
        "pipeline": pipeline.report(frames, known=found.journeys),
        "funnels": {name: funnel.report(frames, name) for name in names},
    }


def _seconds(run: Callable[[], object]) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def _size(source: Journal | Stored) -> tuple[int, int]:
    """How many touchpoints and leads there are, before they are read; of the store, about."""
    if isinstance(source, Stored):
        return source.known_at, len(source.numbers)
    buckets = source.manifest.buckets
    return sum(one.touchpoints for one in buckets), sum(one.leads for one in buckets)


def _largest(source: Journal | Stored) -> list[int]:
    """The buckets with most touchpoints, some for each worker; of the store, the first ones."""
    tried = TRIED * bulk.workers()
    if isinstance(source, Stored):
        return [*source.buckets][:tried]
    sizes = [bucket.touchpoints for bucket in source.manifest.buckets]
    return sorted(source.buckets, key=lambda bucket: -sizes[bucket])[:tried]


def _first_leads(histories: Histories, count: int) -> Histories:
    starts = histories.starts[: count + 1]
    return replace(
        histories,
        leads=histories.leads[:count],
        numbers=histories.numbers[:count],
        starts=starts,
        touches=histories.touches[: starts[-1]],
        attribute_at=histories.attribute_at[: starts[-1]],
    )
