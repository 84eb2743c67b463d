"""Looking back in one process: a lead's state at any instant as known at any, and why.

    $ python -m benchmarks.audit --touchpoints 10000000

The store is filled as `benchmarks.record` fills one, and then by a few leads with a thousand
touchpoints each. All is asked by the lead's id, as commands ask it, once machine code and
rules are loaded. With --store DIRECTORY the store is kept there, and used the next time.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from statistics import quantiles

import numpy as np

from benchmarks.common import Figure, Stopwatch, show
from benchmarks.identity import arrivals, who
from benchmarks.record import START, TYPES, record
from engine import audit, lifecycle
from engine.explain import why
from engine.identity import STRONG, classes_of
from engine.lead_names import find
from engine.privacy import IdentifierKey, WorkspaceKey
from engine.reading import View
from engine.store.facts import Facts
from engine.store.in_force import book_at
from engine.touchpoint import Touchpoint

KEY, WORKSPACE_KEY = IdentifierKey(bytes(32)), WorkspaceKey(bytes(32))
BUSY, EACH = 5, 1_000
SHOW_S, WHY_S = 0.020, 0.100
ASKED, ASKED_BUSY = 400, 50
SECOND = 1_000_000
MONTH = 30 * 86_400 * SECOND


def busy(seed: int = 5) -> Iterator[Touchpoint]:
    """A few leads that are heard of a thousand times in a month."""
    chance = Random(seed)
    for number in range(BUSY * EACH):
        at = START + number // BUSY * (MONTH // EACH)
        yield Touchpoint(
            source="busy",
            event_id=f"{number:09d}",
            type=chance.choice(TYPES),
            occurred_at=at,
            received_at=at,
            content=f"{number:032x}",
            identifiers=(who("crm_id", number % BUSY),),
            attributes={"path": "/pricing", "seconds": number % 90},
        )


def fill(path: Path, touchpoints: int) -> None:
    """Record them all."""
    record(path, touchpoints, Stopwatch())
    with Facts.open(path) as facts:
        for batch in arrivals(busy()):
            lifecycle.record(facts, batch, workspace_key=WORKSPACE_KEY)


class Asker:
    """Asks about leads at instants, as known at positions, that chance picks."""

    def __init__(self, facts: Facts) -> None:
        self._facts, self._chance, self._head = facts, Random(7), facts.head()
        numbers = facts.lead_numbers()
        strong = numbers[classes_of(numbers) == STRONG]
        some = self._chance.choices(strong.tolist(), k=ASKED)
        self._some = facts.lead_ids(np.array(some, np.int64))
        self._busy = [who("crm_id", number).digest[:32] for number in range(BUSY)]

    def show(self) -> None:
        """Some lead's state at some instant, as known at some position."""
        known_at = self._chance.randint(self._head // 10, self._head)
        as_of = START + self._chance.randrange(known_at * SECOND)
        self._ask(audit.state, self._chance.choice(self._some), as_of, known_at)

    def why(self) -> None:
        """Why one with a thousand touchpoints is as it is."""
        self._ask(why, self._chance.choice(self._busy), START + 2 * MONTH, self._head)

    def history(self) -> None:
        """The history of one with a thousand touchpoints."""
        self._ask(audit.history, self._chance.choice(self._busy), START + 2 * MONTH, self._head)

    def _ask(
        self, question: Callable[[Facts, int, View], object], lead: str, as_of: int, known_at: int
    ) -> None:
        number = find(self._facts, lead, KEY, "VN", known_at)
        with self._facts.snapshot() as connection:
            book = book_at(connection, known_at)
        question(self._facts, number, View(book, as_of, known_at))


def p50_p95(ask: Callable[[], None], times: int) -> tuple[float, float]:
    """Seconds that half, and 95 in 100, of so many questions take at most, once all is loaded."""
    ask()
    took = []
    for _ in range(times):
        began = time.perf_counter()
        ask()
        took.append(time.perf_counter() - began)
    return quantiles(took, n=20)[9], quantiles(took, n=20)[18]


def main() -> bool:
    """Measure, and print the table; returns whether the floors hold."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--touchpoints", type=int, default=1_000_000)
    parser.add_argument("--store", type=Path, help="a folder to keep the store in")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = (given.store or Path(folder)) / f"audit-{given.touchpoints}.db"
        if not path.exists():
            fill(path, given.touchpoints)
        with Facts.open(path) as facts:
            asker, head = Asker(facts), facts.head()
            shown, shown_95 = p50_p95(asker.show, ASKED)
            told, told_95 = p50_p95(asker.why, ASKED_BUSY)
            read, read_95 = p50_p95(asker.history, ASKED_BUSY)
    figures = [
        Figure("lead show as-of and known-at: p50", milliseconds(shown)),
        Figure("  p95", milliseconds(shown_95), SHOW_S / shown_95, "of 20 ms", 1),
        Figure(f"lead why of {EACH:,} touchpoints: p50", milliseconds(told)),
        Figure("  p95", milliseconds(told_95), WHY_S / told_95, "of 100 ms", 1),
        Figure(f"lead history of {EACH:,} touchpoints: p50", milliseconds(read)),
        Figure("  p95", milliseconds(read_95)),
    ]
    return show(f"Looking back among {head:,} touchpoints", figures)


def milliseconds(seconds: float) -> str:
    """A figure's text."""
    return f"{seconds * 1000:.1f} ms"


if __name__ == "__main__":
    raise SystemExit(not main())
