"""How a reading command gets its frames: from the read models, or folded on demand.

Both run the same fold and the same derivations, so an answer for another
instant or under other rules differs from the live one in nothing else.
"""

from dataclasses import dataclass

import polars as pl

from engine.book import Book
from engine.progress import Progress, quiet
from engine.projections import database
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
        bring_up_to_date(facts, models, question.in_force, question.now, progress)
        stored = _stored(models, question)
    return stored or _folded(facts, question, progress)


def _stored(models: Models, question: Question) -> Frames | None:
    """The live generation; None if another process has since put one of other rules there."""
    with models.reading() as connection:
        live = database.live_generation(connection)
        if live is None or not live.serves(question.in_force.until(live.settled_to)):
            return None
        tables = database.read(connection, live, question.needs)
    return Frames(question.in_force, live.settled_to, tables)


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
