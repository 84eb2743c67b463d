"""The runner: keeps the read models where facts and time are.

Rows of a lead are never changed, only derived again from its whole history and
put in the place of the old ones. So a late touchpoint is no special case, and
what a rebuild gives is what was there before.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from engine import metrics
from engine.book import Book
from engine.crash import reached
from engine.errors import StoreLocked
from engine.folding import fold
from engine.progress import Progress, quiet
from engine.projections import database
from engine.projections.database import Generation, Models, Stand
from engine.projections.projection import PROJECTIONS, Projection, Tables, derived
from engine.store.facts import Facts

CHUNK = 10_000  # leads folded at once: what memory is bounded by


def bring_up_to_date(
    facts: Facts,
    models: Models,
    book: Book,
    now: int,
    progress: Progress = quiet,
    most: int | None = None,
) -> Generation:
    """Derive what is due: leads touched since the checkpoint, and leads whose time has come.

    All leads are derived where no generation is live, or the live one is of another book or
    other facts; a book is another as soon as its next rule set comes into force. What is
    derived becomes visible at once. `now` is in microseconds, UTC; a clock that was put back
    does not take the read models along, whether they are caught up or filled anew. Caught up,
    the checkpoint moves by `most` positions at most. Not to be called within a snapshot of the
    facts.

    Raises:
        ReadModelsDamaged, RunnerOvertaken, StoreReadOnly, StoreFull, StoreAway: See there.
    """
    with models.sole_runner():
        live = _live(facts, models)
        if live is None:
            return _fill(facts, models, book, now, progress)
        now = max(now, live.settled_to)
        if not live.serves(book.until(now)):
            return _fill(facts, models, book, now, progress)
        stand = _stand(facts, now, facts.reach(live.checkpoint, most).upto)
        return _catch_up(facts, models, live, book, stand, progress)


def rebuild(
    facts: Facts,
    models: Models,
    book: Book,
    now: int,
    progress: Progress = quiet,
    chunk: int = CHUNK,
) -> Generation:
    """Derive all leads into a new generation, which then takes the live one's place.

    It stands no earlier than the live one, unless that one stands in the future: of a
    clock that was ahead this is the way back.
    """
    with models.sole_runner():
        live = _live(facts, models)
        if live is not None and live.settled_to <= facts.clock():
            now = max(now, live.settled_to)
        return _fill(facts, models, book, now, progress, chunk)


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
    return derived(fold(histories, book, as_of), histories.numbers, projections)


def chunks(
    leads: NDArray[np.int64], size: int = CHUNK, progress: Progress = quiet
) -> Iterator[NDArray[np.int64]]:
    """Numbers of leads, so many at a time; tells before each, and at last, how many are done."""
    for start in range(0, len(leads), size):
        progress(start, len(leads))
        yield leads[start : start + size]
    progress(len(leads), len(leads))


def _live(facts: Facts, models: Models) -> Generation | None:
    """The live generation, if there is one and it is of these facts."""
    with models.reading() as connection:
        live = database.live_generation(connection)
    if live is None or _anchor(facts, live.checkpoint) != live.anchor:
        return None
    return live


def _catch_up(
    facts: Facts,
    models: Models,
    live: Generation,
    book: Book,
    stand: Stand,
    progress: Progress,
) -> Generation:
    with facts.snapshot():
        with models.reading() as connection:
            due = database.due_leads(connection, live, stand.settled_to)
        leads = np.union1d(facts.touched_leads(live.checkpoint, stand.checkpoint), due)
        parts = _derived(facts, chunks(leads, CHUNK, progress), book, stand)
        first = [*islice(parts, 1)]  # before others have to wait: code may have to be compiled
        reached("runner.derived")
        with models.writing() as connection:
            for chunk, tables in chain(first, parts):
                database.replace(connection, live, chunk, tables)
            reached("runner.replaced")
            moved = database.move_to(connection, live, stand)
            reached("runner.moved")
    reached("runner.kept")
    metrics.derived(len(leads))
    return moved


def _fill(
    facts: Facts,
    models: Models,
    book: Book,
    now: int,
    progress: Progress,
    size: int = CHUNK,
) -> Generation:
    """Fill a new generation, chunk by chunk in transactions of their own, and let it go live."""
    stand = _stand(facts, now, facts.reach(0).upto)
    with facts.snapshot():
        with models.writing() as connection:
            generation = database.begin(connection, book.until(stand.settled_to).id, stand)
        reached("runner.begun")
        leads = chunks(facts.lead_numbers(), size, progress)
        for chunk, tables in _derived(facts, leads, book, stand):
            with models.writing() as connection:
                database.fill(connection, generation, tables)
            metrics.derived(len(chunk))
    reached("runner.filled")
    with models.writing() as connection:
        filled = database.go_live(connection, generation)
    reached("runner.live")
    with suppress(StoreLocked), models.writing() as connection:
        database.sweep(connection)  # what is in use now is swept next time
    return filled


def _derived(
    facts: Facts, leads: Iterable[NDArray[np.int64]], book: Book, stand: Stand
) -> Iterator[tuple[NDArray[np.int64], Tables]]:
    """The rows of some leads, chunk by chunk, as of an instant and known at a position."""
    upto = None if facts.head() == stand.checkpoint else stand.checkpoint
    for chunk in leads:
        yield chunk, derive_leads(facts, chunk, book, stand.settled_to, PROJECTIONS, upto)


def _stand(facts: Facts, settled_to: int, checkpoint: int) -> Stand:
    return Stand(settled_to, checkpoint, _anchor(facts, checkpoint))


def _anchor(facts: Facts, position: int) -> str:
    """What the event at a position, and how leads are told apart, is known by; empty at 0."""
    with facts.snapshot() as connection:
        event = connection.execute(
            "SELECT originator_id, state FROM stored_events WHERE stored_events.rowid = ?",
            (position,),
        ).fetchone()
    if not event:
        return ""
    return sha256(b"%d " % facts.too_common + event[0].encode() + event[1]).hexdigest()
