"""How long a reader waits while other rules are put in force, and put out again.

    $ python -m benchmarks.promote --leads 500000

A replay of all leads is started, and promoted and reverted three times, while touchpoints come
in and a runner follows them. A reader in a process of its own asks all the while: which rules
are in force, which generation serves them, where does it stand, and some leads' rows. What it
waits for an answer while they are switched is set beside what it waits for one before; how long
it only waited for a processor, which others may have, is told apart. A long-lived reader parses
the new rules once, when they come into force: that is in it.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from benchmarks.common import Figure, rate, show
from benchmarks.pipeline import WIDE
from benchmarks.read_models import BATCH, SPAN, WORKSPACE_KEY, touchpoints
from engine import lifecycle, replay
from engine.codec import encode
from engine.projections import generations
from engine.projections.database import Models
from engine.projections.follower import follow
from engine.projections.projection import PROJECTIONS
from engine.projections.runner import book_known, bring_up_to_date
from engine.replay_runs import standing
from engine.rulefile import read, shipped
from engine.store.facts import Facts, models_of, system_clock
from engine.touchpoint import Arrival, Encoded, Touchpoint
from engine.warm import main as warm

EACH = 2  # touchpoints a lead
LIMIT_S = 0.05
REST_S = 0.002  # of the reader, between two looks
ROUNDS = 3
AFTER_S = 2.0  # looked on once it is switched
BEFORE = 'after_silence = "30d"'
OTHER = 'after_silence = "20d"'
QUEUED = Path("/proc/thread-self/schedstat")  # on a processor, waiting for one: nanoseconds


class Look(NamedTuple):
    """One question, and how long its answer took."""

    begun: float  # seconds of the monotonic clock
    took: float  # seconds
    queued: float  # seconds of it that no processor was free for
    book: str  # id of what was in force
    stands: int  # where its rows stand; -1 where there were none


class Waits(NamedTuple):
    """How long looks took, in seconds."""

    median: float
    longest: float
    held_up: float  # the longest but for waiting for a processor


def arrivals(some: Iterator[Touchpoint]) -> Iterator[list[Arrival]]:
    """Touchpoints as they come, batch by batch."""
    while batch := list(islice(some, BATCH)):
        yield [
            Arrival(origin="benchmark", line=1, data=b"", encoded=Encoded(one, encode(one)))
            for one in batch
        ]


def queued_s() -> float:
    """Seconds that this thread has waited for a processor; 0 where the system does not say."""
    return int(QUEUED.read_text().split()[1]) / 1e9 if QUEUED.exists() else 0.0


def look_on(stop: Event, url: Path, leads: int, told: Any) -> None:
    """Read, over and over, as fast as it goes; then tell of every look."""
    chance, looks, models = Random(1), list[Look](), Models.open(models_of(url))
    with Facts.open(url, create=False) as facts:
        while not stop.is_set():
            begun, queued = time.monotonic(), queued_s()
            book = book_known(facts)
            with models.reading() as connection:
                found = generations.in_force(connection, book, system_clock())
                if found is not None:
                    for projection in PROJECTIONS:
                        table, lead = f"{projection.name}_{found.number}", chance.randrange(leads)
                        asked = f"SELECT * FROM {table} WHERE lead >= ? ORDER BY lead LIMIT 10"
                        connection.execute(asked, (lead,)).fetchall()
            took = time.monotonic() - begun
            stands = found.settled_to if found else -1
            looks.append(Look(begun, took, queued_s() - queued, book.id, stands))
            time.sleep(REST_S)
    models.close()
    told.send(looks)


def come_in(stop: Event, url: Path, leads: int, a_second: int) -> None:
    """Record touchpoints as they would come in."""
    made = touchpoints(leads, 1, system_clock() - SPAN, seed=9)
    with Facts.open(url, create=False) as facts:
        while not stop.wait(0.1):
            for batch in arrivals(islice(made, max(1, a_second // 10))):
                lifecycle.record(facts, batch, workspace_key=WORKSPACE_KEY)


def derive(stop: Event, url: Path) -> None:
    """Keep the read models up to date."""
    models = Models.open(models_of(url))
    with Facts.open(url, create=False) as facts:
        follow(facts, models, stop.is_set)
    models.close()


@contextmanager
def beside(*work: tuple[Callable[..., None], tuple[Any, ...]]) -> Iterator[None]:
    """Processes that work as long as the block lasts; each is given an event that ends it."""
    spawn = get_context("spawn")
    stop = spawn.Event()
    begun = [spawn.Process(target=do, args=(stop, *args)) for do, args in work]
    for one in begun:
        one.start()
    try:
        yield
    finally:
        stop.set()
        for one in begun:
            one.join()


def waits(looks: list[Look], since: float, until: float) -> Waits:
    """Of the looks that were under way within a stretch of time."""
    found = [look for look in looks if look.begun < until and look.begun + look.took > since]
    took = [look.took for look in found]
    return Waits(median(took), max(took), max(look.took - look.queued for look in found))


def base(url: Path, leads: int) -> None:
    """Record all leads, and derive them under the rules in force."""
    with Facts.open(url) as facts:
        for batch in arrivals(touchpoints(leads, EACH, system_clock() - 2 * SPAN, seed=4)):
            lifecycle.record(facts, batch, workspace_key=WORKSPACE_KEY)
        models = Models.open(models_of(url))
        bring_up_to_date(facts, models, facts.clock())
        models.close()


class Timed(NamedTuple):
    """What was done, and when: seconds of the monotonic clock."""

    name: str
    begun: float
    done: float


def switches(url: Path, quiet_s: float) -> Iterator[Timed]:
    """Look on, start, promote and revert."""
    rules = replay.written(read(shipped()["default"]).replace(BEFORE, OTHER), "other")
    models = Models.open(models_of(url))

    def timed(name: str, do: Callable[[], Any], after_s: float = AFTER_S) -> Timed:
        begun = time.monotonic()
        do()
        done = time.monotonic()
        time.sleep(after_s)
        return Timed(name, begun, done)

    with Facts.open(url, create=False) as facts:
        yield timed("nothing", lambda: time.sleep(quiet_s), 0)
        yield timed("start", lambda: replay.start(facts, models, rules))
        run = standing(facts, models)[-1].number
        for _ in range(ROUNDS):
            yield timed("promote", lambda: replay.promote(facts, models, run))
            yield timed("revert", lambda: replay.revert(facts, models, run))
        replay.drop(facts, models, run)
    models.close()


def figures(looks: list[Look], times: list[Timed], leads: int) -> list[Figure]:
    """What it came to."""
    quiet, start, *switched = times
    before = waits(looks, quiet.begun, quiet.done)
    filling = waits(looks, start.begun, start.done)
    found = [
        Figure("a look before: median", _ms(before.median)),
        Figure("  longest", _ms(before.longest)),
        Figure("  longest, had processors been free", _ms(before.held_up)),
        Figure("start: filled and caught up", rate(leads, start.done - start.begun)),
        Figure("  a look meanwhile: median", _ms(filling.median)),
        Figure("  longest", _ms(filling.longest)),
        Figure("  longest, had processors been free", _ms(filling.held_up)),
    ]
    for name in ("promote", "revert"):
        rounds = [one for one in switched if one.name == name]
        seen = [waits(looks, one.begun, one.done + AFTER_S) for one in rounds]
        blocked = [one.held_up - before.median for one in seen]
        found += [
            Figure(name, f"{median(one.done - one.begun for one in rounds):.2f} s"),
            Figure("  a look meanwhile: median", _ms(median(one.median for one in seen))),
            Figure("  longest, median of rounds", _ms(median(one.longest for one in seen))),
            Figure("  blocked, median of rounds", _ms(median(blocked))),
            Figure("  blocked at most", _ms(max(blocked)), LIMIT_S / max(blocked), "of 50 ms", 1),
        ]
    return found


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def main() -> bool:
    """Measure, and print the table; returns whether the floors hold."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--leads", type=int, default=500_000)
    parser.add_argument("--rate", type=int, default=500, help="touchpoints that come in a second")
    parser.add_argument("--quiet", type=float, default=15, help="seconds before it is started")
    parser.add_argument("--folder", help="where the leads are made, or were: used again")
    given = parser.parse_args()
    warm()
    with tempfile.TemporaryDirectory() as folder:
        url = Path(given.folder or folder, "facts.db")
        if not url.exists():
            base(url, given.leads)
        receiving, sending = get_context("spawn").Pipe(duplex=False)
        looks: list[Look] = []
        hears = threading.Thread(target=lambda: looks.extend(receiving.recv()))
        hears.start()
        with beside(
            (look_on, (url, given.leads, sending)),
            (come_in, (url, given.leads, given.rate)),
            (derive, (url,)),
        ):
            time.sleep(10)  # to be under way
            times = list(switches(url, given.quiet))
        hears.join()
    assert all(look.stands >= 0 for look in looks), "a reader found nothing to go through"
    books = np.array([look.book for look in looks])
    assert (books[1:] != books[:-1]).sum() == 2 * ROUNDS, "readers go over at once, and back"
    title = f"Rules of {given.leads:,} leads put in force, {given.rate:,} touchpoints a second"
    return show(f"{title}, {len(looks):,} looks", figures(looks, times, given.leads), WIDE)


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
