"""The columnar journal: made from SQLite, scanned, extended, checked.

    $ python -m benchmarks.journal --touchpoints 2000000

A scan reads, bucket by bucket, the columns that folding the default rules needs, as arrays.
The journal lies in the page cache, as it does when it has just been extended.

Processes that share the making import this module, as they do that of the command line:
what takes long to load, and they need not, is imported where it is used.
"""

import argparse
import os
import resource
import sqlite3
import tempfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

from benchmarks.common import Figure, Stopwatch, rate, show
from engine.journal.journal import Journal, columns_folded, journal_beside
from engine.privacy import WorkspaceKey
from engine.rulefile import load, shipped
from engine.store.facts import Facts

NEW = 10_000  # touchpoints, each of another lead that is new
RUNS = 5
THREADS = "POLARS_MAX_THREADS"


def used() -> tuple[float, int]:
    """Seconds of the processor that we and our children took, and MB that one held at most."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(one.ru_utime + one.ru_stime for one in both)
    return seconds, max(one.ru_maxrss for one in both) // 1024


def made(path: Path) -> tuple[float, float, int]:
    """Seconds in which the journal is made, on the wall and the processor; MB in a process."""
    watch = Stopwatch()
    with Facts.open(path) as facts:
        before, _ = used()
        with watch.running():
            Journal.open(journal_beside(path)).extend(facts)
    after, memory = used()
    return watch.wall, after - before, memory


def read_raw(path: Path) -> float:
    """Seconds for SQLite to hand over the same rows, and nothing else."""
    from benchmarks.record import BATCH

    watch = Stopwatch()
    with closing(sqlite3.connect(path)) as connection, watch.running():
        rows = connection.execute("SELECT stream, position, packed FROM touchpoints")
        while rows.fetchmany(BATCH):
            pass
    return watch.wall


def scanned(folder: Path) -> tuple[float, float]:
    """Seconds of the best of some scans: of what folding needs, and of everything."""
    columns = columns_folded([load(shipped()["default"])])
    best = []
    for wanted in (columns, None):
        took = []
        for _ in range(RUNS):
            watch = Stopwatch()
            with watch.running():
                journal = Journal.open(folder)
                for bucket in journal.buckets:
                    journal.read(bucket, wanted)
            took.append(watch.wall)
        best.append(min(took))
    return best[0], best[1]


def extended(path: Path) -> tuple[Stopwatch, Stopwatch]:
    """Extend the journal by touchpoints of leads that are new; and where nothing is."""
    from benchmarks.identity import arrivals, told, who
    from engine import lifecycle

    new, nothing = Stopwatch(), Stopwatch()
    journal = Journal.open(journal_beside(path))
    with Facts.open(path) as facts:
        some = (told(number, who("email", f"new {number}"), source="new") for number in range(NEW))
        for batch in arrivals(some):
            lifecycle.record(facts, batch, workspace_key=WorkspaceKey(bytes(32)))
        for watch in (new, nothing):
            with watch.running():
                journal.extend(facts)
    return new, nothing


def verified(path: Path) -> Stopwatch:
    """Compare the journal with the store."""
    watch = Stopwatch()
    with Facts.open(path) as facts, watch.running():
        assert Journal.open(journal_beside(path)).verify(facts) == []
    return watch


def main() -> bool:
    """Measure, and print the table; returns whether the floors hold."""
    from benchmarks.record import record

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--touchpoints", type=int, default=2_000_000)
    count = parser.parse_args().touchpoints
    spawned = get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "facts.db"
        with ProcessPoolExecutor(1, spawned) as other:
            other.submit(record, path, count, Stopwatch()).result()
        raw = read_raw(path)
        with ProcessPoolExecutor(1, spawned) as other:
            wall, processor, memory = other.submit(made, path).result()
        size = sum(one.stat().st_size for one in journal_beside(path).iterdir())
        needed, everything = scanned(journal_beside(path))
        new, nothing = extended(path)
        checking = verified(path)
        os.environ[THREADS] = "1"
        with ProcessPoolExecutor(1, spawned) as other:
            alone, _ = other.submit(scanned, journal_beside(path)).result()
    figures = [
        Figure("SQLite hands over the rows, nothing else", rate(count, raw)),
        Figure("made from SQLite", rate(count, wall), count / wall / 3e5, "of 300 k/s", 1),
        Figure("  on the processor", rate(count, processor), raw / processor, "of these rows"),
        Figure("  memory of a process, at most", f"{memory:,} MB"),
        Figure("  bytes a touchpoint", f"{size / count:.0f}"),
        Figure(
            "scan of what folding needs", rate(count, needed), count / needed / 1e7, "of 10 M/s", 1
        ),
        Figure("  in one thread of Polars", rate(count, alone)),
        Figure("scan of everything", rate(count, everything)),
        Figure(f"extended by {NEW:,}", f"{new.wall:.2f} s"),
        Figure("extended by nothing: hashes checked", f"{nothing.wall:.2f} s"),
        Figure("verified against the store", rate(count, checking.wall)),
    ]
    return show(f"the journal of {count:,} touchpoints", figures)


if __name__ == "__main__":
    raise SystemExit(not main())
