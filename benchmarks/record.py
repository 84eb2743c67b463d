"""Recording touchpoints: ours, the same rows by a raw executemany, and the stock library.

    $ python -m benchmarks.record --touchpoints 200000

Leads come in sessions of a few touchpoints, in random order; two sessions in
three are of a source with random ids, one of a source that counts. Making the
touchpoints is not timed.
"""

import argparse
import random
import sqlite3
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from benchmarks.common import Figure, Stopwatch, rate, show
from engine import lifecycle
from engine.codec import encode
from engine.privacy import WorkspaceKey
from engine.store.facts import Facts
from engine.store.schema import FACTS
from engine.store.sqlite import Database
from engine.touchpoint import Arrival, Campaign, Encoded, Identifier, Touchpoint

BATCH = 1000
PER_LEAD = 20
PER_SESSION = 4
START = 1_760_000_000_000_000
TYPES = ("page_viewed", "page_viewed", "email_opened", "content_downloaded", "form_submitted")
CHANNELS = ("organic_search", "paid_search", "email", "direct", "referral")

_BY_POSITION = {
    "stored_events": "rowid, * FROM stored_events WHERE rowid",
    "recent_ids": "* FROM recent_ids WHERE position",
    "touchpoints": "* FROM touchpoints WHERE position",
    "evidence": "* FROM evidence WHERE position",
    "pairs": "* FROM pairs WHERE position",
    "streams": "number, originator, kind, digest FROM first_streams WHERE position",
}

FIRST_STREAMS = """
CREATE TEMP TABLE first_streams AS
SELECT number, originator, kind, digest, (SELECT min(position) FROM (
    SELECT min(position) AS position FROM touchpoints WHERE stream = number
    UNION ALL SELECT min(position) FROM evidence WHERE identifier = number
) AS named) AS position FROM streams
"""


def touchpoints(count: int, seed: int = 3) -> Iterator[Touchpoint]:
    """Canonical touchpoints of count / 20 leads, in sessions, by time."""
    chance = random.Random(seed)
    leads = [_lead(number) for number in range(max(1, count // PER_LEAD))]
    who, source = leads[0], "web"
    for number in range(count):
        if number % PER_SESSION == 0:
            who, source = chance.choice(leads), chance.choice(("web", "web", "crm"))
        yield Touchpoint(
            source=source,
            event_id=f"{chance.getrandbits(64):016x}" if source == "web" else f"{number:09d}",
            type=chance.choice(TYPES),
            occurred_at=START + number * 1_000_000,
            received_at=START + number * 1_000_000 + 250_000,
            content=f"{chance.getrandbits(128):032x}",
            identifiers=who if number % 10 == 0 else who[:1],
            channel=chance.choice(CHANNELS),
            campaign=Campaign(source="google", medium="cpc", name=f"c-{number % 50}"),
            attributes={"path": f"/page/{number % 300}", "seconds": number % 90},
        )


def batches(count: int) -> Iterator[list[Arrival]]:
    """The same as an edge hands them over."""
    batch: list[Arrival] = []
    for line, touchpoint in enumerate(touchpoints(count), 1):
        encoded = Encoded(touchpoint, encode(touchpoint))
        batch.append(Arrival(origin="benchmark", line=line, data=b"", encoded=encoded))
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def record(where: str | Path, count: int, watch: Stopwatch) -> None:
    """Ours, into the database at a file or URL."""
    workspace_key = WorkspaceKey(bytes(32))
    with Facts.open(where) as facts:
        for batch in batches(count):
            with watch.running():
                lifecycle.record(facts, batch, workspace_key=workspace_key)


def insert_raw(source: Path, path: Path) -> Stopwatch:
    """The very rows that recording left, into the same tables, by executemany and nothing else.

    Ids go where they are first put, and are never sorted in.
    """
    watch = Stopwatch()
    connection = sqlite3.connect(source)
    connection.execute("CREATE INDEX touchpoints_position ON touchpoints (position)")
    connection.execute(
        "INSERT INTO recent_ids SELECT position, source, event_id, content FROM ids "
        "WHERE true ON CONFLICT DO NOTHING"
    )
    connection.execute(FIRST_STREAMS)
    for table in ("first_streams", "evidence", "pairs"):
        temp = "temp." if table == "first_streams" else ""
        connection.execute(f"CREATE INDEX {temp}{table}_at ON {table} (position)")
    recordings = connection.execute("SELECT * FROM recordings").fetchall()
    strings = connection.execute("SELECT * FROM strings").fetchall()
    target = Database(path, FACTS, create=True)
    for first, last, at in recordings:
        rows = {
            table: connection.execute(f"SELECT {what} BETWEEN ? AND ?", (first, last)).fetchall()
            for table, what in _BY_POSITION.items()
        }
        rows |= {"recordings": [(first, last, at)], "strings": strings}
        strings = []
        with watch.running(), target.transaction() as writing:
            for table, values in rows.items():
                if values:
                    _insert(writing, table, values)
    target.close()
    connection.close()
    return watch


class StockLead(Aggregate):
    """A lead as the library's documentation would have it."""

    @staticmethod
    def create_id(digest: str) -> UUID:
        """The stream of an identifier."""
        return UUID(digest[:32])

    def __init__(self, digest: str) -> None:
        self.digest = digest
        self.touchpoints = 0

    @event("Recorded")
    def record(self, touchpoint: str) -> None:
        """One more touchpoint, as text."""
        self.touchpoints += 1


def save_stock(path: Path, count: int, cache: bool) -> Stopwatch:
    """The stock library: one save of all leads touched per batch."""
    watch = Stopwatch()
    environment = {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(path)}
    if cache:
        environment |= {"AGGREGATE_CACHE_MAXSIZE": "100000", "AGGREGATE_CACHE_FASTFORWARD": "n"}
    application: Application[UUID] = Application(env=environment)
    known: set[str] = set()
    for batch in batches(count):
        with watch.running():
            leads: dict[str, StockLead] = {}
            for arrival in batch:
                assert arrival.encoded is not None
                digest = arrival.encoded.touchpoint.stream.digest
                if digest not in leads:
                    new = digest not in known
                    identity = StockLead.create_id(digest)
                    leads[digest] = (
                        StockLead(digest) if new else application.repository.get(identity)
                    )
                leads[digest].record(arrival.encoded.data.hex())
            application.save(*leads.values())
            known.update(leads)
    application.factory.close()
    return watch


def main() -> bool:
    """Run all of it; returns whether the floors hold."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--touchpoints", type=int, default=1_000_000)
    count = parser.parse_args().touchpoints
    few = max(BATCH, count // 20)
    with tempfile.TemporaryDirectory() as folder:
        ours = Stopwatch()
        record(Path(folder, "ours.db"), count, ours)
        raw = insert_raw(Path(folder, "ours.db"), Path(folder, "raw.db"))
        cached = save_stock(Path(folder, "cached.db"), few, cache=True)
        uncached = save_stock(Path(folder, "uncached.db"), few, cache=False)
    share = raw.cpu / ours.cpu
    return show(
        f"Recording {count:,} touchpoints in batches of {BATCH:,}, ids checked",
        [
            Figure(
                "lifecycle.record", rate(count, ours.wall), count / ours.wall / 30e3, "30 k/s", 1
            ),
            Figure("  on the processor", rate(count, ours.cpu), share, "raw", 1 / 3),
            Figure("raw executemany of the same rows", rate(count, raw.wall)),
            Figure("  on the processor", rate(count, raw.cpu)),
            Figure(f"stock library, cached ({few:,})", rate(few, cached.wall)),
            Figure(f"stock library, not cached ({few:,})", rate(few, uncached.wall)),
        ],
    )


def _lead(number: int) -> tuple[Identifier, ...]:
    email, cookie = (sha256(f"{kind}{number}".encode()).hexdigest() for kind in "ea")
    return Identifier("email", email), Identifier("anonymous_id", cookie)


def _insert(connection: sqlite3.Connection, table: str, rows: list[tuple[object, ...]]) -> None:
    columns = " (rowid, originator_id, originator_version, topic, state)"
    named = columns if table == "stored_events" else ""
    marks = ", ".join("?" * len(rows[0]))
    connection.executemany(f"INSERT INTO {table}{named} VALUES ({marks})", rows)


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
