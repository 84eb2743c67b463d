"""The runner: keeps the read models where facts and time are.

Rows of a lead are never changed, only derived again from its whole history and
put in the place of the old ones. So a late touchpoint is no special case, and
what a rebuild gives is what was there before.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from engine.folding import fold
from engine.projections import database
from engine.projections.database import Generation, Models
from engine.projections.projection import PROJECTIONS, Projection, Tables, derived
from engine.ruleset import RuleSet
from engine.store.facts import Facts

CHUNK = 10_000  # leads folded at once: what memory is bounded by
Progress = Callable[[int, int], None]  # leads done, leads in all


def quiet(done: int, total: int) -> None:
    """Say nothing."""


def bring_up_to_date(
    facts: Facts, models: Models, rules: RuleSet, now: int, progress: Progress = quiet
) -> Generation:
    """Derive what is due: leads touched since the checkpoint, and leads whose time has come.

    Where no generation is live, or the live one is of other rules, everything
    is. All of it becomes visible at once. `now` is in microseconds, UTC; a clock
    that was put back does not take the read models back with it.

    Raises:
        ReadModelsDamaged, StoreReadOnly, StoreFull, StoreLocked: See there.
    """
    with models.sole_runner():
        with models.reading() as connection:
            live = database.live_generation(connection)
        if live is None or not live.serves(rules.id):
            return _fill(facts, models, rules, now, progress)
        return _catch_up(facts, models, live, rules, now, progress)


def rebuild(
    facts: Facts,
    models: Models,
    rules: RuleSet,
    now: int,
    progress: Progress = quiet,
    chunk: int = CHUNK,
) -> Generation:
    """Derive all leads into a new generation, which then takes the live one's place."""
    with models.sole_runner():
        return _fill(facts, models, rules, now, progress, chunk)


def derive_leads(
    facts: Facts,
    leads: NDArray[np.int64],
    rules: RuleSet,
    as_of: int,
    projections: tuple[Projection, ...] = PROJECTIONS,
) -> Tables:
    """The rows of some leads, by number: the one way from facts to rows, stored or not."""
    folded = fold(facts.histories(leads), rules, as_of)
    return derived(folded, leads, projections)


def chunks(leads: NDArray[np.int64], size: int = CHUNK) -> Iterator[NDArray[np.int64]]:
    """Numbers of leads, so many at a time."""
    for start in range(0, len(leads), size):
        yield leads[start : start + size]


def _catch_up(
    facts: Facts,
    models: Models,
    live: Generation,
    rules: RuleSet,
    now: int,
    progress: Progress,
) -> Generation:
    settled_to = max(now, live.settled_to)
    with facts.snapshot(), models.writing() as connection:
        head = facts.head()
        touched = facts.touched_leads(live.checkpoint, head)
        leads = np.union1d(touched, database.due_leads(connection, live, settled_to))
        for done, chunk in enumerate(chunks(leads)):
            progress(done * CHUNK, len(leads))
            tables = derive_leads(facts, chunk, rules, settled_to)
            database.replace(connection, live, chunk, tables)
        progress(len(leads), len(leads))
        return database.move_to(connection, live, settled_to, head)


def _fill(
    facts: Facts,
    models: Models,
    rules: RuleSet,
    now: int,
    progress: Progress,
    chunk: int = CHUNK,
) -> Generation:
    """Fill a new generation, chunk by chunk in transactions of their own, and let it go live."""
    with facts.snapshot():
        with models.writing() as connection:
            generation = database.begin(connection, rules.id, now, facts.head())
        leads = facts.all_leads()
        for done, some in enumerate(chunks(leads, chunk)):
            progress(done * chunk, len(leads))
            tables = derive_leads(facts, some, rules, now)
            with models.writing() as connection:
                database.add(connection, generation, tables)
    with models.writing() as connection:
        live = database.go_live(connection, generation)
    progress(len(leads), len(leads))
    return live
