"""The file of the read models: numbered generations of the same tables, one of them live.

A generation belongs to one rule set and stands at one instant and one position.
It is filled beside the live one, takes its place in one transaction, and the
other's tables are dropped. Nothing here is a fact: the file can be deleted.
"""

import dataclasses
import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection
from typing import NamedTuple, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, insert, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable, DropTable
from sqlalchemy.sql import quoted_name

from engine.errors import NotAStore, ReadModelsDamaged, StoreCorrupt, StoreVersion
from engine.projections.columns import schema
from engine.projections.projection import DUE, PROJECTIONS, Projection, Tables
from engine.store.bulk import listed
from engine.store.faults import files_told_clearly
from engine.store.sqlite import Database, Format

DERIVED_BY = 1  # raised whenever fold or projections come to give other rows: old ones are refilled
LIVE, BUILDING = "live", "building"
READ_ROWS = 10_000  # held as Python objects at once
INSERT_CELLS = 3_000  # in one statement; SQLite takes 32,766

generations = Table(
    "generations",
    MetaData(),
    Column("number", Integer, primary_key=True),
    Column("state", String, nullable=False, comment="live or building"),
    Column("rules_id", String, nullable=False),
    Column("derived_by", Integer, nullable=False, comment="which version of the program's rows"),
    Column("settled_to", BigInteger, nullable=False, comment="microseconds, UTC"),
    Column("checkpoint", BigInteger, nullable=False, comment="position"),
    Column("anchor", String, nullable=False, comment="digest of the event at the checkpoint"),
)
_DIALECT = sqlite.dialect(paramstyle="qmark")
FORMAT = Format(
    application_id=0x4C65_5264,
    version=1,
    statements=(str(CreateTable(generations).compile(dialect=_DIALECT)),),
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
    rules_id: str
    derived_by: int
    settled_to: int  # microseconds, UTC
    checkpoint: int  # position
    anchor: str

    def serves(self, rules_id: str) -> bool:
        """Whether its rows are what this program derives under these rules."""
        return (self.rules_id, self.derived_by) == (rules_id, DERIVED_BY)


class Models:
    """The read models on disk."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file of the read models; make it where there is none.

        Raises:
            ReadModelsDamaged: The file is damaged, or something else.
            StoreReadOnly, StoreFull, StoreLocked: See there.
        """
        try:
            return cls(Database(path, FORMAT, create=True))
        except (StoreCorrupt, NotAStore, StoreVersion) as error:
            raise ReadModelsDamaged(path) from error

    @staticmethod
    def discard(path: Path) -> None:
        """Delete the file and what lies beside it; the next `open` begins anew."""
        for suffix in ("", "-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    @contextmanager
    def sole_runner(self) -> Iterator[None]:
        """Wait until no other process derives rows, and keep others from it meanwhile."""
        path = Path(f"{self._database.path}.runner")
        with files_told_clearly(path):
            file = path.open("w")
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

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
        """Say of a damaged file that nothing is lost with it."""
        try:
            yield
        except StoreCorrupt as error:
            raise ReadModelsDamaged(self._database.path) from error


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
        connection.execute(str(CreateTable(table).compile(dialect=_DIALECT)))
        for index in table.indexes:
            connection.execute(str(CreateIndex(index).compile(dialect=_DIALECT)))
    connection.execute(_sql(insert(generations)), dataclasses.astuple(generation))
    return generation


def add(connection: Connection, generation: Generation, tables: Tables) -> None:
    """Insert rows of leads that have none yet."""
    for projection in PROJECTIONS:
        rows = tables[projection.name]
        filled = [column for column in rows if column.null_count() < len(rows)]
        if filled:
            _insert(connection, _table(projection, generation.number).name, pl.DataFrame(filled))


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
    """Say what instant and position the rows of a generation now stand at."""
    connection.execute(
        "UPDATE generations SET settled_to = ?, checkpoint = ?, anchor = ? WHERE number = ?",
        (*stand, generation.number),
    )
    return dataclasses.replace(generation, **stand._asdict())


def go_live(connection: Connection, generation: Generation) -> Generation:
    """Make a generation the one that readers go through, and drop the others."""
    for (number,) in connection.execute("SELECT number FROM generations").fetchall():
        if number != generation.number:
            _drop(connection, number)
    connection.execute(
        "UPDATE generations SET state = ? WHERE number = ?", (LIVE, generation.number)
    )
    return dataclasses.replace(generation, state=LIVE)


def due_leads(connection: Connection, generation: Generation, upto: int) -> NDArray[np.int64]:
    """Numbers of the leads that time alone will have changed by an instant, in order."""
    name = _table(DUE, generation.number).name
    statement = f"SELECT lead FROM {name} WHERE at <= ? ORDER BY lead"
    return np.array([lead for (lead,) in connection.execute(statement, (upto,))], np.int64)


def read(
    connection: Connection, generation: Generation, projections: Sequence[Projection]
) -> Tables:
    """The rows of some projections, by lead."""
    return {
        projection.name: _frame(connection, projection, generation.number)
        for projection in projections
    }


def _insert(connection: Connection, name: str, rows: pl.DataFrame) -> None:
    """Insert many rows with each statement: half the time of a statement a row.

    Cells are laid row after row in one list, column by column, so that no row
    is ever an object of its own.
    """
    cells: list[object] = [None] * (rows.width * rows.height)
    for index, column in enumerate(rows):
        cells[index :: rows.width] = column.to_list()
    row = f"({', '.join('?' * rows.width)})"
    begin = f"INSERT INTO {name} ({', '.join(rows.columns)}) VALUES "
    size = INSERT_CELLS // rows.width * rows.width
    whole = len(cells) // size * size
    many = begin + ", ".join([row] * (size // rows.width))
    connection.executemany(many, (cells[at : at + size] for at in range(0, whole, size)))
    if rest := cells[whole:]:
        connection.execute(begin + ", ".join([row] * (len(rest) // rows.width)), rest)


def _frame(connection: Connection, projection: Projection, number: int) -> pl.DataFrame:
    table = _table(projection, number)
    wanted = schema(projection.table)
    stored = {name: pl.Int64 if dtype == pl.Boolean else dtype for name, dtype in wanted.items()}
    keys = ", ".join(column.name for column in table.primary_key)
    found = connection.execute(f"{_sql(select(table))} ORDER BY {keys}")
    parts = [pl.DataFrame(schema=stored)]
    while rows := found.fetchmany(READ_ROWS):
        parts.append(pl.DataFrame(rows, schema=stored, orient="row"))
    return pl.concat(parts).cast(wanted)


def _table(projection: Projection, number: int) -> Table:
    """A projection's table in one generation; the number is part of every name."""
    table = projection.table.to_metadata(MetaData(), name=f"{projection.name}_{number}")
    for index in table.indexes:
        index.name = quoted_name(f"{index.name}_{number}", quote=False)
    return table


def _drop(connection: Connection, number: int) -> None:
    for projection in PROJECTIONS:
        drop = DropTable(_table(projection, number), if_exists=True)
        connection.execute(str(drop.compile(dialect=_DIALECT)))
    connection.execute("DELETE FROM generations WHERE number = ?", (number,))


def _sql(statement: object) -> str:
    """What a statement of SQLAlchemy is in SQLite's words, with ? for every value."""
    return str(statement.compile(dialect=_DIALECT))  # type: ignore[attr-defined]
