"""One SQLite file: one writer at a time among all processes, and readers that can only read.

SQLite before 3.51.3 can lose a commit where one connection resets the log while
another checkpoints it. So nobody checkpoints by himself (`wal_autocheckpoint=0`):
whoever writes holds a lock on a file beside the database, for the transaction and
for the checkpoint that follows it.

None of SQLite's own files is ever opened here: closing it again would drop all locks
that this process holds on it, and other processes would take it for gone.
"""

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from engine.errors import NotAStore, StoreLocked, StoreMissing
from engine.store.faults import check_format, files_told_clearly, told_clearly

LOCK_TIMEOUT_S = 30.0
CHECKPOINT_PAGES = 1 << 14  # of the write-ahead log
FIRST_CHECKPOINT = 16  # transactions
INSERT_CELLS = 3_000  # in one statement; SQLite takes 32,766
_LOCK_POLL_S = 0.002
_PRAGMAS = (
    "PRAGMA synchronous = NORMAL",
    "PRAGMA wal_autocheckpoint = 0",
    "PRAGMA secure_delete = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -196608",
)


class SqliteConnection(sqlite3.Connection):
    """SQLite's connection, and what it lacks of `engine.store.connection.Connection`."""

    dialect = "sqlite"

    def add_rows(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Insert many rows with each statement: two thirds of the time of a statement a row."""
        begin = f"INSERT INTO {table} ({', '.join(columns)}) VALUES "
        row, size = f"({', '.join('?' * len(columns))})", INSERT_CELLS // len(columns)
        whole = len(rows) // size * size
        parts = ([*chain.from_iterable(rows[at : at + size])] for at in range(0, whole, size))
        self.executemany(begin + ", ".join([row] * size), parts)
        if rest := rows[whole:]:
            self.execute(begin + ", ".join([row] * len(rest)), [*chain.from_iterable(rest)])

    def take_time(self) -> None:
        """Nobody sets a time here."""


class _Reader:
    """A thread's reading connection; closed under another's hands it would end the process."""

    def __init__(self, connection: SqliteConnection) -> None:
        self.connection = connection
        self.in_use = threading.RLock()


@dataclass(frozen=True)
class Format:
    """What a file must say of itself, and the statements that make a new one."""

    application_id: int
    version: int | str | None  # `user_version`, or the revision of its tables; None: any will do
    statements: Callable[[], Sequence[str]]


class Database:
    """A SQLite file in a known format; safe to share among threads."""

    def __init__(self, path: Path, form: Format, *, create: bool = False) -> None:
        """Open a file, and make it where `create` allows and there is none.

        Raises:
            StoreMissing: There is no such file and `create` is false.
            NotAStore, StoreVersion, StoreCorrupt, StoreReadOnly, StoreLocked: See there.
        """
        _check_file(path)
        self.path = path
        self._form = form
        self._mutex = threading.RLock()
        self._writer: SqliteConnection | None = None
        self._lock_file: int | None = None
        self._uncopied, self._copy_after = 0, FIRST_CHECKPOINT  # transactions
        self._readers = threading.local()
        self._opened: list[_Reader] = []
        if create:
            self._create()
        elif not path.exists():
            raise StoreMissing(path)
        with told_clearly(path):
            check_format(self.reader(), path, form.application_id, form.version)

    @property
    def name(self) -> str:
        """The file."""
        return str(self.path)

    @contextmanager
    def transaction(self) -> Iterator[SqliteConnection]:
        """The writing connection, in a transaction: committed at the end, undone on any error."""
        with self._mutex, told_clearly(self.path), self._locked():
            connection = self._writing()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            self._checkpoint(connection)

    @contextmanager
    def snapshot(self) -> Iterator[SqliteConnection]:
        """This thread's reading connection, standing still at one commit; may be nested."""
        reader = self._reader()
        connection = reader.connection
        with told_clearly(self.path), reader.in_use:
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def reader(self) -> SqliteConnection:
        """This thread's reading connection; it cannot write."""
        return self._reader().connection

    def _reader(self) -> _Reader:
        reader: _Reader | None = getattr(self._readers, "reader", None)
        if reader is None:
            with told_clearly(self.path):
                reader = _Reader(connect(f"{self.path.resolve().as_uri()}?mode=ro"))
            self._readers.reader = reader
            with self._mutex:
                self._opened.append(reader)
        return reader

    def close(self) -> None:
        """Close every connection; the writer's under the lock, since closing may checkpoint."""
        with self._mutex:
            for reader in self._opened:
                with reader.in_use:
                    reader.connection.close()
            self._opened.clear()
            self._readers = threading.local()
            if self._writer is not None:
                with suppress(StoreLocked), self._locked():
                    self._writer.close()
                self._writer = None
            if self._lock_file is not None:
                os.close(self._lock_file)
                self._lock_file = None

    def _create(self) -> None:
        with files_told_clearly(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        if self._has_tables():  # whatever it is, it is not ours to fill
            return
        with self.transaction() as connection:
            if self._has_tables():  # another process was quicker
                return
            for statement in self._form.statements():
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {self._form.application_id}")
            if isinstance(self._form.version, int):
                connection.execute(f"PRAGMA user_version = {self._form.version}")

    def _has_tables(self) -> bool:
        with told_clearly(self.path):
            schema = self.reader().execute("SELECT count(*) FROM sqlite_schema")
            return bool(schema.fetchone()[0])

    def _writing(self) -> SqliteConnection:
        if self._writer is None:
            connection = connect(f"{self.path.resolve().as_uri()}?mode=rw")
            connection.execute("PRAGMA journal_mode = WAL")
            self._writer = connection
        return self._writer

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock that writers of all processes share."""
        if self._lock_file is None:
            flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC
            with files_told_clearly(self.path):
                self._lock_file = os.open(f"{self.path}.lock", flags, 0o600)
        _take(self._lock_file, self.path)
        try:
            yield
        finally:
            fcntl.flock(self._lock_file, fcntl.LOCK_UN)

    def _checkpoint(self, connection: SqliteConnection) -> None:
        """Move the log into the file once it is long; readers in its way only put it off.

        How long it is only a checkpoint tells, so its answer says when the next is due.
        What the log holds is committed already, so a failure here fails nothing.
        """
        self._uncopied += 1
        if self._uncopied < self._copy_after:
            return
        with suppress(sqlite3.Error):
            _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            wanted = self._copy_after * CHECKPOINT_PAGES // max(pages, 1)
            self._copy_after = min(max(wanted, 1), 64 * FIRST_CHECKPOINT)
            self._uncopied = 0


def _check_file(path: Path) -> None:
    """Refuse what is there and no file: SQLite would wait at a pipe for ever."""
    if path.is_symlink() and not path.exists():
        raise NotAStore(path, "a link that leads nowhere")
    if path.exists() and not path.is_file():
        raise NotAStore(path, "a folder" if path.is_dir() else "no file")


def connect(uri: str) -> SqliteConnection:
    connection = sqlite3.connect(
        uri,
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=5,
        factory=SqliteConnection,
    )
    for pragma in _PRAGMAS:
        connection.execute(pragma)
    return connection


def _take(lock_file: int, path: Path) -> None:
    give_up_at = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= give_up_at:
                raise StoreLocked(path, LOCK_TIMEOUT_S) from None
            time.sleep(_LOCK_POLL_S)
