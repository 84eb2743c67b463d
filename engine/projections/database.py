"""The tables of the read models: numbered generations of the same tables, one of them live.

A generation belongs to one rule set and stands at one instant and one position.
It is filled beside the live one and takes its place in one transaction; then the
other's tables are dropped. Nothing here is a fact: all of it can be deleted.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, insert, select
from sqlalchemy.schema import CreateIndex, CreateTable, DropTable, ExecutableDDLElement
from sqlalchemy.sql import ClauseElement, quoted_name

from engine.book import Book
from engine.errors import (
    NotAStore,
    ReadModelsDamaged,
    RunnerOvertaken,
    StoreCorrupt,
    StoreVersion,
)
from engine.projections.columns import TEXT, schema
from engine.projections.projection import DUE, LEADS, PROJECTIONS, Projection, Tables
from engine.projections.turns import DERIVING, FOLLOWING, FileTurns, Turns
from engine.store.bulk import listed, without_collecting
from engine.store.connection import Connection, Database
from engine.store.dialects import dialect_of
from engine.store.sqlite import Database as SqliteDatabase
from engine.store.sqlite import Format

DERIVED_BY = 3  # raised whenever fold or projections come to give other rows: old ones are refilled
LIVE, BUILDING, OLD = "live", "building", "old"
SWEEP_TIMEOUT_S = 2  # for so long at most new readers wait for old ones
READ_ROWS = 10_000  # held as Python objects at once
SCHEMA = "models"  # where they lie in PostgreSQL, beside the facts

generations = Table(
    "generations",
    MetaData(),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("state", TEXT, nullable=False, comment="live, building or old"),
    Column("rules_id", TEXT, nullable=False, comment="of the rule book up to settled_to"),
    Column("derived_by", Integer, nullable=False, comment="which version of the program's rows"),
    Column("settled_to", BigInteger, nullable=False, comment="microseconds, UTC"),
    Column("checkpoint", BigInteger, nullable=False, comment="position"),
    Column("anchor", TEXT, nullable=False, comment="digest of the event at the checkpoint"),
)


def statements(dialect: str) -> Sequence[str]:
    """What makes a new database of read models, in the words of "sqlite" or "postgresql"."""
    return (str(CreateTable(generations).compile(dialect=dialect_of(dialect))),)


FORMAT = Format(application_id=0x4C65_5264, version=1, statements=partial(statements, "sqlite"))


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
    rules_id: str
    derived_by: int
    settled_to: int  # microseconds, UTC
    checkpoint: int  # position
    anchor: str

    def serves(self, book: Book) -> bool:
        """Whether its rows are what this program derives by a book that ends where they stand."""
        return (self.rules_id, self.derived_by) == (book.id, DERIVED_BY)


class Models:
    """The read models where they are stored."""

    def __init__(self, database: Database, turns: Turns) -> None:
        self._database = database
        self._turns = turns

    @classmethod
    def open(cls, where: str | Path) -> Self:
        """Open read models, and make them where there are none.

        Args:
            where: What `models_of` says of the facts: their file, or a PostgreSQL URL.

        Raises:
            ReadModelsDamaged: They are damaged, or something else.
            StoreReadOnly, StoreFull, StoreLocked, StoreAway: See there.
        """
        try:
            if isinstance(where, Path):
                return cls(SqliteDatabase(where, FORMAT, create=True), FileTurns(where))
            return cls(*_on_server(where))
        except (StoreCorrupt, NotAStore, StoreVersion) as error:
            raise ReadModelsDamaged(where if isinstance(where, Path) else SCHEMA) from error

    @staticmethod
    def discard(where: str | Path) -> None:
        """Delete them, whatever state they are in; the next `open` begins anew."""
        if isinstance(where, Path):
            for suffix in ("", "-wal", "-shm"):
                Path(f"{where}{suffix}").unlink(missing_ok=True)
        else:
            from engine.store.postgres import drop_schema

            drop_schema(where, SCHEMA)

    def close(self) -> None:
        """Close every connection."""
        self._turns.close()
        self._database.close()

    @contextmanager
    def sole_runner(self) -> Iterator[None]:
        """Wait until no other process derives rows, and keep others from it meanwhile."""
        with self._turns.take(DERIVING, wait=True):
            yield

    @contextmanager
    def sole_follower(self) -> Iterator[Callable[[float], None] | None]:
        """Be the one that keeps rows up to date; None where another process is.

        Returns:
            A function that rests for so many seconds, or until something may have been
            recorded; it raises StoreAway where another may be the one by now.
        """
        with self._turns.take(FOLLOWING, wait=False) as taken:
            yield self._turns.rest if taken else None

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes; undone on any error."""
        with self._told_clearly(), self._database.transaction() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that reads; it sees one state of everything."""
        with self._told_clearly(), self._database.snapshot() as connection:
            yield connection

    @contextmanager
    def _told_clearly(self) -> Iterator[None]:
        """Say of damaged tables that nothing is lost with them."""
        try:
            yield
        except StoreCorrupt as error:
            raise ReadModelsDamaged(self._database.name) from error


def _on_server(url: str) -> tuple[Database, Turns]:
    """Both in a schema of a PostgreSQL database; its driver takes a while to load."""
    from engine.projections.postgres_turns import PostgresTurns
    from engine.store.postgres import Home, PostgresDatabase

    home = Home(SCHEMA, generations.name, partial(statements, "postgresql"))
    return PostgresDatabase(url, home, create=True), PostgresTurns(url, SCHEMA)


def live_generation(connection: Connection) -> Generation | None:
    """The generation that readers go through; None before the first was filled."""
    statement = f"{_sql(select(generations))} WHERE state = ?"
    row = connection.execute(statement, (LIVE,)).fetchone()
    return Generation(*row) if row else None


def begin(connection: Connection, rules_id: str, stand: Stand) -> Generation:
    """Make the tables of a new generation; what an interrupted one left behind goes."""
    rows = connection.execute("SELECT number, state FROM generations").fetchall()
    for number, state in rows:
        if state == BUILDING:
            _drop(connection, number)
    number = max((number for number, _ in rows), default=0) + 1
    generation = Generation(number, BUILDING, rules_id, DERIVED_BY, *stand)
    for projection in PROJECTIONS:
        table = _table(projection, number)
        _make(connection, CreateTable(table))
        for index in table.indexes:
            _make(connection, CreateIndex(index))
    connection.execute(_sql(insert(generations)), dataclasses.astuple(generation))
    return generation


def fill(connection: Connection, generation: Generation, tables: Tables) -> None:
    """Insert rows of leads into a generation that is being built.

    Raises:
        RunnerOvertaken: Another process has cleared it away.
    """
    wanted = "SELECT count(*) FROM generations WHERE number = ? AND state = ?"
    if not connection.execute(wanted, (generation.number, BUILDING)).fetchone()[0]:
        raise RunnerOvertaken(generation.number)
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


def move_to(connection: Connection, generation: Generation, stand: Stand) -> Generation:
    """Say what instant and position the rows of a generation now stand at.

    Raises:
        RunnerOvertaken: Another process has moved it, or put another in its place.
    """
    moved = connection.execute(
        "UPDATE generations SET settled_to = ?, checkpoint = ?, anchor = ? "
        "WHERE number = ? AND state = ? AND settled_to = ? AND checkpoint = ?",
        (*stand, generation.number, LIVE, generation.settled_to, generation.checkpoint),
    )
    if moved.rowcount != 1:
        raise RunnerOvertaken(generation.number)
    return dataclasses.replace(generation, **stand._asdict())


def go_live(connection: Connection, generation: Generation) -> Generation:
    """Make a generation the one that readers go through; the one before is old.

    Raises:
        RunnerOvertaken: Another process has cleared it away.
    """
    change = "UPDATE generations SET state = ? WHERE state = ?"
    connection.execute(change, (OLD, LIVE))
    begun = connection.execute(f"{change} AND number = ?", (LIVE, BUILDING, generation.number))
    if begun.rowcount != 1:
        raise RunnerOvertaken(generation.number)
    return dataclasses.replace(generation, state=LIVE)


def sweep(connection: Connection) -> None:
    """Drop what is old, in a transaction that does nothing else.

    A reader that began before still reads it. SQLite keeps it for that reader; in
    PostgreSQL the locks of readers are waited for, and who comes new waits until it is done.
    """
    if connection.dialect == "postgresql":
        connection.execute(f"SET LOCAL lock_timeout = '{SWEEP_TIMEOUT_S}s'")
        connection.execute("LOCK TABLE generations IN ACCESS EXCLUSIVE MODE")
    old = connection.execute("SELECT number FROM generations WHERE state = ?", (OLD,)).fetchall()
    for (number,) in old:
        _drop(connection, number)


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
    table = _table(projection, number)
    columns = schema(projection.table)
    keys = ", ".join(column.name for column in table.primary_key)
    found = connection.execute(f"{_sql(select(table))} ORDER BY {keys}")
    parts = [pl.DataFrame(schema=columns)]
    while rows := found.fetchmany(READ_ROWS):
        parts.append(pl.DataFrame(rows, schema=columns, orient="row"))
    return pl.concat(parts)


@lru_cache(maxsize=4 * len(PROJECTIONS))
def _table(projection: Projection, number: int) -> Table:
    """A projection's table in one generation; the number is part of every name."""
    table = projection.table.to_metadata(MetaData(), name=f"{projection.name}_{number}")
    for index in table.indexes:
        index.name = quoted_name(f"{index.name}_{number}", quote=False)
    return table


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
