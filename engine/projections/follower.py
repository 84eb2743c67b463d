"""The runner that stays: keeps the read models where facts and time are until it is told to stop.

It looks by itself, ever less often while nothing happens; a database that tells when something
is new only makes it look sooner. Wherever it is stopped, the read models hold as they stand,
and the next one goes on from there.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engine import metrics
from engine.backoff import Backoff
from engine.errors import StoreAway, StoreFull, StoreIO
from engine.instants import MINUTE_US
from engine.projections import generations
from engine.projections.database import Models
from engine.projections.generations import Generation
from engine.projections.runner import book_known, bring_up_to_date, derive_leads
from engine.store.facts import Facts
from engine.store.gaps import Gap, Reach

BATCH = 20_000  # positions that become visible at once
SHORTEST_S, LONGEST_S = 0.01, 0.25  # between two looks
STANDBY_S = 1.0  # between two tries to take over
RETRY_S, LONGEST_RETRY_S = 0.1, 10.0
PASSING = (StoreAway, StoreFull, StoreIO)  # what is over sooner or later
SECOND_US = 1_000_000

log = logging.getLogger(__name__)


class Stopped(Exception):
    """It was told to stop while there was more to derive."""


@dataclass(frozen=True)
class Stood:
    """Where the read models stood when they were last brought forward."""

    live: Generation
    due: int | None  # microseconds, UTC: when time alone changes rows or rules next

    def calls_for_work(self, reach: Reach, now: int) -> bool:
        """Whether rows are to be derived, or it is to be kept once more that none were."""
        if reach.upto > self.live.checkpoint:
            return True
        time_has_come = self.due is not None and self.due <= now
        return time_has_come or now - self.live.settled_to >= MINUTE_US


class Patience:
    """Waits after what passes: ever longer, and never as long as others that wait too."""

    def __init__(self, stopping: Callable[[], bool], what: metrics.Retrying) -> None:
        self._stopping, self._what = stopping, what
        self._backoff = Backoff(RETRY_S, LONGEST_RETRY_S)

    def wait(self, error: Exception) -> None:
        """Wait before trying again."""
        metrics.retried(self._what)
        if isinstance(error, StoreAway) and error.code == StoreAway.code:
            metrics.database_up(False)
        wait_s = self._backoff.next_s()
        log.warning("%s (again in %.1f s)", error, wait_s)
        pause(wait_s, self._stopping)

    def reset(self) -> None:
        """It went well."""
        self._backoff.reset()


class Follower:
    """Brings read models forward, step by step."""

    def __init__(
        self,
        facts: Facts,
        models: Models,
        stopping: Callable[[], bool] = lambda: False,
        batch: int = BATCH,
    ) -> None:
        self._facts, self._models = facts, models
        self._stopping = stopping
        self._batch = batch  # positions
        self.patience = Patience(stopping, "project")
        self._stood: Stood | None = None  # None: it is not known
        self._held_by: Sequence[Gap] = ()

    def step(self) -> int | None:
        """Look once, and derive at most a batch: by so many positions, None for nothing to do.

        Raises:
            StoreAway: It cannot be had; all stands as it stood.
            Stopped: See there.
        """
        now, stood = self._facts.clock(), self._stood
        self._stood = None
        if stood is not None:
            reach = self._facts.reach(stood.live.checkpoint, self._batch)
            self._tell(stood, reach, now)
            if not stood.calls_for_work(reach, now):
                self._stood = stood
                self.patience.reset()
                return None
        self._stood = self._brought_forward(now)
        self.patience.reset()
        return self._tell_visible(stood, self._stood) if stood else 0

    def stay(self, rest: Callable[[float], None]) -> None:
        """Step on and on, without a rest only while more than a batch waits."""
        self._stood, pause_s = None, SHORTEST_S
        self._load_code()
        while not self._stopping():
            begun = time.monotonic()
            moved = self.step()
            if moved is None:
                pause_s = min(2 * pause_s, LONGEST_S)
                rest(pause_s)
                continue
            pause_s = SHORTEST_S
            if moved < self._batch:  # for others to have the processor
                time.sleep(min(max((time.monotonic() - begun) / 8, SHORTEST_S), LONGEST_S))
            rest(0)

    def _load_code(self) -> None:
        """Derive nothing, so that whoever comes first waits for no compiled code to be loaded."""
        book = book_known(self._facts)
        derive_leads(self._facts, np.array([], np.int64), book, self._facts.clock())

    def _brought_forward(self, now: int) -> Stood:
        head = self._facts.head()
        live = bring_up_to_date(self._facts, self._models, now, self._stop_between, self._batch)
        book = book_known(self._facts, live.checkpoint)
        with self._models.reading() as connection:
            found = generations.in_force(connection, book, now)  # another may have filled it since
            due = generations.next_due(connection, found) if found else now
        if live.checkpoint >= head:
            metrics.read_models_complete(now / SECOND_US)
        changes = [at for at in (due, book.next_after(now)) if at is not None]
        return Stood(found or live, min(changes, default=None))

    def _stop_between(self, done: int, total: int) -> None:
        """Stop between chunks of leads; what was derived of a batch is undone."""
        if done < total and self._stopping():
            raise Stopped

    def _tell(self, stood: Stood, reach: Reach, now: int) -> None:
        """Say how far behind the read models are, and what holds them up."""
        metrics.database_up(True)
        metrics.behind(max(0, reach.head - stood.live.checkpoint))
        if reach.head <= stood.live.checkpoint:
            metrics.read_models_complete(now / SECOND_US)
        metrics.missing(sum(gap.size for gap in reach.open))
        if reach.open != self._held_by:
            self._held_by = reach.open
            for gap in reach.open:
                log.warning(
                    "waiting at position %s, which an open transaction may still fill "
                    "(server processes %s)",
                    gap,
                    ", ".join(map(str, reach.writers)),
                )
        for gap in reach.empty:
            metrics.passed(gap.size)
            log.warning("position %s has no event and gets none: it was taken and given up", gap)

    def _tell_visible(self, before: Stood, after: Stood) -> int:
        """Say how long what is visible now took; returns how many positions that are."""
        first, last = before.live.checkpoint, after.live.checkpoint
        shown = self._facts.clock()
        for recorded_at, touchpoints in self._facts.recordings(first, last):
            metrics.visible(max(0, shown - recorded_at) / SECOND_US, touchpoints)
        return last - first


def follow(
    facts: Facts,
    models: Models,
    stopping: Callable[[], bool] = lambda: False,
    batch: int = BATCH,
) -> None:
    """Keep read models up to date until `stopping()`; the batch that is open is finished.

    One process follows at a time, others stand by. What passes, such as a database that is
    away, is waited for; whatever else is wrong ends it.

    Raises:
        ReadModelsDamaged, StoreReadOnly, StoreCorrupt: See there.
    """
    follower, standing_by = Follower(facts, models, stopping, batch), False
    while not stopping():
        try:
            with models.sole_follower() as rest:
                if rest is not None:
                    log.info("following %s", facts.name)
                    follower.stay(rest)
                elif not standing_by:
                    log.info("another process follows %s: standing by", facts.name)
                standing_by = rest is None
            pause(STANDBY_S, stopping)
        except Stopped:
            return
        except PASSING as error:
            follower.patience.wait(error)


def pause(seconds: float, stopping: Callable[[], bool]) -> None:
    """Wait so long, or until it is to stop."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not stopping():
        time.sleep(min(left, 0.1))
