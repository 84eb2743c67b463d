"""A schema of a PostgreSQL database: one writer at a time among all processes, readers at will.

Whoever writes locks one table for the transaction, as the eventsourcing library does: so
positions are handed out in the order of the commits, and nobody who reads along misses one.

Who asks for a commit and hears no answer does not know whether it took place. To do it
again would count twice what is counted, and to give up would hide what was done. So the
next connection waits until the old transaction is over, and then looks.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
from psycopg.sql import SQL, Identifier

from engine.backoff import Backoff
from engine.errors import NotAStore, StoreInDoubt, StoreMissing
from engine.store.postgres_connection import PostgresConnection, connect
from engine.store.postgres_faults import LOCK_TIMEOUT_S, reason, told_clearly
from engine.store.revision import NONE, SELECT, check_revision
from engine.store.schema import statements

EVENTS: Final = "stored_events"
IDLE_TIMEOUT_S = 20  # of a writer that stands still while all others wait for it
STATEMENT_TIMEOUT_S = 60
LOOK_FOR_S = 30.0  # how long a server may take to come back and tell what it did
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 1.0
_LOCK = f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'; LOCK TABLE {{}} IN EXCLUSIVE MODE"
# Who writes looks up few rows by key; statistics from when a table was small say otherwise.
_WRITE = (
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL enable_seqscan = off; "
    f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT_S}s'; "
    f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_TIMEOUT_S}s'"
)
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
# Stock writers count on from the sequence, and stock readers wait to be told.
_COMMIT_EVENTS = (
    f"SELECT setval(pg_get_serial_sequence('{EVENTS}', 'notification_id'), {{}}); "
    f"NOTIFY {EVENTS}; COMMIT"
)
_EVENT_THERE = (
    "SELECT count(*) FROM stored_events WHERE stored_events.rowid = ? AND originator_id = ? "
    "AND originator_version = ? AND topic = ? AND state = ?"
)
_COUNT_TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = ?"


@dataclass(frozen=True)
class Home:
    """Tables that lie in one schema."""

    schema: str
    locked: str  # the table that whoever writes locks
    statements: Callable[[], Sequence[str]]  # that make a new one
    versioned: bool = False  # whether it must be of this program's revision


FACTS = Home("facts", EVENTS, partial(statements, "postgresql"), versioned=True)


@dataclass(frozen=True)
class _Unheard:
    """A transaction that was to be committed, and what tells it from others."""

    number: str
    life: str  # of the server that gave the number; to another it may mean another transaction
    newest: Sequence[Any] | None  # the last event in it


class PostgresDatabase:
    """Tables in one schema of a PostgreSQL database; safe to share among threads."""

    def __init__(self, url: str, home: Home = FACTS, *, create: bool = False) -> None:
        """Open them, and make them where `create` allows and there are none.

        Raises:
            StoreMissing: There are none and `create` is false.
            NotAStore, StoreVersion, StoreAway, StoreReadOnly: See there.
        """
        self.url = url
        self.home = home
        self._name = named(url)
        self._mutex = threading.RLock()
        self._writer: PostgresConnection | None = None
        self._idle: list[PostgresConnection] = []  # readers
        self._reading = threading.local()
        if create and not self._tables():
            self._create()
        self._check()

    @property
    def name(self) -> str:
        """Server and database; no password."""
        return self._name

    @contextmanager
    def transaction(self) -> Iterator[PostgresConnection]:
        """The writing connection, in a transaction: committed at the end, undone on any error.

        Raises:
            StoreAway: It cannot be had, was lost before its end, or was in another's way.
        """
        with self._mutex, told_clearly(self._name):
            connection, number = self._begin()
            try:
                yield connection
            except BaseException:
                _undo(connection)
                raise
            self._commit(connection, number)

    @contextmanager
    def snapshot(self) -> Iterator[PostgresConnection]:
        """A connection that only reads, standing still at one commit; may be nested."""
        held: PostgresConnection | None = getattr(self._reading, "connection", None)
        if held is not None:
            yield held
            return
        with told_clearly(self._name):
            connection, _ = self._started(self._idle, _READ)
            self._reading.connection = connection
            try:
                yield connection
            finally:
                self._reading.connection = None
                _undo(connection)
                if not connection.lost:
                    self._idle.append(connection)

    def connect(self) -> PostgresConnection:
        """A new connection that finds the tables."""
        return connect(self.url, self.home.schema)

    def close(self) -> None:
        """Close every connection that nobody uses; those in use are closed by nobody else."""
        with self._mutex:
            if self._writer is not None:
                self._writer.close()
                self._writer = None
        while self._idle:
            self._idle.pop().close()

    def _begin(self) -> tuple[PostgresConnection, str]:
        """The writing connection under the lock, and the number of its transaction."""
        writers = [self._writer] if self._writer else []
        if self._writer and self._writer.busy:
            raise psycopg.errors.ActiveSqlTransaction("a transaction within a transaction")
        self._writer = None
        lock = _LOCK.format(self.home.locked)
        begin = f"{_WRITE}; {lock}; SELECT pg_current_xact_id()::text"
        connection, row = self._started(writers, begin)
        connection.newest = None
        self._writer = connection
        return connection, row[0]

    def _started(
        self, waiting: list[PostgresConnection], begin: str
    ) -> tuple[PostgresConnection, Any]:
        """One of some connections, else a new one, with a transaction begun; and its answer.

        One that was lost while nothing went on is passed over: nothing was lost with it.
        """
        while waiting:
            connection = waiting.pop()
            try:
                return connection, _run_or_close(connection, begin)
            except psycopg.OperationalError:
                if not connection.raw.broken:
                    raise
        connection = self.connect()
        return connection, _run_or_close(connection, begin)

    def _commit(self, connection: PostgresConnection, number: str) -> None:
        newest = connection.newest
        try:
            connection.commit(_COMMIT_EVENTS.format(newest[0]) if newest else "COMMIT")
        except psycopg.OperationalError as error:
            if not connection.lost:
                _undo(connection)
                raise
            unheard = _Unheard(number, connection.life, newest)
            if not self._took_place(unheard, reason(error)):
                raise
        except BaseException:
            _undo(connection)
            raise

    def _took_place(self, unheard: _Unheard, why: str) -> bool:
        """Whether a transaction whose end nobody heard was committed.

        Raises:
            StoreInDoubt: The server does not come back in time, or cannot tell.
        """
        begun = time.monotonic()
        backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        while True:
            try:
                found = self._look(unheard)
                break
            except psycopg.OperationalError as error:
                if time.monotonic() - begun > LOOK_FOR_S:
                    raise StoreInDoubt(self._name, why) from error
            time.sleep(backoff.next_s())
        if found is None:
            raise StoreInDoubt(self._name, why)
        return found

    def _look(self, unheard: _Unheard) -> bool | None:
        """Under the lock, so after the end of whoever held it; None where nothing tells."""
        self._writer = None
        connection, _ = self._begin()
        try:
            if connection.life == unheard.life:
                asked = "SELECT pg_xact_status(?::xid8)"
                status: str | None = connection.execute(asked, (unheard.number,)).fetchone()[0]
                if status is not None:
                    return status == "committed"
            if unheard.newest is None:
                return None
            return bool(connection.execute(_EVENT_THERE, unheard.newest).fetchone()[0])
        finally:
            _undo(connection)

    def _tables(self) -> int:
        """How many tables there are."""
        with self.snapshot() as connection:
            return int(connection.execute(_COUNT_TABLES, (self.home.schema,)).fetchone()[0])

    def _create(self) -> None:
        """Make schema and tables, if nobody does so meanwhile."""
        schema = self.home.schema
        make = SQL("CREATE SCHEMA IF NOT EXISTS {}").format(Identifier(schema))
        with told_clearly(self._name), closing(self.connect()) as connection:
            connection.run(f"BEGIN; SELECT pg_advisory_xact_lock(hashtext('{schema}'))")
            if not connection.execute(_COUNT_TABLES, (schema,)).fetchone()[0]:
                connection.raw.execute(make)
                for statement in self.home.statements():
                    connection.run(statement)
            connection.run("COMMIT")

    def _check(self) -> None:
        """Make sure that the tables are there, ours, and of this revision.

        Raises:
            StoreMissing, NotAStore, StoreVersion: They are not.
        """
        if not self._tables():
            raise StoreMissing(self._name)
        with self.snapshot() as connection:
            there = "SELECT to_regclass(?) IS NOT NULL"
            if not connection.execute(there, (self.home.locked,)).fetchone()[0]:
                raise NotAStore(self._name, f"without a table {self.home.locked}")
            if self.home.versioned:
                known = connection.execute(there, ("alembic_version",)).fetchone()[0]
                row = connection.execute(SELECT).fetchone() if known else None
                check_revision(row[0] if row else NONE, self._name)


def named(url: str) -> str:
    """A URL without what must stay secret: password and options."""
    parts = urlsplit(url)
    user, at, place = parts.netloc.rpartition("@")
    shown = f"{user.partition(':')[0]}{at}{place}"
    return parts._replace(netloc=shown, query="", fragment="").geturl()


def drop_schema(url: str, schema: str) -> None:
    """Drop a schema with all that is in it, where there is one.

    Raises:
        StoreAway, StoreLocked, StoreReadOnly: See there.
    """
    with told_clearly(named(url)), closing(connect(url, schema)) as connection:
        connection.run(f"SET lock_timeout = '{LOCK_TIMEOUT_S}s'")
        connection.raw.execute(SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(Identifier(schema)))


def _run_or_close(connection: PostgresConnection, begin: str) -> Any:
    try:
        return connection.run(begin)
    except BaseException:
        if not connection.lost:
            connection.close()
        raise


def _undo(connection: PostgresConnection) -> None:
    """End a transaction without effect, whatever state it is in."""
    try:
        if connection.busy:
            connection.run("ROLLBACK")
    except psycopg.Error:
        connection.close()
