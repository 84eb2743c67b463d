"""The runs of replays as they stand, and being alone at one.

What a run's row says of its promotion or reversal counts only where the rule book bears it out.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Final

from engine.errors import NoRunFits, NoSuchRun, RunBusy, RunUnfit, SeveralRuns
from engine.projections.database import Models
from engine.projections.runs import (
    DROPPED,
    PAUSED,
    PROMOTED,
    READY,
    REVERTED,
    RUNNING,
    Entry,
    Run,
    change,
    runs,
)
from engine.store.facts import Facts
from engine.store.rulebook import Publication

INTERRUPTED: Final = "interrupted"  # running, by what its row says, and no process is at it
FITS = {  # the states in which a run may be told so
    "pause": (RUNNING,),
    "resume": (PAUSED, INTERRUPTED),
    "cancel": (RUNNING, INTERRUPTED, PAUSED),
    "promote": (READY, REVERTED),
    "revert": (PROMOTED,),
    "drop": (INTERRUPTED, PAUSED, READY, PROMOTED, REVERTED),
}
TRIES, PAUSE_S = 5, 0.1  # to be alone: somebody may just be looking whether anybody is


def standing(facts: Facts, models: Models) -> list[Run]:
    """All runs by number, as they stand: a running one that no process is at is interrupted."""
    with models.reading() as connection:
        stored = runs(connection)
    told = facts.rule_book()
    return [_seen(models, _borne_out(run, told)) for run in stored]


def in_force(every: Sequence[Run], told: Sequence[Publication], rules_id: str) -> int | None:
    """The number of the run by which rules that are in force now came to be so, if one was.

    Also of one that has let go of what it replaced since. `told` is the rule book.
    """
    ends = [run for run in every if run.state in (PROMOTED, DROPPED) and run.entry]
    ids = [(run.rules_id, told[run.entry - 1].rules_id) for run in ends]
    promoted = [run for run, both in zip(ends, ids, strict=True) if both == (rules_id, rules_id)]
    return max(promoted, key=lambda run: run.entry).number if promoted else None


def fitting(facts: Facts, models: Models, what: str, number: int | None = None) -> Run:
    """The run that something is to be done with, by a key of FITS; without a number the only one.

    Of several that were promoted it is the one that nothing was published after.

    Raises:
        NoSuchRun, RunUnfit, NoRunFits, SeveralRuns: See there.
    """
    every, states = standing(facts, models), FITS[what]
    if number is not None:
        run = numbered(every, number)
        check_state(run, what, states)
        return run
    found = [run for run in every if run.state in states]
    if what == "revert" and len(found) > 1:
        last = len(facts.rule_book())
        found = [run for run in found if run.entry == last] or found
    if not found:
        raise NoRunFits(what, states)
    if len(found) > 1:
        raise SeveralRuns(what, [run.number for run in found])
    return found[0]


@contextmanager
def alone(facts: Facts, models: Models, number: int) -> Iterator[Run]:
    """Be the only process at a run, as long as the block lasts; the run as it stands."""
    with ExitStack() as stack:
        for tried in range(TRIES):
            if stack.enter_context(models.sole_replayer(number)):
                break
            stack.close()
            time.sleep(PAUSE_S * tried)
        else:
            raise RunBusy(number)
        yield as_stored(facts, models, number)


def as_stored(facts: Facts, models: Models, number: int) -> Run:
    """A run as the book bears it out, and its row so too; for who is alone at it."""
    with models.reading() as connection:
        stored = numbered(runs(connection), number)
    run = _borne_out(stored, facts.rule_book())
    if run != stored:
        with models.writing() as connection:
            change(connection, stored, state=run.state, entry=run.entry)
    return run


def _borne_out(run: Run, told: Sequence[Publication]) -> Run:
    """A run whose promotion or reversal never came to the book is what it was before."""
    meant: list[Entry]
    if run.state == PROMOTED:
        meant, before = [(run.rules_id, None)], READY
    elif run.state == REVERTED:
        meant, before = run.before, PROMOTED
    else:
        return run
    first = run.entry - len(meant)
    entries = [(one.rules_id, one.effective_at) for one in told[: run.entry]]
    if entries[first:] == meant:
        return run
    if before == PROMOTED:  # that entry may not be the last: others may have published since
        first = max(nth for nth, one in enumerate(entries, 1) if one == (run.rules_id, None))
    return replace(run, state=before, entry=first)


def _seen(models: Models, run: Run) -> Run:
    if run.state != RUNNING:
        return run
    with models.sole_replayer(run.number) as nobody:
        return replace(run, state=INTERRUPTED) if nobody else run


def numbered(every: Sequence[Run], number: int) -> Run:
    """The run of a number.

    Raises:
        NoSuchRun: There is none.
    """
    for run in every:
        if run.number == number:
            return run
    raise NoSuchRun(number)


def check_state(run: Run, what: str, states: Sequence[str]) -> None:
    """Make sure that a run is in one of the states in which something can be done with it.

    Raises:
        RunUnfit: It is not.
    """
    if run.state not in states:
        raise RunUnfit(run.number, run.state, what, states)
