"""What SQLite and the file system say when something is wrong, told clearly."""

import errno
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import (
    NotAStore,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreIO,
    StoreLocked,
    StoreReadOnly,
    StoreVersion,
)
from engine.store.revision import NONE, SELECT, check_revision

_NO_ROOM_BYTES = 1 << 20
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_LACKING = ("no such table", "no such column")  # though its format says that it has them
_NO_RIGHT = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def told_clearly(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about a file's state into ours; others, such as a conflict, pass."""
    try:
        yield
    except sqlite3.Error as error:
        clear = _clear(error, path)
        if clear is None:
            raise
        raise clear from error


@contextmanager
def files_told_clearly(path: Path) -> Iterator[None]:
    """Turn errors of the file system about a database's files into ours."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StoreFull(path) from error
        if error.errno in _NO_RIGHT:
            raise StoreReadOnly(path) from error
        raise StoreIO(path, error.strerror or "unknown") from error


def check_format(
    connection: sqlite3.Connection, path: Path, identity: int, version: int | str | None
) -> None:
    """Make sure that a file is a database of this kind, and of a version if one is asked for.

    Raises:
        NotAStore: It has another application's id, or none.
        StoreVersion: It has another version.
    """
    found = connection.execute("PRAGMA application_id").fetchone()[0]
    if found != identity:
        empty = not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        raise NotAStore(path, "an empty database" if empty else "a database of another program")
    if isinstance(version, str):
        check_revision(revision_of(connection), path)
    elif version is not None:
        written = connection.execute("PRAGMA user_version").fetchone()[0]
        if written != version:
            raise StoreVersion(path, written, version)


def revision_of(connection: sqlite3.Connection) -> str:
    """Which revision the tables of a file have."""
    there = "SELECT count(*) FROM sqlite_schema WHERE name = 'alembic_version'"
    if not connection.execute(there).fetchone()[0]:
        return NONE
    row = connection.execute(SELECT).fetchone()
    return row[0] if row else NONE


def _clear(error: sqlite3.Error, path: Path) -> StoreError | None:
    code = getattr(error, "sqlite_errorcode", None)
    match code & 0xFF if code is not None else None:
        case sqlite3.SQLITE_FULL:
            return StoreFull(path)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreLocked(path, 5)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return StoreReadOnly(path)
        case sqlite3.SQLITE_CORRUPT:
            return StoreCorrupt(path, str(error))
        case sqlite3.SQLITE_ERROR if str(error).startswith(_LACKING):
            return StoreCorrupt(path, str(error))
        case sqlite3.SQLITE_NOTADB:
            return NotAStore(path, "no SQLite database")
        case sqlite3.SQLITE_IOERR:
            return _full_or_broken(error, path)
    return None


def _full_or_broken(error: sqlite3.Error, path: Path) -> StoreError:
    """SQLite calls a file that may not grow an I/O error, so look at the room left."""
    written = error.sqlite_errorname in ("SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE")
    if written or shutil.disk_usage(path.parent).free < _NO_ROOM_BYTES:
        return StoreFull(path)
    return StoreIO(path, str(error))
