"""What can be wrong inside the files of the facts and of the read models.

Each check says what it found in order, or raises `Wrong`.
"""

import dataclasses
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine.codec import HEADER_BYTES, MARKER, schema_fingerprint
from engine.errors import EngineError, WrongKey
from engine.instants import MINUTE_US, format_instant
from engine.privacy import Alone, IdentifierKey, WorkspaceKey, unseal_alone
from engine.projections import database
from engine.projections.generations import DERIVED_BY, Generation, ready_generations, serving
from engine.projections.projection import PROJECTIONS
from engine.publishing import LIVE, is_published
from engine.rulefile import file_of, load, shipped
from engine.settings import IDENTIFIER_KEY, WORKSPACE_KEY, Settings
from engine.store import rulebook
from engine.store.connection import Connection
from engine.store.facts import is_server, models_beside, system_clock
from engine.store.gaps import gaps
from engine.store.in_force import DEFAULT_RULES, book_at
from engine.store.keys import key_marks
from engine.store.mapper import RULES_PUBLISHED, TOUCHPOINT_RECORDED
from engine.store.recorder import last_position
from engine.verify.ledger import (
    PUBLISHED_BY,
    counts,
    last_recorded,
    missing,
    unbalanced,
    unusable,
)
from engine.verify.scope import BACKUP

CLOCK_OFF_US = 5 * MINUTE_US
FAR_BEHIND = 100_000  # positions
SAMPLES = 20
NONE_YET = "none yet; the first command that reads derives them"
_HEADERS = f"""
SELECT topic, substr(state, 1, {HEADER_BYTES}), count(*), min(stored_events.rowid)
FROM stored_events GROUP BY 1, 2 ORDER BY 4
"""


class Wrong(Exception):
    """Something is wrong; `fix` is what to do."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix


@dataclasses.dataclass(frozen=True)
class Place:
    """Where everything lies, and the environment that says so."""

    environ: Mapping[str, str] = dataclasses.field(repr=False)
    db: str | None
    url: str  # of a server, else the path of a file
    key_file: Path | None

    @property
    def on_server(self) -> bool:
        """Whether it is no file."""
        return is_server(self.url)

    @property
    def name(self) -> str:
        """What it is called in messages; no secret is in it."""
        if not self.on_server:
            return self.url
        from engine.store.postgres import named  # its driver takes a while to load

        return named(self.url)

    @property
    def facts(self) -> Path:
        """The file of the facts."""
        return Path(self.url)

    @property
    def models(self) -> Path:
        """The file of the read models."""
        return models_beside(self.facts)

    def settings(self) -> Settings:
        """The settings, keys included; only for a database that is there, else keys are made."""
        return Settings.load(self.environ, self.db)

    def command(self, name: str) -> str:
        """How to run a command on it."""
        if not self.on_server:
            return f"run leadledger {name} --db {shlex.quote(self.url)}"
        return f"run leadledger {name}{', with the same --db' if self.db else ''}"


def told(error: Exception) -> tuple[str, str]:
    """What is wrong and what to do; of an error that is not ours, no more than what it is."""
    match error:
        case Wrong():
            return error.what, error.fix
        case EngineError():
            what, _, fix = str(error).partition("; ")
            return what, fix
        case OSError():
            what = f"{error.filename}: {error.strerror}"
        case _:
            what = f"this cannot be looked at ({type(error).__name__})"
    return what, "mend what else is said here first, and look again"


def keys_fit(place: Place, connection: Connection) -> str:
    """The keys at hand are those that the database was begun with."""
    try:
        settings = place.settings()
    except EngineError:
        raise Wrong("not looked at without keys", "mend what is said of the keys first") from None
    workspace_key = WorkspaceKey(settings.workspace_key)
    marks = {
        "identifier key": (IdentifierKey(settings.identifier_key).mark, IDENTIFIER_KEY),
        "workspace key": (workspace_key.mark, WORKSPACE_KEY),
    }
    kept = key_marks(connection)
    for name, (mark, variable) in marks.items():
        if kept.get(name, mark) != mark:
            raise Wrong(
                f"{place.name} was begun with another {name}", _key_fix(place, name, variable)
            )
    try:
        opened = _open_samples(connection, workspace_key)
    except WrongKey:
        raise Wrong(
            f"sealed data in {place.name} does not open with the workspace key",
            _key_fix(place, "workspace key", WORKSPACE_KEY),
        ) from None
    told = f"sealed samples opened: {opened}"
    if kept.keys() != marks.keys():
        return f"{told}; which keys it was begun with was never kept"
    return f"both keys are those it was begun with; {told}"


def _key_fix(place: Place, name: str, variable: str) -> str:
    if place.environ.get(variable):
        there = place.key_file is not None and place.key_file.exists()
        other = f", or unset it, so that {place.key_file} is read" if there else ""
        return f"set {variable} to the {name} that it was begun with{other}"
    back = f"put back {place.key_file} as it was, or " if place.key_file else ""
    return f"{back}set {variable} to the first {name}"


def _open_samples(connection: Connection, workspace_key: WorkspaceKey) -> int:
    """Open some data keys, and what was set aside last: so many there are."""
    some = f"LIMIT {SAMPLES}"
    keys = connection.execute(f"SELECT key_id, wrapped FROM data_keys {some}").fetchall()
    for key_id, wrapped in keys:
        workspace_key.unwrap(key_id, wrapped)
    kept = "SELECT wrapped_key, nonce, ciphertext FROM aside ORDER BY number DESC"
    items = connection.execute(f"{kept} {some}").fetchall()
    for item in items:
        unseal_alone(Alone(*item), workspace_key)
    return len(keys) + len(items)


def clock(_: Place, connection: Connection) -> str:
    """Nothing was recorded in the future."""
    now = system_clock()
    newest = connection.execute("SELECT max(recorded_at) FROM recordings").fetchone()[0]
    if newest is not None and newest > now + CLOCK_OFF_US:
        raise Wrong(
            f"it is {format_instant(now)} by this machine's clock, and the newest touchpoint "
            f"was recorded {(newest - now) / MINUTE_US:,.0f} minutes later than that",
            "set the clock right, for instance by timedatectl set-ntp true; if it is right now, "
            "it was ahead then: until it has caught up, touchpoints are recorded as of that time",
        )
    return f"{format_instant(now)}, after everything recorded"


def events(_: Place, connection: Connection) -> str:
    """Every stored event can be read."""
    known = bytes.fromhex(schema_fingerprint())
    total = 0
    for topic, header, count, first in connection.execute(_HEADERS):
        total += count
        if topic not in (TOUCHPOINT_RECORDED, RULES_PUBLISHED):
            raise Wrong(
                f"{count:,} stored events, the first at position {first}, have the unknown "
                f"topic {topic!r}",
                "use the version of leadledger that wrote them",
            )
        if topic == TOUCHPOINT_RECORDED and header != MARKER + known:
            mark = header[len(MARKER) :].hex() if isinstance(header, bytes) else "of no bytes"
            raise Wrong(
                f"{count:,} stored touchpoints, the first at position {first}, are written with "
                f"the unknown schema {mark} (known: {known.hex()})",
                "put back schemas/touchpoint.avsc as it was released, "
                "or use the version of leadledger that wrote them",
            )
    return f"{total:,} events, all of a known schema"


def positions(_: Place, connection: Connection) -> str:
    """Every position that was recorded has its event."""
    head = last_position(connection)
    empty = gaps(connection, 0, head) if head else []
    for gap in missing(connection, last_recorded(connection)):
        raise Wrong(
            f"events were recorded at the positions {gap}, and are not there any more", BACKUP
        )
    told = f"1 to {head:,}" if head else "none yet"
    if not empty:
        return f"{told}, without a gap"
    unused = sum(gap.size for gap in empty)
    return (
        f"{told}; {unused:,} were never recorded at, the first {empty[0]}, as when another "
        "program's transaction was undone"
    )


def rule_book(place: Place, connection: Connection) -> str:
    """Every rule set that the book names is kept, and still means the same."""
    entries = rulebook.rule_book(connection, last_position(connection))
    named = place.environ.get("LEADLEDGER_RULES", "")
    ids = {entry.rules_id: f"entry {entry.number} of the rule book" for entry in entries}
    if is_published(named) and named != LIVE:
        kept = [one.id for one in rulebook.kept_beginning(connection, named)]
        for rules_id in kept or [named]:
            ids.setdefault(rules_id, "LEADLEDGER_RULES")
    for rules_id, where in ids.items():
        if wrong := unusable(connection, rules_id):
            raise Wrong(f"{where} {wrong}", PUBLISHED_BY)
    return f"{len(entries):,} entries" if entries else f"empty: {DEFAULT_RULES} is in force"


def chosen_rules(place: Place) -> str:
    """What LEADLEDGER_RULES names is there and sound."""
    named = place.environ.get("LEADLEDGER_RULES")
    if not named:
        return "LEADLEDGER_RULES is not set: the rules in force are asked"
    if is_published(named):
        return "LEADLEDGER_RULES names a published rule set"
    try:
        return f"LEADLEDGER_RULES names {load(file_of(named)).name}"
    except EngineError as error:
        what = str(error).partition("; ")[0]
        raise Wrong(
            f"LEADLEDGER_RULES: {what}",
            f"unset LEADLEDGER_RULES, or name a sound file or one of {', '.join(shipped())}",
        ) from None


def conservation(_: Place, connection: Connection) -> str:
    """Received = recorded + duplicates + set aside, and what was recorded is there."""
    for difference in unbalanced(connection):
        raise Wrong(difference.what, difference.fix)
    n = counts(connection)
    return (
        f"{n.received:,} received = {n.recorded:,} recorded + {n.duplicates:,} duplicates "
        f"+ {n.set_aside:,} set aside"
    )


def stand(place: Place, facts: Connection, models: Connection) -> str:
    """The read models stand where the facts are, or little behind."""
    if not database.check_version(models, place.name):
        return "made by an older version; the first command that reads derives them anew"
    ready = ready_generations(models)
    if not ready:
        return "nothing derived yet; the first command that reads does"
    try:
        rule_book(place, facts)
    except Wrong:
        return "which of them serve cannot be told, for the rule book does not say"
    head, now = last_position(facts), system_clock()
    book = book_at(facts)
    live = serving(ready, book, now) or ready[-1]
    if live.checkpoint > head:
        behind = f"at position {live.checkpoint:,}, beyond the last one, {head:,}"
    elif head - live.checkpoint > FAR_BEHIND:
        behind = f"at position {live.checkpoint:,}, far behind {head:,}"
    elif live.settled_to > now + CLOCK_OFF_US:
        behind = f"at {format_instant(live.settled_to)}, which is yet to come"
    elif live.derived_by != DERIVED_BY:
        behind = f"as version {live.derived_by} derives rows, not {DERIVED_BY}"
    elif not live.serves(book.until(max(now, live.settled_to))):
        wanted = book.until(now).id
        behind = f"under the rules {live.book_id[:12]}…, while {wanted[:12]}… are in force"
    elif missing := _missing_tables(live, models):
        behind = f"without the tables {', '.join(missing)}"
    else:
        return f"at position {live.checkpoint:,} of {head:,}, {format_instant(live.settled_to)}"
    raise Wrong(f"the read models stand {behind}", place.command("rebuild"))


def _missing_tables(generation: Generation, models: Connection) -> list[str]:
    there = database.tables_there(models)
    wanted = (f"{projection.name}_{generation.number}" for projection in PROJECTIONS)
    return [name for name in wanted if name not in there]


WITHIN: Mapping[str, Callable[[Place, Any], str]] = {
    "key_fit": keys_fit,
    "clock": clock,
    "events": events,
    "positions": positions,
    "rule_book": rule_book,
    "conservation": conservation,
}
