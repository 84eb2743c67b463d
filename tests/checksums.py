"""Readers that do nothing but look: which book's rows, where they stand, and a sum of all tables.

    python -m tests.checksums URL NOW FILE

looks on until it is told to stop by a line, then writes what it saw to a file.
"""

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from engine.projections import generations
from engine.projections.database import Models
from engine.projections.projection import PROJECTIONS, Tables
from engine.projections.runner import book_known
from engine.store.facts import Facts, models_of


class Sight(NamedTuple):
    """One snapshot of the read models."""

    book: str  # id of what was in force
    settled_to: int  # microseconds, UTC
    checkpoint: int
    digest: str


@dataclass
class Seen:
    """What a reader saw."""

    sights: set[Sight] = field(default_factory=set)
    looks: int = 0
    missed: int = 0  # there was nothing to go through


def read_seen(file: Path) -> Seen:
    """What a process saw."""
    sights, looks, missed = json.loads(file.read_text())
    return Seen({Sight(*sight) for sight in sights}, looks, missed)


def sum_of(tables: Tables) -> str:
    """One sum over all rows of all tables."""
    rows = [(name, sorted(tables[name].rows())) for name in sorted(tables)]
    return sha256(repr(rows).encode()).hexdigest()


def watch(url: str, now: int, stopping: Callable[[], bool]) -> Seen:
    """Look on as a process of its own would, until it is to stop."""
    seen, models = Seen(), Models.open(models_of(url))
    with Facts.open(url) as facts:
        while not stopping():
            book = book_known(facts)
            with models.reading() as connection:
                found = generations.in_force(connection, book, now)
                tables = found and generations.read(connection, found, PROJECTIONS)
            seen.looks += 1
            if found is None:
                seen.missed += 1
            else:
                sight = Sight(book.id, found.settled_to, found.checkpoint, sum_of(tables))
                seen.sights.add(sight)
    models.close()
    return seen


def main() -> None:
    """Look on until a line comes."""
    url, now, file = sys.argv[1:]
    told = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), told.set()), daemon=True).start()
    print("looking", flush=True)
    seen = watch(url, int(now), told.is_set)
    Path(file).write_text(json.dumps([[*seen.sights], seen.looks, seen.missed]))


if __name__ == "__main__":
    main()
