"""How a reading command gets its frames: from the read models, or folded on demand.

Both run the same fold and the same derivations, so an answer for another
instant or under other rules differs from the live one in nothing else.
"""

from dataclasses import dataclass

import polars as pl

from engine.progress import Progress, quiet
from engine.projections import database
from engine.projections.database import Models
from engine.projections.projection import READ_MODELS, Frames, Projection
from engine.projections.runner import bring_up_to_date, chunks, derive_leads
from engine.ruleset import RuleSet
from engine.store.facts import Facts


@dataclass(frozen=True)
class Question:
    """What is asked for: under which rules and as of when. Instants in microseconds, UTC."""

    in_force: RuleSet
    now: int
    rules: RuleSet | None = None  # None: those in force
    as_of: int | None = None  # None: now
    needs: tuple[Projection, ...] = READ_MODELS

    @property
    def live(self) -> bool:
        """Whether the read models as they are kept answer it."""
        other = self.rules is not None and self.rules.id != self.in_force.id
        return self.as_of is None and not other


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
        if live is None or not live.serves(question.in_force.id):
            return None
        tables = database.read(connection, live, question.needs)
    return Frames(question.in_force, live.settled_to, tables)


def _folded(facts: Facts, question: Question, progress: Progress) -> Frames:
    rules = question.rules or question.in_force
    as_of = question.now if question.as_of is None else question.as_of
    with facts.snapshot():
        leads = facts.lead_numbers()
        parts = [
            derive_leads(facts, chunk, rules, as_of, question.needs)
            for chunk in chunks(leads, progress=progress)
        ] or [derive_leads(facts, leads, rules, as_of, question.needs)]
    names = [projection.name for projection in question.needs]
    return Frames(rules, as_of, {name: pl.concat([p[name] for p in parts]) for name in names})
