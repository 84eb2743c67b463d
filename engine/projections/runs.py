"""The row of each replay: what it puts beside the live read models, and how far it has come."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, Column, Integer, MetaData, Table

from engine.errors import RunChanged
from engine.projections.columns import TEXT
from engine.store.connection import Connection

RUNNING: Final = "running"
PAUSED: Final = "paused"
READY: Final = "ready"  # caught up; to be promoted
PROMOTED: Final = "promoted"
REVERTED: Final = "reverted"  # may be promoted again
CANCELLED: Final = "cancelled"
DROPPED: Final = "dropped"
ENDED = (CANCELLED, DROPPED)
NONE, ALL = -1, (1 << 63) - 1  # `filled_to` before the first, and once all are done
Entry = tuple[str, int | None]  # a rule set's id, effective at: microseconds, UTC

table = Table(
    "runs",
    MetaData(),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("rules_id", TEXT, nullable=False),
    Column("name", TEXT, nullable=False, comment="of the rule set"),
    Column("state", TEXT, nullable=False),
    Column("generation", Integer, nullable=False, comment="its shadow"),
    Column("started_at", BigInteger, nullable=False, comment="microseconds, UTC"),
    Column("done", BigInteger, nullable=False, comment="numbers that leads may go by"),
    Column("total", BigInteger, nullable=False, comment="of them in all"),
    Column("filled_to", BigInteger, nullable=False, comment="the last of these numbers done"),
    Column("worked_us", BigInteger, nullable=False, comment="microseconds spent on what is done"),
    Column("entry", Integer, nullable=False, comment="of the rule book: the last it knows of"),
    Column("replaced", Integer, comment="the generation in force before it was promoted"),
    Column("book_before", TEXT, comment="JSON: the entries of the rule book before, in order"),
)


@dataclass(frozen=True)
class Run:
    """A replay of history under one rule set."""

    number: int
    rules_id: str
    name: str
    state: str
    generation: int
    started_at: int  # microseconds, UTC
    done: int = 0  # numbers that leads may go by
    total: int = 0
    filled_to: int = NONE
    worked_us: int = 0
    entry: int = 0
    replaced: int | None = None
    book_before: str | None = None

    @property
    def before(self) -> list[Entry]:
        """What was in the book before it was promoted, in order."""
        entries: list[Entry] = msgspec.json.decode(self.book_before or "[]", type=list[Entry])
        return entries

    @property
    def rate(self) -> float | None:
        """Identifiers a second, while it was worked on; None before the first."""
        return self.done * 1e6 / self.worked_us if self.worked_us else None

    @property
    def left_s(self) -> float | None:
        """Seconds of work that filling will still take; None where nothing tells."""
        if self.state not in (RUNNING, PAUSED) or not self.rate:
            return None
        return (self.total - self.done) / self.rate


def written(entries: Sequence[Entry]) -> str:
    """Entries of the rule book as `book_before` has them."""
    return msgspec.json.encode(entries).decode()


def runs(connection: Connection) -> list[Run]:
    """All of them, by number."""
    return [Run(*row) for row in connection.execute("SELECT * FROM runs ORDER BY number")]


def add(connection: Connection, run: Run) -> None:
    """Begin a run."""
    connection.add_rows(
        "runs",
        [field.name for field in dataclasses.fields(Run)],
        [dataclasses.astuple(run)],
    )


def change(connection: Connection, run: Run, **to: Any) -> Run:
    """Change a run from what it was when it was read.

    Raises:
        RunChanged: It is not what it was.
    """
    sets = ", ".join(f"{name} = ?" for name in to)
    changed = connection.execute(
        f"UPDATE runs SET {sets} WHERE number = ? AND state = ? AND filled_to = ? AND entry = ?",
        (*to.values(), run.number, run.state, run.filled_to, run.entry),
    )
    if changed.rowcount != 1:
        raise RunChanged(run.number)
    return dataclasses.replace(run, **to)


def kept(connection: Connection) -> set[int]:
    """The generations that runs keep: each its shadow and what that replaced, until it ends."""
    going = [run for run in runs(connection) if run.state not in ENDED]
    return {run.generation for run in going} | {run.replaced for run in going if run.replaced}


def next_number(connection: Connection) -> int:
    """The number of the next run; none is given twice."""
    return max((run.number for run in runs(connection)), default=0) + 1


def last_shadow(connection: Connection) -> int:
    """The highest number of a generation that was a shadow; 0 where there was none."""
    return max((run.generation for run in runs(connection)), default=0)
