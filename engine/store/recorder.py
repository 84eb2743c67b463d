"""Recorders for the eventsourcing library that share our file, our lock and our bulk insert."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

from eventsourcing import persistence
from eventsourcing.sqlite import (
    SQLiteAggregateRecorder,
    SQLiteApplicationRecorder,
    SQLiteCursor,
    SQLiteDatastore,
    SQLiteProcessRecorder,
)

from engine.errors import StoreError
from engine.store.connection import Connection
from engine.store.schema import FACTS
from engine.store.sqlite import Database

Row = tuple[int, str, int, str, bytes | bytearray]  # position, originator, version, topic, state

_COLUMNS = ("rowid", "originator_id", "originator_version", "topic", "state")


def last_position(connection: Connection) -> int:
    """The position of the newest event; 0 where there is none."""
    position: int = connection.execute(
        "SELECT coalesce(max(stored_events.rowid), 0) FROM stored_events"
    ).fetchone()[0]
    return position


def insert_rows(connection: Connection, rows: Sequence[Row]) -> None:
    """Add events at positions that the caller took from `last_position` under the lock."""
    connection.add_rows("stored_events", _COLUMNS, rows)


class Datastore(SQLiteDatastore):
    """The library's handle on a facts file, which goes through our connections and lock."""

    def __init__(self, path: str, **options: Any) -> None:
        super().__init__(path, **options)
        self._database = Database(Path(path), FACTS, create=True)

    @contextmanager
    def transaction(self, *, commit: bool) -> Iterator[SQLiteCursor]:
        """A cursor in a transaction; errors come as the library's."""
        begin = self._database.transaction if commit else self._database.snapshot
        with _in_library_terms(), begin() as connection:
            cursor = connection.cursor()
            cursor.row_factory = sqlite3.Row
            yield SQLiteCursor(cursor)

    def close(self) -> None:
        """Close our connections, and the library's pool, which stayed empty."""
        if database := getattr(self, "_database", None):
            database.close()
        super().close()


class BulkApplicationRecorder(SQLiteApplicationRecorder):
    """The stock recorder, with one `executemany` instead of a loop of inserts."""

    def _insert_events(
        self, c: SQLiteCursor, stored_events: Sequence[persistence.StoredEvent], **_: Any
    ) -> Sequence[int]:
        connection: Any = c.sqlite_cursor.connection
        first = last_position(connection) + 1
        insert_rows(connection, list(map(row_of, count(first), stored_events)))
        return list(range(first, first + len(stored_events)))


class BulkProcessRecorder(SQLiteProcessRecorder, BulkApplicationRecorder):  # type: ignore[misc]
    """The same with tracking in the transaction."""


class AggregateRecorder(SQLiteAggregateRecorder):
    """The stock recorder of single streams; it inserts in bulk already."""


def row_of(position: int, event: persistence.StoredEvent) -> Row:
    """An event of the library as a row, at a position."""
    originator = event.originator_id
    text = originator.hex if isinstance(originator, UUID) else originator
    return position, text, event.originator_version, event.topic, event.state


@contextmanager
def _in_library_terms() -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise persistence.OperationalError(error) from error
    except sqlite3.IntegrityError as error:
        raise persistence.IntegrityError(error) from error
    except sqlite3.OperationalError as error:
        raise persistence.OperationalError(error) from error
    except sqlite3.ProgrammingError as error:
        raise persistence.ProgrammingError(error) from error
    except sqlite3.Error as error:
        raise persistence.PersistenceError(error) from error
