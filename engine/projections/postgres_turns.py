"""Turns at the read models of a PostgreSQL database: advisory locks, each in its own session."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256

import psycopg

from engine.projections.turns import FOLLOWING
from engine.store.postgres import EVENTS, named
from engine.store.postgres_connection import PostgresConnection, connect
from engine.store.postgres_faults import told_clearly

_POLL_S = 0.02


class _Session:
    """A connection that holds one lock, for one thread at a time."""

    def __init__(self) -> None:
        self.used = threading.Lock()
        self.connection: PostgresConnection | None = None


class PostgresTurns:
    """Turns at the read models in a schema. Whoever records an event gives a hint."""

    def __init__(self, url: str, schema: str) -> None:
        self._url, self._schema = url, schema
        self._sessions: dict[str, _Session] = {}

    @contextmanager
    def take(self, name: str, *, wait: bool) -> Iterator[bool]:
        """Hold an advisory lock; where its session is lost, so is the lock."""
        session, key = self._session(name), _key(self._schema, name)
        if not session.used.acquire(blocking=wait):
            yield False
            return
        try:
            taken = self._locked(session, name, key, wait)
            try:
                yield taken
            finally:
                if taken and session.connection is not None:
                    with suppress(psycopg.Error):
                        session.connection.execute("SELECT pg_advisory_unlock(?)", (key,))
        finally:
            session.used.release()

    def rest(self, seconds: float) -> None:
        """Wait for the notification that comes when an event was recorded."""
        connection = self._session(FOLLOWING).connection
        assert connection is not None, "whoever rests has the turn at following"
        with told_clearly(named(self._url)):
            for _ in connection.raw.notifies(timeout=seconds, stop_after=1):
                pass

    def close(self) -> None:
        """Close the sessions, and with them their locks."""
        for session in self._sessions.values():
            if session.connection is not None:
                session.connection.close()

    def _session(self, name: str) -> _Session:
        return self._sessions.setdefault(name, _Session())

    def _locked(self, session: _Session, name: str, key: int, wait: bool) -> bool:
        with told_clearly(named(self._url)):
            connection = session.connection
            if connection is None or connection.lost or not _answers(connection):
                connection = session.connection = connect(self._url, self._schema)
                if name == FOLLOWING:
                    connection.execute(f"LISTEN {EVENTS}")
            while not (taken := _try(connection, key)) and wait:
                time.sleep(_POLL_S)
            return taken


def _answers(connection: PostgresConnection) -> bool:
    """Whether a session that stood still since the last turn is there; nothing was lost if not."""
    try:
        connection.execute("SELECT 1")
    except psycopg.Error:
        connection.close()
        return False
    return True


def _try(connection: PostgresConnection, key: int) -> bool:
    taken: bool = connection.execute("SELECT pg_try_advisory_lock(?)", (key,)).fetchone()[0]
    return taken


def _key(schema: str, name: str) -> int:
    """A lock's number, among all that may be taken in the same database."""
    digest = sha256(f"leadledger {schema}.{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
