"""What can be wrong with the files of an SQLite database: the pages, the folder, the disk."""

import os
import shlex
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path

from engine.doctor_store import NONE_YET, Place, Wrong, told
from engine.errors import StoreMissing
from engine.projections import database
from engine.store.faults import check_format, told_clearly
from engine.store.schema import FACTS
from engine.store.sqlite import Format, SqliteConnection
from engine.verify.scope import BACKUP

ROOM_BYTES = 256 << 20  # the log at its longest, its way into the file, and something to spare
DATA, LOCKS = ("", "-wal", "-shm"), (".lock", ".runner")  # what lies beside a database


def facts(stack: ExitStack, place: Place) -> tuple[str, SqliteConnection]:
    """What the file of the facts is, and a connection to it."""
    return _whole(stack, place.facts, FACTS)


def models(stack: ExitStack, place: Place) -> tuple[str, SqliteConnection | None]:
    """The same of the read models; they can be derived again, so whatever is wrong they may go."""
    if not place.models.exists() or not place.models.stat().st_size:
        return NONE_YET, None
    try:
        found, connection = _whole(stack, place.models, database.FORMAT)
        database.check_version(connection, str(place.models))
        return found, connection
    except Exception as error:
        file = shlex.quote(str(place.models))
        fix = f"rm {file}*, then leadledger rebuild: all of it is derived again"
        raise Wrong(told(error)[0], fix) from error


def asking(place: Place, *_: SqliteConnection) -> AbstractContextManager[None]:
    """While a check asks: what goes wrong is told clearly."""
    return told_clearly(place.facts)


def _whole(stack: ExitStack, path: Path, form: Format) -> tuple[str, SqliteConnection]:
    if not path.exists():
        raise StoreMissing(path)
    if not path.is_file():
        raise Wrong(
            f"{path} is {'a folder' if path.is_dir() else 'no file'}", "name a file by --db"
        )
    with told_clearly(path):
        connection = stack.enter_context(_looking(path))
        return whole(path, connection, form), connection


@contextmanager
def _looking(path: Path) -> Iterator[SqliteConnection]:
    """A connection that reads one state of a file and leaves nothing beside it.

    Without a log nobody has the file open, and SQLite need not make one to read it.
    """
    uri = f"{path.resolve().as_uri()}?mode=ro{'' if _has_log(path) else '&immutable=1'}"
    with closing(
        sqlite3.connect(uri, uri=True, isolation_level=None, factory=SqliteConnection)
    ) as connection:
        connection.execute("BEGIN")
        yield connection


def _has_log(path: Path) -> bool:
    log = Path(f"{path}-wal")
    return log.exists() and log.stat().st_size > 0


def whole(path: Path, connection: SqliteConnection, form: Format) -> str:
    """The format, every table and index, and every page.

    Raises:
        Wrong: It was written in part only, or is damaged.
        NotAStore, StoreVersion: See there.
    """
    if not path.stat().st_size:
        raise Wrong(
            f"{path} is empty: making it was interrupted",
            "run the command that made it again, such as leadledger import FILE: it is completed",
        )
    check_format(connection, path, form.application_id, form.version)
    pages, page_size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")
    )
    if path.stat().st_size < pages * page_size and not _has_log(path):
        raise Wrong(f"{path} was cut short: it should have {pages * page_size:,} bytes", BACKUP)
    missing = _schema_of(form) - _schema(connection)
    if missing:
        names = ", ".join(sorted(name for name, _ in missing))
        raise Wrong(f"{path} is half-written: missing or other than it should be: {names}", BACKUP)
    found = [row[0] for row in connection.execute("PRAGMA quick_check(3)") if row[0] != "ok"]
    if found:
        raise Wrong(f"{path} is damaged: {'; '.join(found)}", BACKUP)
    return f"{path}: {path.stat().st_size:,} bytes in version {form.version}, every page sound"


def _schema_of(form: Format) -> set[tuple[str, str]]:
    with closing(sqlite3.connect(":memory:", factory=SqliteConnection)) as connection:
        for statement in form.statements():
            connection.execute(statement)
        return _schema(connection)


def _schema(connection: SqliteConnection) -> set[tuple[str, str]]:
    """Every table and index by name, and what it is however its statement was written."""
    named = "SELECT name, type, sql FROM sqlite_schema WHERE sql IS NOT NULL"
    return {
        (name, " ".join(sql.split()) if kind == "index" else _columns(connection, name, sql))
        for name, kind, sql in connection.execute(named).fetchall()
    }


def _columns(connection: SqliteConnection, table: str, sql: str) -> str:
    asked = (
        'SELECT upper(name), type, "notnull" OR pk, dflt_value, pk FROM pragma_table_info(?)',
        "SELECT name, origin FROM pragma_index_list(?) WHERE origin = 'u'",
        'SELECT "from", "table", "to" FROM pragma_foreign_key_list(?)',
    )
    rows = [connection.execute(one, (table,)).fetchall() for one in asked]
    return repr((rows, "WITHOUT ROWID" in sql.upper()))


def rights(place: Place) -> str:
    """This user may write what has to be written, and nobody else may."""
    folder, data = existing(place.facts.parent), _beside(place, DATA)
    closed = [path for path in (folder, *data, *_beside(place, LOCKS)) if not may(path)]
    if closed:
        raise Wrong(
            f"no right to write {' and '.join(map(str, closed))}",
            "; ".join(map(right_fix, closed)),
        )
    loose = [path for path in data if path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)]
    if loose:
        names = " ".join(shlex.quote(str(path)) for path in loose)
        raise Wrong(f"others may write {names}", f"run chmod go-w {names}")
    return f"this user may write into {folder}"


def room(place: Place) -> str:
    """Room for the log, and for the read models to be derived beside the old ones."""
    folder = existing(place.facts.parent)
    models = place.models.stat().st_size if place.models.exists() else 0
    free, needed = shutil.disk_usage(folder).free, ROOM_BYTES + models
    if free < needed:
        raise Wrong(
            f"{free >> 20:,} MB are free in {folder}, and {needed >> 20:,} MB are needed",
            f"make {needed - free >> 20:,} MB of room there, or move the database to another disk",
        )
    return f"{free >> 20:,} MB are free in {folder}"


def _beside(place: Place, ends: Sequence[str]) -> list[Path]:
    """The files of the database, of the read models, or of their locks, that are there."""
    paths = (Path(f"{path}{end}") for path in (place.facts, place.models) for end in ends)
    return [path for path in paths if path.exists()]


def existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next(one for one in (path, *path.absolute().parents) if one.exists())


def may(path: Path) -> bool:
    """Whether this process, as the user that it runs as, may write a file or into a folder."""
    needed = os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)
    return os.access(path, needed, effective_ids=os.access in os.supports_effective_ids)


def right_fix(path: Path) -> str:
    """What lets this process write there."""
    file, status = shlex.quote(str(path)), path.stat()
    wanted = stat.S_IRWXU if path.is_dir() else stat.S_IRUSR | stat.S_IWUSR
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return f"mount the file system of {file} so that it can be written"
    if os.geteuid() not in (0, status.st_uid):
        return f"as root, run chown {os.geteuid()} {file}"
    if status.st_mode & wanted != wanted:
        return f"run chmod {'u+rwx' if path.is_dir() else 'u+rw'} {file}"
    return f"as root, run chattr -i {file}"


AROUND: Mapping[str, Callable[[Place], str]] = {"rights": rights, "room": room}
WITHIN: Mapping[str, Callable[[Place, SqliteConnection], str]] = {}
