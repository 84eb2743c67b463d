"""Recorders for the eventsourcing library over PostgreSQL: they share our lock and our COPY.

They read as the stock recorders do. They write through `PostgresDatabase`, so an attempt
whose end nobody heard is looked up and not made again.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import Any
from urllib.parse import quote

import psycopg
from eventsourcing import persistence
from eventsourcing.postgres import (
    PostgresApplicationRecorder,
    PostgresDatastore,
    PostgresProcessRecorder,
)
from eventsourcing.utils import retry
from psycopg.rows import dict_row

from engine.errors import BadSetting, StoreError, StoreInDoubt
from engine.store.postgres import FACTS, PostgresDatabase
from engine.store.postgres_connection import PostgresConnection, connect
from engine.store.recorder import insert_rows, last_position, row_of

_RETRIED = (persistence.InterfaceError, persistence.OperationalError)


class BulkApplicationRecorder(PostgresApplicationRecorder):
    """The stock recorder, with one COPY under the lock instead of an insert of an array."""

    def __init__(self, datastore: PostgresDatastore, **options: Any) -> None:
        """Write where the datastore reads.

        Raises:
            BadSetting: Events are to be inserted by a function of the database.
        """
        if datastore.enable_db_functions:
            leave = "leave it out: the function takes no lock, and readers miss events"
            raise BadSetting("POSTGRES_ENABLE_DB_FUNCTIONS", "is on", leave)
        super().__init__(datastore, **options)
        self.sql_create_statements = [
            statement
            for statement in self.sql_create_statements
            if "CREATE TABLE" in statement.as_string() or "INDEX" in statement.as_string()
        ]
        self._database = _Database(datastore)

    def close(self) -> None:
        """Close our connections; the pool is the datastore's."""
        self._database.close()

    @retry(_RETRIED, max_attempts=10, wait=0.2)
    def insert_events(
        self, stored_events: Sequence[persistence.StoredEvent], **kwargs: Any
    ) -> Sequence[int]:
        """Add events, and what a subclass adds with them; returns their positions."""
        with _in_library_terms(), self._database.transaction() as connection:
            with connection.raw.cursor(row_factory=dict_row) as cursor:
                self._insert_events(cursor, stored_events, **kwargs)
            first = last_position(connection) + 1
            insert_rows(connection, list(map(row_of, count(first), stored_events)))
        return list(range(first, first + len(stored_events)))


class BulkProcessRecorder(PostgresProcessRecorder, BulkApplicationRecorder):
    """The same with tracking in the transaction."""


class _Database(PostgresDatabase):
    """Where a datastore reads; its password may change, and is asked for at each connection."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self._pool = datastore.pool
        super().__init__(self._url(), replace(FACTS, schema=datastore.schema), create=True)

    def connect(self) -> PostgresConnection:
        return connect(self._url(), self.home.schema)

    def _url(self) -> str:
        given = self._pool.kwargs
        assert isinstance(given, dict)  # the library gives no function
        if self._pool.get_password_func:
            given = {**given, "password": self._pool.get_password_func()}
        names = ("user", "password", "host", "port", "dbname")
        user, password, host, port, name = (quote(str(given[one]), safe="") for one in names)
        return f"postgresql://{user}:{password}@{host}:{port}/{name}"


@contextmanager
def _in_library_terms() -> Iterator[None]:
    try:
        yield
    except StoreInDoubt as error:  # not to be tried again
        raise persistence.InternalError(error) from error
    except StoreError as error:
        raise persistence.OperationalError(error) from error
    except psycopg.IntegrityError as error:
        raise persistence.IntegrityError(error) from error
    except psycopg.ProgrammingError as error:
        raise persistence.ProgrammingError(error) from error
    except psycopg.Error as error:
        raise persistence.PersistenceError(error) from error
