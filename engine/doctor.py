"""What can be wrong with a set-up and its files, and the way out of it.

Nothing is changed and no lock is taken. Each check returns what it found in order,
or raises; whatever it raises becomes a finding, so that one fault hides no other.
"""

import dataclasses
import sqlite3
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from importlib import import_module
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from engine import doctor_files, doctor_store, mapfile, rulefile
from engine.catalogue import catalogue, currencies, placeholders
from engine.codec import schema_fingerprint
from engine.doctor_store import Place, Wrong, told
from engine.settings import IDENTIFIER_KEY, KEY_BYTES, WORKSPACE_KEY, Settings
from engine.store.connection import Connection
from engine.store.facts import file_of, is_server
from engine.store.in_force import DEFAULT_RULES

OLDEST_PYTHON = (3, 11)
OLDEST_SQLITE, SOUND_SQLITE = (3, 35, 0), (3, 51, 3)
Opens = Callable[[ExitStack, Place], tuple[str, Connection | None]]
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
    """Look at program, keys, database and its place; never raises, changes nothing, shows no key.

    A server's checks are loaded only for one: its driver takes a while.
    """
    findings = [_look(name, check) for name, check in PROGRAM.items()]
    try:
        place = _place(environ, db)
    except Exception as error:
        return [*findings, _told("settings", error)]
    kind: Any = import_module("engine.doctor_server" if place.on_server else "engine.doctor_files")
    around: Mapping[str, Callable[[Place], str]] = {"keys": _keys, **kind.AROUND, **AROUND}
    findings += [_look(name, check, place) for name, check in around.items()]
    with ExitStack() as stack:
        found, facts = _open("database", kind.facts, stack, place)
        findings.append(found)
        if facts is not None:
            for name, check in {**doctor_store.WITHIN, **kind.WITHIN}.items():
                findings.append(_look(name, _asked, kind, place, check, facts))
            findings += _read_models(kind, stack, place, facts)
    return findings


def _read_models(kind: Any, stack: ExitStack, place: Place, facts: Connection) -> list[Finding]:
    found, models = _open("read_models", kind.models, stack, place)
    if models is None:
        return [found]
    return [found, _look("checkpoint", _asked, kind, place, doctor_store.stand, facts, models)]


def _open(
    check: str, opens: Opens, stack: ExitStack, place: Place
) -> tuple[Finding, Connection | None]:
    """A connection to a database of ours that is whole, else None; and what was found."""
    try:
        what, connection = opens(stack, place)
        return Finding(check, True, what), connection
    except Exception as error:
        return _told(check, error), None


def _asked(kind: Any, place: Place, check: Callable[..., str], *connections: Connection) -> str:
    with kind.asking(place, *connections):
        return check(place, *connections)


def _look(name: str, check: Callable[..., str], *at: object) -> Finding:
    try:
        return Finding(name, True, check(*at))
    except Exception as error:
        return _told(name, error)


def _told(check: str, error: Exception) -> Finding:
    return Finding(check, False, *told(error))


def _place(environ: Mapping[str, str], db: str | None) -> Place:
    """Where everything lies; keys that are not given are neither read nor made."""
    no_key = "0" * (2 * KEY_BYTES)
    given = {name: value for name, value in environ.items() if value}
    settings = Settings.load({IDENTIFIER_KEY: no_key, WORKSPACE_KEY: no_key, **given}, db)
    url = settings.database_url
    if not is_server(url):
        url = str(file_of(url).absolute())
    return Place(environ, db, url, settings.key_file)


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
    if not doctor_files.may(doctor_files.existing(folder)):
        raise Wrong(
            f"compiled code cannot be kept in {folder}, so that every command compiles anew",
            f"{doctor_files.right_fix(doctor_files.existing(folder))}, "
            "or set NUMBA_CACHE_DIR to a folder of yours",
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
    kept = place.key_file is not None and place.key_file.exists()
    if not (place.on_server or place.facts.exists() or kept):
        return "none are needed before there is a database; its first command makes them"
    place.settings()
    given = [name for name in (IDENTIFIER_KEY, WORKSPACE_KEY) if place.environ.get(name)]
    return f"in {' and '.join(given)}" if len(given) == 2 else f"in {place.key_file}"


PROGRAM: Mapping[str, Callable[..., str]] = {
    "python": _python,
    "sqlite": _sqlite,
    "zones": _zones,
    "compiled": _compiled,
    "shipped": _shipped,
}
AROUND: Mapping[str, Callable[[Place], str]] = {"rules": doctor_store.chosen_rules}
