"""What can be wrong with a set-up and its files, and the way out of it.

Nothing is changed and no lock is taken. Each check returns what it found in order,
or raises; whatever it raises becomes a finding, so that one fault hides no other.
"""

import dataclasses
import os
import shlex
import shutil
import sqlite3
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from engine import doctor_store, mapfile, rulefile
from engine.catalogue import catalogue, currencies, placeholders
from engine.codec import schema_fingerprint
from engine.doctor_store import Place, Wrong
from engine.errors import EngineError, StoreMissing
from engine.projections import database
from engine.settings import IDENTIFIER_KEY, KEY_BYTES, WORKSPACE_KEY, Settings
from engine.store.facts import file_of, models_beside
from engine.store.faults import told_clearly
from engine.store.in_force import DEFAULT_RULES
from engine.store.schema import FACTS
from engine.store.sqlite import Format, SqliteConnection

OLDEST_PYTHON = (3, 11)
OLDEST_SQLITE, SOUND_SQLITE = (3, 35, 0), (3, 51, 3)
ROOM_BYTES = 256 << 20  # the log at its longest, its way into the file, and something to spare
DATA, LOCKS = ("", "-wal", "-shm"), (".lock", ".runner")  # what lies beside a database
ZONES = ("UTC", "Asia/Ho_Chi_Minh", "Asia/Bangkok")


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a check came to; `fix` is empty where nothing is wrong."""

    check: str
    ok: bool
    what: str
    fix: str = ""

    def document(self) -> dict[str, object]:
        """As JSON has it."""
        return dataclasses.asdict(self)


def examine(environ: Mapping[str, str], db: str | None) -> list[Finding]:
    """Look at program, keys, disk and database; never raises, changes nothing, shows no key."""
    findings = [_look(name, check) for name, check in PROGRAM.items()]
    try:
        place = _place(environ, db)
    except Exception as error:
        return [*findings, _told("settings", error)]
    findings += [_look(name, check, place) for name, check in AROUND.items()]
    with ExitStack() as stack:
        found, facts = _open(stack, "database", place.facts, FACTS)
        findings.append(found)
        if facts is not None:
            findings += [_look(name, check, place, facts) for name, check in WITHIN.items()]
            findings += _read_models(stack, place, facts)
    return findings


def _read_models(stack: ExitStack, place: Place, facts: SqliteConnection) -> list[Finding]:
    """They can be derived again, so whatever is wrong with the file, it may go."""
    if not place.models.exists() or not place.models.stat().st_size:
        return [Finding("read_models", True, "none yet; the first command that reads derives them")]
    found, models = _open(stack, "read_models", place.models, database.FORMAT)
    if models is None:
        file = shlex.quote(str(place.models))
        return [
            dataclasses.replace(
                found, fix=f"rm {file}*, then leadledger rebuild: all of it is derived again"
            )
        ]
    return [found, _look("checkpoint", doctor_store.stand, place, facts, models)]


def _open(
    stack: ExitStack, check: str, path: Path, form: Format
) -> tuple[Finding, SqliteConnection | None]:
    """A connection to a file of ours that is whole, else None; and what was found."""
    try:
        if not path.exists():
            raise StoreMissing(path)
        if not path.is_file():
            raise Wrong(
                f"{path} is {'a folder' if path.is_dir() else 'no file'}", "name a file by --db"
            )
        with told_clearly(path):
            connection = stack.enter_context(doctor_store.looking(path))
            return Finding(check, True, doctor_store.whole(path, connection, form)), connection
    except Exception as error:
        return _told(check, error), None


def _look(name: str, check: Callable[..., str], *at: object) -> Finding:
    try:
        return Finding(name, True, check(*at))
    except Exception as error:
        return _told(name, error)


def _told(check: str, error: Exception) -> Finding:
    """An error as a finding; of one that is not ours, no more than what it is."""
    match error:
        case Wrong():
            return Finding(check, False, error.what, error.fix)
        case EngineError():  # what is wrong; what to do
            what, _, fix = str(error).partition("; ")
            return Finding(check, False, what, fix)
        case OSError():
            told = f"{error.filename}: {error.strerror}"
        case _:
            told = f"this cannot be looked at ({type(error).__name__})"
    return Finding(check, False, told, "mend what else is said here first, and look again")


def _place(environ: Mapping[str, str], db: str | None) -> Place:
    """Where everything lies; keys that are not given are neither read nor made."""
    no_key = "0" * (2 * KEY_BYTES)
    given = {name: value for name, value in environ.items() if value}
    settings = Settings.load({IDENTIFIER_KEY: no_key, WORKSPACE_KEY: no_key, **given}, db)
    facts = file_of(settings.database_url).absolute()
    return Place(environ, db, facts, models_beside(facts), settings.key_file)


def _python() -> str:
    """The Python that runs this."""
    told = f"Python {sys.version.split()[0]}"
    if sys.version_info < OLDEST_PYTHON:
        raise Wrong(told, "delete .venv and set up again with Python 3.11 or newer")
    return told


def _sqlite() -> str:
    """The SQLite that this Python comes with."""
    told = f"SQLite {sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise Wrong(told, "use a Python that comes with SQLite 3.35 or newer")
    if sqlite3.sqlite_version_info < SOUND_SQLITE:
        told += (
            "; before 3.51.3 two connections could lose a commit when one checkpointed while the "
            "other began a new log: a lock keeps the writers of this program apart; let no other "
            "program write these files"
        )
    return told


def _zones() -> str:
    """Time zones, in which rule sets count days and open hours."""
    try:
        for name in ZONES:
            ZoneInfo(name)
    except ZoneInfoNotFoundError as error:
        raise Wrong(f"{error.args[0]}", "install the package tzdata into .venv") from None
    return f"time zones such as {ZONES[-1]} are known"


def _compiled() -> str:
    """The folder of machine code; Numba is loaded only here, since it may itself be broken."""
    from engine.compiled import code_folder

    folder = code_folder()
    if not _may(_existing(folder)):
        raise Wrong(
            f"compiled code cannot be kept in {folder}, so that every command compiles anew",
            f"{_right_fix(_existing(folder))}, or set NUMBA_CACHE_DIR to a folder of yours",
        )
    kept = len(list(folder.rglob("*.nbc")))
    return f"{kept} compiled functions in {folder}" if kept else f"nothing compiled yet in {folder}"


def _shipped() -> str:
    """Schemas, rule sets and mappings that come with the program."""
    try:
        schema, types = schema_fingerprint(), len(catalogue().types)
        currencies(), placeholders()
        rules = {name: rulefile.load(path).id for name, path in rulefile.shipped().items()}
        mappings = [mapfile.load(name).name for name in mapfile.shipped()]
    except (OSError, ValueError, LookupError) as error:
        raise Wrong(
            f"schemas/, rules/ or mappings/ are damaged: {error}", "install again"
        ) from None
    if DEFAULT_RULES not in rules:
        raise Wrong(f"the rule set {DEFAULT_RULES} is missing from rules/", "install again")
    return (
        f"schema {schema}, {types} types, {len(rules)} rule sets and {len(mappings)} mappings "
        "are sound"
    )


def _keys(place: Place) -> str:
    """There are keys, in a good form, and for their owner alone."""
    if not place.facts.exists() and not (place.key_file and place.key_file.exists()):
        return "none are needed before there is a database; its first command makes them"
    place.settings()
    given = [name for name in (IDENTIFIER_KEY, WORKSPACE_KEY) if place.environ.get(name)]
    return f"in {' and '.join(given)}" if len(given) == 2 else f"in {place.key_file}"


def _rights(place: Place) -> str:
    """This user may write what has to be written, and nobody else may."""
    folder, data = _existing(place.facts.parent), _beside(place, DATA)
    closed = [path for path in (folder, *data, *_beside(place, LOCKS)) if not _may(path)]
    if closed:
        raise Wrong(
            f"no right to write {' and '.join(map(str, closed))}",
            "; ".join(map(_right_fix, closed)),
        )
    loose = [path for path in data if path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)]
    if loose:
        names = " ".join(shlex.quote(str(path)) for path in loose)
        raise Wrong(f"others may write {names}", f"run chmod go-w {names}")
    return f"this user may write into {folder}"


def _room(place: Place) -> str:
    """Room for the log, and for the read models to be derived beside the old ones."""
    folder = _existing(place.facts.parent)
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


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next(one for one in (path, *path.absolute().parents) if one.exists())


def _may(path: Path) -> bool:
    """Whether this process, as the user that it runs as, may write a file or into a folder."""
    needed = os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)
    return os.access(path, needed, effective_ids=os.access in os.supports_effective_ids)


def _right_fix(path: Path) -> str:
    file, status = shlex.quote(str(path)), path.stat()
    wanted = stat.S_IRWXU if path.is_dir() else stat.S_IRUSR | stat.S_IWUSR
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return f"mount the file system of {file} so that it can be written"
    if os.geteuid() not in (0, status.st_uid):
        return f"as root, run chown {os.geteuid()} {file}"
    if status.st_mode & wanted != wanted:
        return f"run chmod {'u+rwx' if path.is_dir() else 'u+rw'} {file}"
    return f"as root, run chattr -i {file}"


PROGRAM: Mapping[str, Callable[..., str]] = {
    "python": _python,
    "sqlite": _sqlite,
    "zones": _zones,
    "compiled": _compiled,
    "shipped": _shipped,
}
AROUND: Mapping[str, Callable[..., str]] = {
    "keys": _keys,
    "rights": _rights,
    "room": _room,
    "rules": doctor_store.chosen_rules,
}
WITHIN: Mapping[str, Callable[..., str]] = {
    "key_fit": doctor_store.keys_fit,
    "clock": doctor_store.clock,
    "events": doctor_store.events,
    "rule_book": doctor_store.rule_book,
    "conservation": doctor_store.conservation,
}
