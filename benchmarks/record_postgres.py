"""Recording into PostgreSQL: ours, and the same rows by a raw COPY.

    $ python -m benchmarks.record_postgres --touchpoints 200000

The touchpoints are those of `benchmarks.record`. The raw COPY sends bytes that were made
before, a transaction a batch, into the same tables and indexes. The server is one of our
own that flushes every commit; what it takes on the processor counts as well as what its
client does, so rates are those of one core for both, whatever else the machine does.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg

from benchmarks.common import Figure, Stopwatch, rate, show
from benchmarks.record import BATCH, FIRST_STREAMS, record
from engine.store.facts import Facts
from tests.services.postgres import OwnPostgres

_SCHEMA = "SET search_path TO facts"
_BY_POSITION = {
    "stored_events": "* FROM stored_events WHERE notification_id",
    "recent_ids": "* FROM recent_ids WHERE position",
    "touchpoints": "* FROM touchpoints WHERE position",
    "evidence": "* FROM evidence WHERE position",
    "pairs": "* FROM pairs WHERE position",
    "streams": "number, originator, kind, digest FROM first_streams WHERE position",
    "recordings": "* FROM recordings WHERE first",
}


class OneCore(Stopwatch):
    """A stopwatch that adds what a server takes on the processor meanwhile."""

    def __init__(self, server: OwnPostgres) -> None:
        super().__init__()
        self._server = server

    @contextmanager
    def running(self) -> Iterator[None]:
        """Measure a block."""
        before = _processor_s(self._server)
        with super().running():
            yield
        self.cpu += _processor_s(self._server) - before


def copy_raw(server: OwnPostgres, source: str, target: str) -> OneCore:
    """The very rows that recording left; ids go where they are first put."""
    Facts.open(target).close()
    watch = OneCore(server)
    with psycopg.connect(source) as given, psycopg.connect(target) as taking:
        for connection in (given, taking):
            connection.execute(_SCHEMA)
        _prepare(given)
        taking.execute("COMMIT")
        for first, last in given.execute("SELECT first, last FROM recordings").fetchall():
            data = {
                table: _copied(given, f"SELECT {what} BETWEEN {first} AND {last}")
                for table, what in _BY_POSITION.items()
            }
            with watch.running():
                for table, rows in data.items():
                    with taking.cursor().copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as copy:
                        copy.write(rows)
                taking.commit()
    return watch


def _prepare(given: psycopg.Connection) -> None:
    """Put ids back where they were first, and make what is not found by position so."""
    given.execute(
        "INSERT INTO recent_ids SELECT position, source, event_id, content FROM ids "
        "WHERE true ON CONFLICT DO NOTHING"
    )
    given.execute("CREATE INDEX ON touchpoints (position)")
    given.execute(FIRST_STREAMS)
    given.execute("CREATE INDEX ON first_streams (position)")
    given.execute("ANALYZE")


def _copied(given: psycopg.Connection, select: str) -> bytes:
    with given.cursor().copy(f"COPY ({select}) TO STDOUT (FORMAT BINARY)") as copy:
        return b"".join(copy)


def _processor_s(server: OwnPostgres) -> float:
    """Seconds on the processor of a server and of all that it has started."""
    process = psutil.Process(server.pid)
    spent = [one.cpu_times() for one in (process, *process.children())]
    return float(sum(one.user + one.system for one in spent))


def main() -> bool:
    """Run all of it; returns whether the floors hold."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--touchpoints", type=int, default=500_000)
    count = parser.parse_args().touchpoints
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        server = OwnPostgres(Path(folder, "server"), fsync=True)
        server.start()
        try:
            ours_at, raw_at = server.new_database(), server.new_database()
            ours = OneCore(server)
            record(ours_at, count, ours)
            raw = copy_raw(server, ours_at, raw_at)
        finally:
            server.kill()
    return show(
        f"Recording {count:,} touchpoints into PostgreSQL in batches of {BATCH:,}, ids checked",
        [
            Figure(
                "lifecycle.record, client and server on one core",
                rate(count, ours.cpu),
                count / ours.cpu / 30e3,
                "30 k/s",
                1,
            ),
            Figure("  by the clock", rate(count, ours.wall), raw.wall / ours.wall, "raw"),
            Figure("  beside raw COPY", "", raw.cpu / ours.cpu, "raw", 1 / 3),
            Figure("raw COPY of the same rows, on one core", rate(count, raw.cpu)),
            Figure("  by the clock", rate(count, raw.wall)),
        ],
    )


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
