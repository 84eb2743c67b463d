"""The database of the read models: opening it, whose turn it is, and transactions."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Self

from sqlalchemy.schema import CreateTable

from engine.errors import NotAStore, ReadModelsDamaged, StoreCorrupt, StoreVersion
from engine.projections import generations, runs
from engine.projections.turns import DERIVING, FOLLOWING, REPLAYING, FileTurns, Turns
from engine.store.connection import Connection, Database
from engine.store.dialects import dialect_of
from engine.store.sqlite import Database as SqliteDatabase
from engine.store.sqlite import Format

VERSION = 2  # of the tables; those of an older one are made anew
SCHEMA = "models"  # where they lie in PostgreSQL, beside the facts
_TABLES = {
    "sqlite": "SELECT name FROM sqlite_schema WHERE type = 'table'",
    "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()",
}
_VERSION = {
    "sqlite": "SELECT user_version FROM pragma_user_version",
    "postgresql": "SELECT obj_description(to_regclass('generations'))",
}
_MARK = {
    "sqlite": f"PRAGMA user_version = {VERSION}",
    "postgresql": f"COMMENT ON TABLE generations IS '{VERSION}'",
}


def statements(dialect: str) -> Sequence[str]:
    """What makes a new database of read models, in the words of "sqlite" or "postgresql"."""
    words = dialect_of(dialect)
    tables = (
        str(CreateTable(one).compile(dialect=words)) for one in (generations.table, runs.table)
    )
    return (*tables, _MARK[dialect])


# A file of any version is ours; `check_version` looks at that.
FORMAT = Format(application_id=0x4C65_5264, version=None, statements=partial(statements, "sqlite"))


class Models:
    """The read models where they are stored."""

    def __init__(self, database: Database, turns: Turns) -> None:
        self._database = database
        self._turns = turns

    @classmethod
    def open(cls, where: str | Path) -> Self:
        """Open read models, and make them where there are none, or those of an older version.

        Args:
            where: What `models_of` says of the facts: their file, or a PostgreSQL URL.

        Raises:
            ReadModelsDamaged: They are damaged, of a newer version, or something else.
            StoreReadOnly, StoreFull, StoreLocked, StoreAway: See there.
        """
        try:
            if isinstance(where, Path):
                opened = cls(SqliteDatabase(where, FORMAT, create=True), FileTurns(where))
            else:
                opened = cls(*_on_server(where))
            try:
                opened._renew()
            except BaseException:
                opened.close()
                raise
        except (StoreCorrupt, NotAStore, StoreVersion) as error:
            raise ReadModelsDamaged(where if isinstance(where, Path) else SCHEMA) from error
        return opened

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
    def sole_replayer(self, run: int) -> Iterator[bool]:
        """Be the one that works on a replay; False where another process is."""
        with self._turns.take(f"{REPLAYING}-{run}", wait=False) as taken:
            yield taken

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

    def _renew(self) -> None:
        """Make the tables anew where they are of an older version: no fact is lost with them."""
        name = self._database.name
        with self._database.snapshot() as connection:
            if check_version(connection, name):
                return
        with self._database.transaction() as connection:
            if check_version(connection, name):  # another process was quicker
                return
            for table in sorted(tables_there(connection)):
                connection.execute(f"DROP TABLE {table}")
            for statement in statements(connection.dialect):
                connection.execute(statement)

    @contextmanager
    def _told_clearly(self) -> Iterator[None]:
        """Say of damaged tables that nothing is lost with them; of facts read meanwhile it is."""
        try:
            yield
        except StoreCorrupt as error:
            if error.where != self._database.name:
                raise
            raise ReadModelsDamaged(self._database.name) from error


def _on_server(url: str) -> tuple[Database, Turns]:
    """Both in a schema of a PostgreSQL database; its driver takes a while to load."""
    from engine.projections.postgres_turns import PostgresTurns
    from engine.store.postgres import Home, PostgresDatabase

    home = Home(SCHEMA, generations.table.name, partial(statements, "postgresql"))
    return PostgresDatabase(url, home, create=True), PostgresTurns(url, SCHEMA)


def check_version(connection: Connection, name: str) -> bool:
    """Whether read models have the tables of this version; False: of an older one.

    Raises:
        StoreVersion: They have those of a newer one.
    """
    found = int(connection.execute(_VERSION[connection.dialect]).fetchone()[0] or 1)
    if found > VERSION:
        raise StoreVersion(name, found, VERSION)
    return found == VERSION


def tables_there(connection: Connection) -> set[str]:
    """The names of all tables that there are."""
    return {name for (name,) in connection.execute(_TABLES[connection.dialect])}
