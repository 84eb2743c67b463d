"""Replay: history under another rule set, beside what readers see, and putting it in force.

A run fills a shadow generation while all else goes on. What switches readers is the rule book
alone: they go through the generation that serves it. So promoting a run is publishing its rules
for all time, and reverting it is publishing again what was in the book before; each is one
transaction of the facts. What a run's row says of either is written before it, and counts only
where the book bears it out: so a process may end anywhere. Nothing is announced or sent.
"""

from collections.abc import Callable, Sequence
from typing import Any

from engine.book import Book
from engine.crash import reached
from engine.errors import BookChanged, InForceAlready
from engine.history import BEGINNING
from engine.instants import format_instant
from engine.progress import Progress, quiet
from engine.projections import generations, runs, shadow
from engine.projections.database import Models
from engine.projections.runner import book_known, bring_up_to_date, of_these_facts, sweep
from engine.projections.runs import (
    CANCELLED,
    DROPPED,
    PAUSED,
    PROMOTED,
    READY,
    REVERTED,
    RUNNING,
    Entry,
    Run,
)
from engine.projections.shadow import Filling
from engine.publishing import for_good
from engine.replay_runs import FITS, alone, as_stored, check_state, numbered, standing
from engine.rulefile import parse
from engine.store.facts import Facts
from engine.store.in_force import DEFAULT_RULES, book_at, default_text, kept_rules
from engine.store.recorder import last_position
from engine.store.rulebook import Publication, WrittenRules, keep_rules, publish, rule_book

ID_DIGITS = 12  # of an id, where people read it


def never() -> bool:
    """Go on whatever happens."""
    return False


def written(text: str, origin: str) -> WrittenRules:
    """A rule set as it is kept.

    Raises:
        RulesInvalid: It has faults.
    """
    rules = parse(text, origin)
    return WrittenRules(rules.id, rules.name, for_good(text, rules.id))


def start(
    facts: Facts,
    models: Models,
    rules: WrittenRules,
    progress: Progress = quiet,
    stopping: Callable[[], bool] = never,
) -> Run:
    """Begin a run, and work on it until it is ready; see `resume`.

    Raises:
        InForceAlready: It judges all of history already.
        RunThere: A run of these rules is there.
    """
    if book_known(facts).id == rules.id:
        raise InForceAlready(rules.name)
    with facts.transaction() as connection:
        keep_rules(connection, rules)
    reached("replay.rules")
    run = shadow.begin(facts, models, rules, len(facts.rule_book()))
    reached("replay.begun")
    return resume(facts, models, run.number, progress, stopping)


def resume(
    facts: Facts,
    models: Models,
    number: int,
    progress: Progress = quiet,
    stopping: Callable[[], bool] = never,
) -> Run:
    """Work on a run until it is ready, or it is to stop: then it is paused.

    Returns:
        The run; paused or ended where another process did that meanwhile.

    Raises:
        RunBusy, RunUnfit, NoSuchRun, ShadowGone, StoreError: See there.
    """
    with alone(facts, models, number) as run:
        check_state(run, "resume", (RUNNING, PAUSED))
        with models.writing() as connection:
            run = runs.change(connection, run, state=RUNNING)
        with facts.snapshot() as connection:
            book = Book.always(kept_rules(connection, run.rules_id))
        return Filling(facts, models, run, book, progress, stopping).work()


def pause(models: Models, number: int) -> Run:
    """Let whoever works on a run stop after the chunk that it is at.

    Raises:
        RunUnfit, NoSuchRun: See there.
    """
    with models.writing() as connection:
        run = numbered(runs.runs(connection), number)
        check_state(run, "pause", (RUNNING,))
        return runs.change(connection, run, state=PAUSED)


def cancel(facts: Facts, models: Models, number: int) -> Run:
    """End a run before it is ready, and drop what it has filled; who works on it stops.

    Raises:
        RunUnfit, NoSuchRun: See there.
    """
    return _end(facts, models, number, CANCELLED, (RUNNING, PAUSED))


def drop(facts: Facts, models: Models, number: int) -> Run:
    """End a run, and drop what it keeps: the shadow, or what that replaced; never what is in force.

    Raises:
        RunBusy, RunUnfit, NoSuchRun: See there.
    """
    with alone(facts, models, number):
        states = (RUNNING, PAUSED, READY, PROMOTED, REVERTED)
        return _end(facts, models, number, DROPPED, states)


def promote(facts: Facts, models: Models, number: int, *, anyway: bool = False) -> Run:
    """Put a run's rules in force for all time: readers see its generation from then on.

    Args:
        facts: Where they are published.
        models: Where the run is.
        number: Of the run, which is ready.
        anyway: Also where rules were published since it began.

    Raises:
        BookChanged: They were, and `anyway` is not said.
        InForceAlready: Somebody else put its rules in force for all time.
        RunBusy, RunUnfit, NoSuchRun, ShadowGone: See there.
    """
    with alone(facts, models, number) as run:
        check_state(run, "promote", (READY, REVERTED))
        while run.state != PROMOTED:
            run = _try_to_promote(facts, models, run, anyway=anyway)
        bring_up_to_date(facts, models, facts.clock())
    return run


def revert(facts: Facts, models: Models, number: int, *, anyway: bool = False) -> Run:
    """Publish again what was in the book before a run was promoted; what it replaced serves again.

    Raises:
        BookChanged: Rules were published since, and `anyway` is not said.
        RunBusy, RunUnfit, NoSuchRun: See there.
    """
    with alone(facts, models, number) as run:
        check_state(run, "revert", (PROMOTED,))
        while run.state != REVERTED:
            run = _try_to_revert(facts, models, run, anyway=anyway)
        bring_up_to_date(facts, models, facts.clock())
    return run


def publish_retroactively(
    facts: Facts, models: Models, rules: WrittenRules, progress: Progress = quiet
) -> Run | None:
    """Replay history under a rule set and promote it in one go; a run of it is gone on with.

    Returns:
        The run, promoted; None where nothing had to be built, since there are no leads, or the
        rules are in force for all time already.

    Raises:
        RunBusy: Another process replays them.
        RunUnfit: Another process paused or ended the run meanwhile; nothing was published.
    """
    if book_known(facts).id == rules.id:
        return None
    if not len(facts.lead_numbers()):
        facts.publish(rules)
        return None
    there = [run for run in standing(facts, models) if run.rules_id == rules.id]
    run = next((run for run in there if run.state in (*FITS["promote"], *FITS["cancel"])), None)
    if run is None:
        run = start(facts, models, rules, progress)
    elif run.state not in FITS["promote"]:
        run = resume(facts, models, run.number, progress)
    return promote(facts, models, run.number, anyway=True)


def _try_to_promote(facts: Facts, models: Models, run: Run, *, anyway: bool) -> Run:
    """Promote a run, unless somebody publishes meanwhile."""
    told, book = _book_now(facts, run, anyway=anyway)
    if book.id == run.rules_id:
        raise InForceAlready(run.name)
    with facts.transaction() as connection:
        rules = kept_rules(connection, run.rules_id)
        keep_rules(connection, _default())  # it may be what was in the book before
    live = generations.serving(of_these_facts(facts, models), book, facts.clock())
    if live is not None:
        live = bring_up_to_date(facts, models, facts.clock())
    found = shadow.shadow_of(facts, models, run)
    shadow.caught_up(facts, models, found, Book.always(rules), live.settled_to if live else 0)
    before = [(one.rules.id, None if one.since == BEGINNING else one.since) for one in book.eras]
    to = {
        "state": PROMOTED,
        "entry": len(told) + 1,
        "replaced": live.number if live else run.replaced,
        "book_before": runs.written(before),
    }
    return _switch(facts, models, run, [(run.rules_id, None)], to)


def _try_to_revert(facts: Facts, models: Models, run: Run, *, anyway: bool) -> Run:
    """Revert a run, unless somebody publishes meanwhile."""
    told, book = _book_now(facts, run, anyway=anyway)
    with facts.snapshot() as connection:
        before = Book.of([(at, kept_rules(connection, id_)) for id_, at in run.before])
    ready, now = of_these_facts(facts, models), facts.clock()
    old, live = (generations.serving(ready, one, now) for one in (before, book))
    if old is not None:
        now = max(now, old.settled_to, live.settled_to if live else 0)
        shadow.caught_up(facts, models, old, before.until(now), now)
    to = {"state": REVERTED, "entry": len(told) + len(run.before)}
    return _switch(facts, models, run, run.before, to)


def _switch(
    facts: Facts, models: Models, run: Run, entries: Sequence[Entry], to: dict[str, Any]
) -> Run:
    """Keep what is meant, publish it, and look whether it came to the book: nobody may have since.

    Args:
        facts: Where it is published.
        models: Where the run is.
        run: As it is stored.
        entries: What is to be published, in order.
        to: The run's row from then on; `entry` is the number of the last of them.
    """
    with models.writing() as connection:
        runs.change(connection, run, **to)
    reached("replay.meant")
    with facts.transaction() as connection:
        there = rule_book(connection, last_position(connection))
        if len(there) + len(entries) == to["entry"]:
            publish(connection, entries, facts.clock())
            reached("replay.published")
    reached("replay.switched")
    return as_stored(facts, models, run.number)


def _end(facts: Facts, models: Models, number: int, state: str, states: Sequence[str]) -> Run:
    with models.sole_runner():  # who decided before what readers need is done by then
        with models.writing() as connection:
            run = numbered(runs.runs(connection), number)
            check_state(run, "cancel" if state == CANCELLED else "drop", states)
            run = runs.change(connection, run, state=state)
        reached("replay.ended")
        sweep(facts, models)
    return run


def _book_now(facts: Facts, run: Run, *, anyway: bool) -> tuple[list[Publication], Book]:
    """What was published, and the book, unless a run does not know of all of it."""
    with facts.snapshot() as connection:
        told, book = facts.rule_book(), book_at(connection)
    if (more := told[run.entry :]) and not anyway:
        raise BookChanged(run.number, [_shown(facts, one) for one in more])
    return told, book


def _shown(facts: Facts, one: Publication) -> str:
    at = one.effective_at
    since = "the beginning" if at is None else format_instant(at)
    name = facts.written_rules(one.rules_id).name
    published = format_instant(one.published_at)
    return f"{name} {one.rules_id[:ID_DIGITS]} from {since}, published at {published}"


def _default() -> WrittenRules:
    return written(default_text(), DEFAULT_RULES)
