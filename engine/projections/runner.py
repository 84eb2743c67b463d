"""The runner: keeps the read models where facts and time are.

Rows of a lead are never changed, only derived again from its whole history and
put in the place of the old ones. So a late touchpoint is no special case, and
what a rebuild gives is what was there before.
"""

from collections.abc import Iterator
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from engine.folding import fold
from engine.progress import Progress, quiet
from engine.projections import database
from engine.projections.database import Generation, Models, Stand
from engine.projections.projection import PROJECTIONS, Projection, Tables, derived
from engine.ruleset import RuleSet
from engine.store.facts import Facts

CHUNK = 10_000  # leads folded at once: what memory is bounded by


def bring_up_to_date(
    facts: Facts, models: Models, rules: RuleSet, now: int, progress: Progress = quiet
) -> Generation:
    """Derive what is due: leads touched since the checkpoint, and leads whose time has come.

    All leads are derived where no generation is live, or the live one is of other
    rules or other facts. What is derived becomes visible at once. `now` is in
    microseconds, UTC; a clock that was put back does not take the read models along,
    whether they are caught up or filled anew.

    Raises:
        ReadModelsDamaged, StoreReadOnly, StoreFull, StoreLocked: See there.
    """
    with models.sole_runner():
        live = _live(facts, models)
        if live is None:
            return _fill(facts, models, rules, now, progress)
        now = max(now, live.settled_to)
        if not live.serves(rules.id):
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
    """Derive all leads into a new generation, which then takes the live one's place.

    It stands no earlier than the live one, unless that one stands in the future: of a
    clock that was ahead this is the way back.
    """
    with models.sole_runner():
        live = _live(facts, models)
        if live is not None and live.settled_to <= facts.clock():
            now = max(now, live.settled_to)
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
    rules: RuleSet,
    now: int,
    progress: Progress,
) -> Generation:
    with facts.snapshot(), models.writing() as connection:
        stand = _stand(facts, now)
        touched = facts.touched_leads(live.checkpoint, stand.checkpoint)
        due = database.due_leads(connection, live, stand.settled_to)
        leads = np.union1d(touched, due)
        for chunk in chunks(leads, CHUNK, progress):
            tables = derive_leads(facts, chunk, rules, stand.settled_to)
            database.replace(connection, live, chunk, tables)
        return database.move_to(connection, live, stand)


def _fill(
    facts: Facts,
    models: Models,
    rules: RuleSet,
    now: int,
    progress: Progress,
    size: int = CHUNK,
) -> Generation:
    """Fill a new generation, chunk by chunk in transactions of their own, and let it go live."""
    with facts.snapshot():
        with models.writing() as connection:
            generation = database.begin(connection, rules.id, _stand(facts, now))
        for chunk in chunks(facts.all_leads(), size, progress):
            tables = derive_leads(facts, chunk, rules, now)
            with models.writing() as connection:
                database.add(connection, generation, tables)
    with models.writing() as connection:
        return database.go_live(connection, generation)


def _stand(facts: Facts, settled_to: int) -> Stand:
    head = facts.head()
    return Stand(settled_to, head, _anchor(facts, head))


def _anchor(facts: Facts, position: int) -> str:
    """What the event at a position is known by; empty where there is none."""
    with facts.snapshot() as connection:
        event = connection.execute(
            "SELECT originator_id, state FROM stored_events WHERE rowid = ?", (position,)
        ).fetchone()
    return sha256(event[0].encode() + event[1]).hexdigest() if event else ""
