"""Bringing a database of facts to the tables that this program works with, by Alembic.

It all happens in one transaction that keeps writers out: either every migration that
was missing is applied, or none. There is no way back but a backup.
"""

import dataclasses
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from engine.errors import NotAStore, StoreVersion
from engine.resources import folder
from engine.store import postgres, sqlite
from engine.store.facts import file_of, is_server
from engine.store.postgres_connection import PostgresConnection, connect
from engine.store.postgres_faults import LOCK_TIMEOUT_S, told_clearly
from engine.store.rebuild import rebuild
from engine.store.revision import NONE, REVISION
from engine.store.schema import FACTS
from engine.store.sqlite import SqliteConnection

_BEFORE_REVISIONS = 1  # the `user_version` of files that were made when revisions were not kept
_THEIR_REVISION = "0001"


class Step(NamedTuple):
    """One migration."""

    revision: str
    what: str


class Migrated(NamedTuple):
    """What became of a database."""

    name: str
    before: str  # revision; NONE where there was nothing, or nothing said which it was
    steps: list[Step]  # that were applied, in order


def migrate(url: str) -> Migrated:
    """Bring a file, or a server's schema of facts, to the tables of this program.

    A server's schema is made where there is none; a file is not, for its keys are made with it.

    Raises:
        StoreVersion: It is newer than this program.
        StoreMissing, NotAStore, StoreCorrupt, StoreReadOnly, StoreLocked, StoreFull, StoreAway:
            See there.
    """
    if is_server(url):
        return _migrate_server(url)
    return _migrate_file(file_of(url))


def _migrate_file(path: Path) -> Migrated:
    database = sqlite.Database(path, dataclasses.replace(FACTS, version=None))
    with closing(database), database.transaction() as raw, _over_sqlite(raw) as connection:
        before = _revision(connection)
        if raw.execute("PRAGMA user_version").fetchone()[0] == _BEFORE_REVISIONS:
            command.stamp(_config(connection), _THEIR_REVISION)
            raw.execute("PRAGMA user_version = 0")
        steps = upgrade(connection, path)
        _make_again(raw, steps)
        return Migrated(str(path), before, steps)


def _migrate_server(url: str) -> Migrated:
    name, schema = postgres.named(url), postgres.FACTS.schema
    with (
        told_clearly(name),
        closing(connect(url, schema)) as server,
        _over_postgres(server) as connection,
    ):
        _keep_others_out(connection, schema)
        before = _revision(connection)
        steps = upgrade(connection, name)
        _make_again(server, steps)
        return Migrated(name, before, steps)


def upgrade(connection: Connection, name: object) -> list[Step]:
    """Apply what is missing in the transaction at hand; what was applied, in order.

    Raises:
        StoreVersion: The database is newer than this program.
        NotAStore: It has tables, and nothing says of which revision.
    """
    found = _revision(connection)
    if found > REVISION:
        raise StoreVersion(name, found, REVISION)
    if found == NONE and inspect(connection).get_table_names():
        raise NotAStore(name, "a database with tables that no migration of ours has made")
    config = _config(connection)
    scripts = ScriptDirectory.from_config(config).walk_revisions()
    missing = [Step(one.revision, one.doc) for one in scripts if one.revision > found]
    command.upgrade(config, REVISION)
    return missing[::-1]


def _make_again(connection: PostgresConnection | SqliteConnection, steps: list[Step]) -> None:
    """After a change of tables, fill those that come from the streams; positions stay."""
    if steps:
        rebuild(connection)


def _revision(connection: Connection) -> str:
    return MigrationContext.configure(connection).get_current_revision() or NONE


def _config(connection: Connection) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(folder("migrations")).replace("%", "%%"))
    return config


def _keep_others_out(connection: Connection, schema: str) -> None:
    """Make the schema where there is none, and lock the table that whoever writes locks."""
    run = connection.exec_driver_sql
    run(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'")
    run(f"SELECT pg_advisory_xact_lock(hashtext('{schema}'))")  # as those who make the tables do
    if not inspect(connection).has_schema(schema):  # asked first, for making needs more rights
        run(f"CREATE SCHEMA {schema}")
    if inspect(connection).has_table(postgres.FACTS.locked, schema):
        run(f"LOCK TABLE {postgres.FACTS.locked} IN EXCLUSIVE MODE")


@contextmanager
def _over_sqlite(raw: SqliteConnection) -> Iterator[Connection]:
    """SQLAlchemy over a connection whose transaction is not its own to end."""
    engine = create_engine("sqlite://", creator=lambda: _Lent(raw), poolclass=StaticPool)
    with _told_as_by_the_driver(), engine.begin() as connection:
        yield connection


@contextmanager
def _over_postgres(server: PostgresConnection) -> Iterator[Connection]:
    """SQLAlchemy over a connection, in a transaction."""
    server.raw.autocommit = False
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: server.raw,
        poolclass=StaticPool,
        use_native_hstore=False,
    )
    with _told_as_by_the_driver(), engine.begin() as connection:
        yield connection


@contextmanager
def _told_as_by_the_driver() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise error.orig or error from error


class _Lent:
    """A connection that is only lent: whoever lent it commits, undoes and closes."""

    def __init__(self, raw: SqliteConnection) -> None:
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def commit(self) -> None:
        """Left to the lender."""

    rollback = close = commit
