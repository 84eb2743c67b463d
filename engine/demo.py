"""The demo: the seeded sample, recorded as any batch of touchpoints is."""

from itertools import islice
from pathlib import Path

import msgspec

from engine import merging, retracting
from engine.edge import Edge, Row
from engine.errors import NotADemo
from engine.lifecycle import Recorded, record
from engine.privacy import WorkspaceKey
from engine.progress import Progress
from engine.sample import touchpoints
from engine.store.facts import Facts, models_beside

ORIGIN = "sample"
BATCH = 1_000
FILE = "leadledger.db"


def clean(folder: Path) -> Path:
    """An empty place for the demo's database; only what a demo made is removed.

    Raises:
        NotADemo: A database is there that holds something else.
        StoreError: Something is there that cannot be looked into.
    """
    folder.mkdir(parents=True, exist_ok=True)
    database = folder / FILE
    if database.exists() and database.stat().st_size:
        with Facts.open(database, create=False) as facts:
            if facts.intake().keys() - {ORIGIN, merging.BY_HAND, retracting.BY_HAND}:
                raise NotADemo(database)
    for made in (database, models_beside(database)):
        for path in folder.glob(f"{made.name}*"):
            path.unlink()
    return database


def record_sample(
    facts: Facts,
    edge: Edge,
    workspace_key: WorkspaceKey,
    sample: tuple[int, int],
    progress: Progress,
) -> Recorded:
    """Record a sample (seed, leads) that ends now; what became of it."""
    now = facts.clock()
    rows = [
        Row(origin=ORIGIN, line=line, data=msgspec.json.encode(touchpoint), value=touchpoint)
        for line, touchpoint in enumerate(touchpoints(sample[0], now=now, leads=sample[1]), start=1)
    ]
    done = Recorded()
    waiting = iter(rows)
    while batch := list(islice(waiting, BATCH)):
        done += record(facts, edge.accept(batch, facts.clock()), workspace_key=workspace_key)
        progress(done.received, len(rows))
    return done
