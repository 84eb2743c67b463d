"""How a reading command gets its frames: from the read models, or folded on demand.

Both run the same fold and the same derivations, so an answer for another
instant or under other rules differs from the live one in nothing else.
"""

from dataclasses import dataclass

import polars as pl

from engine.book import Book
from engine.instants import MINUTE_US
from engine.progress import Progress, quiet
from engine.projections import generations
from engine.projections.database import Models
from engine.projections.projection import READ_MODELS, Frames, Projection
from engine.projections.runner import bring_up_to_date, chunks, derive_leads
from engine.ruleset import RuleSet
from engine.store.facts import Facts


@dataclass(frozen=True)
class View:
    """From where a state is looked at."""

    book: Book  # that judges
    as_of: int  # microseconds, UTC
    known_at: int | None  # a position; None: all that is recorded

    @property
    def rules(self) -> RuleSet:
        """The rule set in force then, which says what is asked."""
        return self.book.at(self.as_of)


@dataclass(frozen=True)
class Question:
    """What is asked for: by which book, as of when, known when. Instants in microseconds, UTC."""

    in_force: Book
    now: int
    book: Book | None = None  # None: the one in force
    as_of: int | None = None  # None: now
    known_at: int | None = None  # a position; None: all that is recorded
    needs: tuple[Projection, ...] = READ_MODELS

    @property
    def live(self) -> bool:
        """Whether the read models as they are kept answer it."""
        if self.as_of is not None or self.known_at is not None:
            return False
        asked = self.book or self.in_force
        return asked.until(self.now).id == self.in_force.until(self.now).id


def frames(facts: Facts, models: Models, question: Question, progress: Progress = quiet) -> Frames:
    """The read models that a question needs.

    A live question first brings the stored ones up to now, which derives only
    what is due; any other folds all leads, in chunks, and writes nothing.

    Raises:
        ReadModelsDamaged, StoreReadOnly, StoreFull, StoreLocked: See there.
    """
    stored = None
    if question.live:
        bring_up_to_date(facts, models, question.now, progress)
        stored = _stored(models, question)
    return stored or _folded(facts, question, progress)


def _stored(models: Models, question: Question) -> Frames | None:
    """The rows of the generation that serves the book; None where there is none by now.

    Where other rules were published since the question was asked, it may be kept and not moved
    any more: up to a minute that is where read models may stand.
    """
    with models.reading() as connection:
        found = generations.in_force(connection, question.in_force, question.now)
        if found is None or found.settled_to < question.now - MINUTE_US:
            return None
        tables = generations.read(connection, found, question.needs)
    return Frames(question.in_force, found.settled_to, tables)


def _folded(facts: Facts, question: Question, progress: Progress) -> Frames:
    book = question.book or question.in_force
    as_of = question.now if question.as_of is None else question.as_of
    with facts.snapshot():
        leads = facts.lead_numbers()
        parts = [
            derive_leads(facts, chunk, book, as_of, question.needs, question.known_at)
            for chunk in chunks(leads, progress=progress)
        ] or [derive_leads(facts, leads, book, as_of, question.needs)]
    names = [projection.name for projection in question.needs]
    return Frames(book, as_of, {name: pl.concat([p[name] for p in parts]) for name in names})
