"""A shadow: the generation that a replay fills beside the others, chunk by chunk.

It stands where the facts stood when the run began, whatever is recorded meanwhile; once all leads
have rows it is caught up. How far it has come is kept in one transaction with the rows, so
wherever it is stopped it goes on from there, to the same rows.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from engine import metrics
from engine.book import Book
from engine.crash import reached
from engine.errors import RunChanged, RunnerOvertaken, RunThere, ShadowGone
from engine.progress import Progress
from engine.projections import generations, runs
from engine.projections.database import Models
from engine.projections.generations import Generation
from engine.projections.projection import PROJECTIONS
from engine.projections.runner import catch_up, derive_leads, stand_at
from engine.projections.runs import ALL, ENDED, PAUSED, PROMOTED, READY, RUNNING, Run
from engine.store.facts import Facts
from engine.store.rulebook import WrittenRules

CHUNK = 5_000  # leads that get rows at once: for so long the live runner may have to wait
BATCH = 20_000  # positions caught up at once
LITTLE = 5_000  # positions left for the runner


class _Stopped(Exception):
    """It was told to stop while there was more to do."""


def begin(facts: Facts, models: Models, rules: WrittenRules, entry: int) -> Run:
    """Make the shadow and the row of a run, as of now.

    Raises:
        RunThere: These rules are being replayed.
    """
    stand = stand_at(facts, facts.clock(), facts.reach(0).upto)
    total = len(facts.lead_numbers())
    with models.writing() as connection:
        for one in runs.runs(connection):
            if one.rules_id == rules.id and one.state not in (*ENDED, PROMOTED):
                raise RunThere(one.number, one.name, one.state)
        generation = generations.begin(connection, rules.id, stand)
        run = Run(
            number=runs.next_number(connection),
            rules_id=rules.id,
            name=rules.name,
            state=RUNNING,
            generation=generation.number,
            started_at=stand.settled_to,
            total=total,
            entry=entry,
        )
        runs.add(connection, run)
    return run


def shadow_of(facts: Facts, models: Models, run: Run) -> Generation:
    """The generation that a run fills.

    Raises:
        ShadowGone: It is not there, or not what this program derives from these facts.
    """
    found = numbered(models, run.generation)
    if found is None or found.derived_by != generations.DERIVED_BY:
        raise ShadowGone(run.number)
    if facts.anchor(found.checkpoint) != found.anchor:
        raise ShadowGone(run.number)
    return found


def numbered(models: Models, number: int | None) -> Generation | None:
    """The generation of a number; None where there is none."""
    with models.reading() as connection:
        every = generations.all_generations(connection)
    return next((one for one in every if one.number == number), None)


def caught_up(
    facts: Facts,
    models: Models,
    generation: Generation,
    book: Book,
    since: int = 0,
    going: Callable[[], None] = lambda: None,
) -> Generation:
    """Take a generation on, batch by batch, until little is left that was recorded since.

    Args:
        facts: Where it comes from.
        models: Where it is.
        generation: One that the runner does not care for, as nobody reads it.
        book: What it is of.
        since: It stands no earlier then: microseconds, UTC.
        going: Raises where it is not to go on; asked before each batch.

    Raises:
        RunnerOvertaken: Another process moved it meanwhile, or cleared it away.
    """
    while True:
        going()
        now = max(facts.clock(), generation.settled_to, since)
        stand = stand_at(facts, now, facts.reach(generation.checkpoint, BATCH).upto)
        generation = catch_up(facts, models, generation, book, stand)
        if facts.reach(generation.checkpoint).upto - generation.checkpoint <= LITTLE:
            return generation


@dataclass
class Filling:
    """The work on one run, by who is alone at it."""

    facts: Facts
    models: Models
    run: Run  # running
    book: Book  # of its rules
    progress: Progress
    stopping: Callable[[], bool]

    def work(self) -> Run:
        """Fill and catch up until it is ready, or told to stop, or somebody paused or ended it.

        Raises:
            ShadowGone, StoreError: See there; all stands as it stood.
        """
        try:
            generation = shadow_of(self.facts, self.models, self.run)
            self._fill(generation)
            about = self.facts, self.models, generation, self.book
            self._be_ready(caught_up(*about, going=self._going))
        except _Stopped:
            self._change(state=PAUSED)
        except (RunChanged, RunnerOvertaken, ShadowGone):
            self.run, before = self._as_stored(), self.run
            if self.run.state == before.state:
                raise
        return self.run

    def _fill(self, generation: Generation) -> None:
        """Give rows to all leads that have none, as of where the shadow stands."""
        leads = self.facts.lead_numbers()
        left = leads[leads > self.run.filled_to]
        done, total = self.run.done, self.run.done + len(left)
        for start in range(0, len(left), CHUNK):
            self._go_on()
            self.progress(done + start, total)
            begun, chunk = time.monotonic_ns(), left[start : start + CHUNK]
            stand = generation.settled_to, PROJECTIONS, generation.checkpoint
            tables = derive_leads(self.facts, chunk, self.book, *stand)
            reached("replay.derived")
            with self.models.writing() as connection:
                self.run = runs.change(
                    connection,
                    self.run,
                    done=done + start + len(chunk),
                    total=total,
                    filled_to=int(chunk[-1]),
                    worked_us=self.run.worked_us + (time.monotonic_ns() - begun) // 1000,
                )
                generations.fill(connection, generation, tables)
                reached("replay.added")
            reached("replay.filled")
            metrics.derived(len(chunk))
        self.progress(total, total)
        self._change(filled_to=ALL)  # who comes new from here on has rows by being caught up
        reached("replay.full")

    def _be_ready(self, generation: Generation) -> None:
        reached("replay.caught_up")
        with self.models.writing() as connection:
            generations.make_ready(connection, generation)
            self.run = runs.change(connection, self.run, state=READY)
        reached("replay.ready")

    def _going(self) -> None:
        self._go_on()
        if self._as_stored().state != self.run.state:
            raise RunChanged(self.run.number)

    def _go_on(self) -> None:
        if self.stopping():
            raise _Stopped

    def _change(self, **to: object) -> None:
        with self.models.writing() as connection:
            self.run = runs.change(connection, self.run, **to)

    def _as_stored(self) -> Run:
        with self.models.reading() as connection:
            (run,) = (one for one in runs.runs(connection) if one.number == self.run.number)
        return run
