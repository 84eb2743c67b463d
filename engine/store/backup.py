"""A copy of a facts file that others go on writing: whole, of one instant, and looked over."""

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from engine.errors import FileInTheWay, StoreCorrupt, StoreMissing
from engine.store.faults import check_format, files_told_clearly, told_clearly
from engine.store.schema import FACTS
from engine.store.sqlite import connect


def back_up(database: Path, copy: Path) -> int:
    """Copy a database to a file that is not there yet, and give the copy's size in bytes.

    Pages are copied as they are, since positions are row numbers: SQLite's VACUUM, which
    numbers rows anew, makes no backup. Neither does a copy of the file alone, for the newest
    touchpoints lie in the log beside it. The copy appears under its name when it is done.

    Raises:
        StoreMissing: There is no such database.
        FileInTheWay: Something has the copy's name already.
        NotAStore, StoreCorrupt, StoreFull, StoreReadOnly: See there.
    """
    if not database.is_file():
        raise StoreMissing(database)
    with files_told_clearly(copy):
        handle, name = tempfile.mkstemp(prefix=f"{copy.name}.", dir=copy.parent)  # mode 0600
        os.close(handle)
    draft = Path(name)
    try:
        _copy(database, draft)
        with files_told_clearly(copy):
            _keep(draft, copy)
            return copy.stat().st_size
    finally:
        draft.unlink(missing_ok=True)


def _copy(database: Path, draft: Path) -> None:
    with (
        told_clearly(database),
        closing(connect(f"{database.resolve().as_uri()}?mode=ro")) as source,
    ):
        check_format(source, database, FACTS.application_id, None)  # of any age
        with told_clearly(draft), closing(sqlite3.connect(draft)) as target:
            source.backup(target)
    uri = f"{draft.resolve().as_uri()}?mode=ro&immutable=1"
    with told_clearly(database), closing(sqlite3.connect(uri, uri=True)) as copied:
        (said,) = copied.execute("PRAGMA quick_check(1)").fetchone()
    if said != "ok":
        raise StoreCorrupt(database, said)


def _keep(draft: Path, copy: Path) -> None:
    """Make sure that the draft is on the disk, and give it its name, unless that is taken."""
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    try:
        os.link(draft, copy)
    except FileExistsError as error:
        raise FileInTheWay(copy) from error
    folder = os.open(copy.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
