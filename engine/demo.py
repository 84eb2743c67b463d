"""The demo: the seeded sample, recorded as any batch of touchpoints is."""

from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import msgspec

from engine.edge import Edge, Row
from engine.lifecycle import Recorded, record
from engine.privacy import WorkspaceKey
from engine.sample import touchpoints
from engine.store.facts import Facts

ORIGIN = "sample"
BATCH = 1_000
FILE = "leadledger.db"


def clean(folder: Path) -> Path:
    """An empty place for the demo's database; only what a demo made is removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob(f"{Path(FILE).stem}*"):
        path.unlink()
    return folder / FILE


def record_sample(
    facts: Facts,
    edge: Edge,
    workspace_key: WorkspaceKey,
    sample: tuple[int, int],
    progress: Callable[[int, int], None],
) -> Recorded:
    """Record a sample (seed, leads) that ends now; what became of it."""
    now = facts.clock()
    rows = [
        Row(origin=ORIGIN, line=line, data=msgspec.json.encode(touchpoint), value=touchpoint)
        for line, touchpoint in enumerate(touchpoints(sample[0], now=now, leads=sample[1]), start=1)
    ]
    received, recorded, duplicates, aside = 0, 0, 0, Counter[str]()
    waiting = iter(rows)
    while batch := list(islice(waiting, BATCH)):
        done = record(facts, edge.accept(batch, facts.clock()), workspace_key=workspace_key)
        received, recorded = received + done.received, recorded + done.recorded
        duplicates, aside = duplicates + done.duplicates, aside + done.set_aside
        progress(received, len(rows))
    return Recorded(received, recorded, duplicates, aside)
