"""The runner: keeps the read models where facts and time are.

Rows of a lead are never changed, only derived again from its whole history and
put in the place of the old ones. So a late touchpoint is no special case, and
what a rebuild gives is what was there before.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from engine import metrics
from engine.book import Book
from engine.crash import reached
from engine.errors import StoreLocked
from engine.progress import Progress, quiet
from engine.projections import generations
from engine.projections.database import Models
from engine.projections.generations import Generation, Stand
from engine.projections.projection import PROJECTIONS, Projection, Tables, derived
from engine.store.facts import Facts
from engine.store.in_force import book_at

CHUNK = 10_000  # leads folded at once: what memory is bounded by


def bring_up_to_date(
    facts: Facts,
    models: Models,
    now: int,
    progress: Progress = quiet,
    most: int | None = None,
) -> Generation:
    """Derive what is due in the generation that serves the rule book: the one readers go through.

    What is due are leads touched since the checkpoint, and leads whose time has come. All leads
    are derived anew where no generation serves the book, as soon as its next rule set comes
    into force, or where all are of other facts. What is derived becomes visible at once. `now` is
    in microseconds, UTC; a clock that was put back does not take the read models along, whether
    they are caught up or filled anew. Caught up, the checkpoint moves by `most` positions at
    most, but to where the book is known that the rows are of. Not to be called within a snapshot
    of the facts.

    Raises:
        ReadModelsDamaged, RunnerOvertaken, StoreReadOnly, StoreFull, StoreAway: See there.
    """
    with models.sole_runner():
        ready = of_these_facts(facts, models)
        complete = facts.reach(max((one.checkpoint for one in ready), default=0)).upto
        book = book_known(facts, complete)
        generation = generations.serving(ready, book, now)
        if generation is None:
            return _fill(facts, models, max([now, *(one.settled_to for one in ready)]), progress)
        now = max(now, generation.settled_to)
        upto = facts.reach(generation.checkpoint, most).upto
        if not generation.serves(book_known(facts, upto).until(now)):
            upto = complete  # a shadow of rules that were published later than that
        stand = stand_at(facts, now, upto)
        return catch_up(facts, models, generation, book.until(now), stand, progress)


def rebuild(
    facts: Facts, models: Models, now: int, progress: Progress = quiet, chunk: int = CHUNK
) -> Generation:
    """Derive all leads into a new generation, which then takes the place of the one in force.

    It stands no earlier than that one, unless that one stands in the future: of a
    clock that was ahead this is the way back.
    """
    with models.sole_runner():
        before = generations.serving(of_these_facts(facts, models), book_known(facts), now)
        if before is not None and before.settled_to <= facts.clock():
            now = max(now, before.settled_to)
        return _fill(facts, models, now, progress, chunk)


def sweep(facts: Facts, models: Models) -> None:
    """Drop the generations that nobody needs; what is in use now is swept next time.

    To be called by the sole runner. Where rules were published that none serves yet, the newest
    stays until one does.
    """
    ready = of_these_facts(facts, models)
    needed = generations.serving(ready, book_known(facts), facts.clock())
    with suppress(StoreLocked), models.writing() as connection:
        generations.sweep(connection, needed or (ready[-1] if ready else None))


def derive_leads(
    facts: Facts,
    leads: NDArray[np.int64],
    book: Book,
    as_of: int,
    projections: tuple[Projection, ...] = PROJECTIONS,
    known_at: int | None = None,
) -> Tables:
    """The rows of some leads, by number: the one way from facts to rows, stored or not."""
    histories = facts.histories(leads, known_at)
    from engine.folding import fold  # takes longer to load than readers wait, if nothing is due

    return derived(fold(histories, book, as_of), histories.numbers, projections)


def chunks(
    leads: NDArray[np.int64], size: int = CHUNK, progress: Progress = quiet
) -> Iterator[NDArray[np.int64]]:
    """Numbers of leads, so many at a time; tells before each, and at last, how many are done."""
    for start in range(0, len(leads), size):
        progress(start, len(leads))
        yield leads[start : start + size]
    progress(len(leads), len(leads))


def catch_up(
    facts: Facts,
    models: Models,
    generation: Generation,
    book: Book,
    stand: Stand,
    progress: Progress = quiet,
) -> Generation:
    """Take a generation on to a later stand, in one transaction; the book is the one it is of.

    Raises:
        RunnerOvertaken: Another process moved it meanwhile, or cleared it away.
    """
    with facts.snapshot():
        with models.reading() as connection:
            generations.check_stands(connection, generation)
            due = generations.due_leads(connection, generation, stand.settled_to)
        leads = np.union1d(facts.touched_leads(generation.checkpoint, stand.checkpoint), due)
        parts = _derived(facts, chunks(leads, CHUNK, progress), book, stand)
        first = [*islice(parts, 1)]  # before others have to wait: code may have to be compiled
        reached("runner.derived")
        with models.writing() as connection:
            moved = generations.move_to(connection, generation, stand)
            reached("runner.moved")
            for chunk, tables in chain(first, parts):
                generations.replace(connection, generation, chunk, tables)
            reached("runner.replaced")
    reached("runner.kept")
    metrics.derived(len(leads))
    return moved


def of_these_facts(facts: Facts, models: Models) -> list[Generation]:
    """The generations that are ready, without those that came from other facts."""
    with models.reading() as connection:
        ready = generations.ready_generations(connection)
    return [one for one in ready if facts.anchor(one.checkpoint) == one.anchor]


def book_known(facts: Facts, position: int | None = None) -> Book:
    """The rule book as known at a position; None: as it is."""
    with facts.snapshot() as connection:
        return book_at(connection, position)


def stand_at(facts: Facts, settled_to: int, checkpoint: int) -> Stand:
    """An instant and a position to derive rows of."""
    return Stand(settled_to, checkpoint, facts.anchor(checkpoint))


def _fill(
    facts: Facts, models: Models, now: int, progress: Progress, size: int = CHUNK
) -> Generation:
    """Fill a new generation, chunk by chunk in transactions of their own, and let it be ready."""
    stand = stand_at(facts, now, facts.reach(0).upto)
    with facts.snapshot():
        book = book_known(facts, stand.checkpoint).until(now)
        with models.writing() as connection:
            generation = generations.begin(connection, book.id, stand)
            generations.clear(connection, generation)
        reached("runner.begun")
        leads = chunks(facts.lead_numbers(), size, progress)
        for chunk, tables in _derived(facts, leads, book, stand):
            with models.writing() as connection:
                generations.fill(connection, generation, tables)
            metrics.derived(len(chunk))
    reached("runner.filled")
    with models.writing() as connection:
        filled = generations.make_ready(connection, generation)
    reached("runner.ready")
    sweep(facts, models)
    return filled


def _derived(
    facts: Facts, leads: Iterable[NDArray[np.int64]], book: Book, stand: Stand
) -> Iterator[tuple[NDArray[np.int64], Tables]]:
    """The rows of some leads, chunk by chunk, as of an instant and known at a position."""
    upto = None if facts.head() == stand.checkpoint else stand.checkpoint
    for chunk in leads:
        yield chunk, derive_leads(facts, chunk, book, stand.settled_to, PROJECTIONS, upto)
