"""The tables of the read models: numbered generations of the same tables.

A generation belongs to one rule book and stands at one instant and one position. It is
filled beside the others, and ready in one transaction. Which one readers go through is
said by the rule book alone: the ready one that serves it. So what is published switches
them, and they see one generation or the other. Nothing here is a fact: all can be deleted.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, insert, select
from sqlalchemy.schema import CreateIndex, CreateTable, DropTable, ExecutableDDLElement
from sqlalchemy.sql import ClauseElement, quoted_name

from engine.book import Book
from engine.errors import RunnerOvertaken
from engine.projections import runs
from engine.projections.columns import TEXT, schema
from engine.projections.projection import DUE, LEADS, PROJECTIONS, Projection, Tables
from engine.store.bulk import listed, without_collecting
from engine.store.connection import Connection
from engine.store.dialects import dialect_of

DERIVED_BY = 3  # raised whenever fold or projections come to give other rows: old ones are refilled
BUILDING, READY = "building", "ready"
SWEEP_TIMEOUT_S = 2  # for so long at most new readers wait for old ones
READ_ROWS = 10_000  # held as Python objects at once

table = Table(
    "generations",
    MetaData(),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("state", TEXT, nullable=False, comment="building or ready"),
    Column("book_id", TEXT, nullable=False, comment="of the rule book up to settled_to"),
    Column("derived_by", Integer, nullable=False, comment="which version of the program's rows"),
    Column("settled_to", BigInteger, nullable=False, comment="microseconds, UTC"),
    Column("checkpoint", BigInteger, nullable=False, comment="position"),
    Column("anchor", TEXT, nullable=False, comment="digest of the event at the checkpoint"),
)


class Stand(NamedTuple):
    """What rows are derived from."""

    settled_to: int  # microseconds, UTC
    checkpoint: int  # position
    anchor: str  # digest of the event there: other facts have another


@dataclass(frozen=True)
class Generation:
    """One set of tables: every row is that of as-of `settled_to`, known at `checkpoint`."""

    number: int
    state: str
    book_id: str
    derived_by: int
    settled_to: int  # microseconds, UTC
    checkpoint: int  # position
    anchor: str

    def serves(self, book: Book) -> bool:
        """Whether its rows are what this program derives by a book that ends where they stand."""
        return (self.book_id, self.derived_by) == (book.id, DERIVED_BY)


def all_generations(connection: Connection) -> list[Generation]:
    """Those that are being built as well, by number."""
    rows = connection.execute(f"{_sql(select(table))} ORDER BY number")
    return [Generation(*row) for row in rows]


def ready_generations(connection: Connection) -> list[Generation]:
    """Those that all leads have their rows in, by number."""
    return [one for one in all_generations(connection) if one.state == READY]


def serving(ready: Iterable[Generation], book: Book, now: int) -> Generation | None:
    """The one that readers go through where a book is in force; None where all serve others.

    Of several it is the one that stands furthest, and of these the newest. `now` is in
    microseconds, UTC; what already stands later is looked at as of then.
    """
    found = [one for one in ready if one.serves(book.until(max(now, one.settled_to)))]
    return max(found, key=lambda one: (one.checkpoint, one.number), default=None)


def in_force(connection: Connection, book: Book, now: int) -> Generation | None:
    """The same of all that are ready."""
    return serving(ready_generations(connection), book, now)


def begin(connection: Connection, book_id: str, stand: Stand) -> Generation:
    """Make the tables of a new generation."""
    last = max((one.number for one in all_generations(connection)), default=0)
    number = max(last, runs.last_shadow(connection)) + 1
    generation = Generation(number, BUILDING, book_id, DERIVED_BY, *stand)
    for projection in PROJECTIONS:
        made = _table(projection, number)
        _make(connection, CreateTable(made))
        for index in made.indexes:
            _make(connection, CreateIndex(index))
    connection.execute(_sql(insert(table)), dataclasses.astuple(generation))
    return generation


def clear(connection: Connection, begun: Generation) -> None:
    """Drop what interrupted building left behind; one just begun is kept, and a replay's."""
    kept = runs.kept(connection) | {begun.number}
    for one in all_generations(connection):
        if one.state == BUILDING and one.number not in kept:
            _drop(connection, one.number)


def fill(connection: Connection, generation: Generation, tables: Tables) -> None:
    """Insert rows of leads into a generation that is being built.

    Raises:
        RunnerOvertaken: Another process has cleared it away.
    """
    check_stands(connection, generation)
    add(connection, generation, tables)


def add(connection: Connection, generation: Generation, tables: Tables) -> None:
    """Insert rows of leads that have none yet."""
    for projection in PROJECTIONS:
        rows = tables[projection.name]
        filled = [column for column in rows if column.null_count() < len(rows)]
        if filled:
            name = _table(projection, generation.number).name
            columns = [column.name for column in filled]
            with without_collecting():
                cells = (column.to_list() for column in filled)
                connection.add_rows(name, columns, list(zip(*cells, strict=True)))


def replace(
    connection: Connection, generation: Generation, leads: NDArray[np.int64], tables: Tables
) -> None:
    """Put these rows in the place of all rows of these leads."""
    numbers = listed(leads.tolist())
    for projection in PROJECTIONS:
        name = _table(projection, generation.number).name
        connection.execute(
            f"DELETE FROM {name} WHERE lead IN (SELECT value FROM json_each(?))", (numbers,)
        )
    add(connection, generation, tables)


def check_stands(connection: Connection, generation: Generation) -> None:
    """Make sure that a generation is there as it was seen.

    Raises:
        RunnerOvertaken: Another process has moved it, or cleared it away.
    """
    statement = (
        "SELECT count(*) FROM generations WHERE number = ? AND settled_to = ? AND checkpoint = ?"
    )
    if not connection.execute(statement, _place(generation)).fetchone()[0]:
        raise RunnerOvertaken(generation.number)


def move_to(connection: Connection, generation: Generation, stand: Stand) -> Generation:
    """Say what instant and position the rows of a generation now stand at.

    Raises:
        RunnerOvertaken: Another process has moved it, or cleared it away.
    """
    moved = connection.execute(
        "UPDATE generations SET settled_to = ?, checkpoint = ?, anchor = ? "
        "WHERE number = ? AND settled_to = ? AND checkpoint = ?",
        (*stand, *_place(generation)),
    )
    if moved.rowcount != 1:
        raise RunnerOvertaken(generation.number)
    return dataclasses.replace(generation, **stand._asdict())


def make_ready(connection: Connection, generation: Generation) -> Generation:
    """Let readers go through a generation, once the rule book says so.

    Raises:
        RunnerOvertaken: Another process has cleared it away.
    """
    check_stands(connection, generation)
    change = "UPDATE generations SET state = ? WHERE number = ?"
    connection.execute(change, (READY, generation.number))
    return dataclasses.replace(generation, state=READY)


def sweep(connection: Connection, needed: Generation | None) -> None:
    """Drop all but the one that is needed and what replays keep; nothing else in a transaction.

    A reader that began before still reads it. SQLite keeps it for that reader; in
    PostgreSQL the locks of readers are waited for, and who comes new waits until it is done.
    """
    if connection.dialect == "postgresql":
        connection.execute(f"SET LOCAL lock_timeout = '{SWEEP_TIMEOUT_S}s'")
        connection.execute("LOCK TABLE generations IN ACCESS EXCLUSIVE MODE")
    kept = runs.kept(connection) | ({needed.number} if needed else set())
    for one in all_generations(connection):
        if one.number not in kept:
            _drop(connection, one.number)


def due_leads(connection: Connection, generation: Generation, upto: int) -> NDArray[np.int64]:
    """Numbers of the leads that time alone will have changed by an instant, in order."""
    name = _table(DUE, generation.number).name
    statement = f"SELECT lead FROM {name} WHERE at <= ? ORDER BY lead"
    return np.array([lead for (lead,) in connection.execute(statement, (upto,))], np.int64)


def next_due(connection: Connection, generation: Generation) -> int | None:
    """When time alone will change a lead next, in microseconds, UTC; None if it never will."""
    name = _table(DUE, generation.number).name
    at: int | None = connection.execute(f"SELECT min(at) FROM {name}").fetchone()[0]
    return at


def lead_count(connection: Connection, generation: Generation) -> int:
    """How many leads there are."""
    name = _table(LEADS, generation.number).name
    count: int = connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
    return count


def read(
    connection: Connection, generation: Generation, projections: Sequence[Projection]
) -> Tables:
    """The rows of some projections, by lead."""
    return {
        projection.name: _frame(connection, projection, generation.number)
        for projection in projections
    }


def _frame(connection: Connection, projection: Projection, number: int) -> pl.DataFrame:
    numbered = _table(projection, number)
    columns = schema(projection.table)
    keys = ", ".join(column.name for column in numbered.primary_key)
    found = connection.execute(f"{_sql(select(numbered))} ORDER BY {keys}")
    parts = [pl.DataFrame(schema=columns)]
    while rows := found.fetchmany(READ_ROWS):
        parts.append(pl.DataFrame(rows, schema=columns, orient="row"))
    return pl.concat(parts)


@lru_cache(maxsize=4 * len(PROJECTIONS))
def _table(projection: Projection, number: int) -> Table:
    """A projection's table in one generation; the number is part of every name."""
    numbered = projection.table.to_metadata(MetaData(), name=f"{projection.name}_{number}")
    for index in numbered.indexes:
        index.name = quoted_name(f"{index.name}_{number}", quote=False)
    return numbered


def _place(generation: Generation) -> tuple[int, int, int]:
    return generation.number, generation.settled_to, generation.checkpoint


def _drop(connection: Connection, number: int) -> None:
    for projection in PROJECTIONS:
        _make(connection, DropTable(_table(projection, number), if_exists=True))
    connection.execute("DELETE FROM generations WHERE number = ?", (number,))


def _make(connection: Connection, change: ExecutableDDLElement) -> None:
    """Make or drop a table, in the words of the database."""
    connection.execute(str(change.compile(dialect=dialect_of(connection.dialect))))


def _sql(statement: ClauseElement) -> str:
    """What a statement of SQLAlchemy is in SQLite's words, with ? for every value."""
    return str(statement.compile(dialect=dialect_of("sqlite")))
