"""What can be wrong with a PostgreSQL server, and with what lies on it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager

from engine import doctor_store
from engine.doctor_store import CLOCK_OFF_US, NONE_YET, Place, Wrong
from engine.errors import StoreAway, StoreMissing
from engine.instants import MINUTE_US, format_instant
from engine.projections.database import SCHEMA
from engine.store import tables
from engine.store.facts import system_clock
from engine.store.postgres import FACTS
from engine.store.postgres_connection import PostgresConnection, connect
from engine.store.postgres_faults import told_clearly
from engine.store.revision import REVISION, SELECT, check_revision
from engine.verify.scope import BACKUP

OLDEST_SERVER = 13
DB_FUNCTIONS = "POSTGRES_ENABLE_DB_FUNCTIONS"
_OFF = {"", "0", "f", "false", "n", "no", "off"}
_COLUMNS = """
SELECT relname || '.' || attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
WHERE relnamespace = to_regnamespace(?) AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
"""
_INDEXES = "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(?) AND relkind = 'i'"
_MAY_READ = """
SELECT has_schema_privilege(relnamespace, 'USAGE') AND has_table_privilege(oid, 'SELECT')
FROM pg_class WHERE relnamespace = to_regnamespace(?) AND relname = 'alembic_version'
"""
_CLOSED = """
SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(?) AND CASE relkind
    WHEN 'r' THEN NOT has_table_privilege(oid, 'SELECT') OR NOT has_table_privilege(oid, 'INSERT')
        OR NOT has_table_privilege(oid, 'UPDATE') OR NOT has_table_privilege(oid, 'DELETE')
    WHEN 'S' THEN NOT has_sequence_privilege(oid, 'USAGE')
        OR NOT has_sequence_privilege(oid, 'UPDATE')
    ELSE false END
ORDER BY relname
"""
_MAY_MAKE = """
SELECT coalesce(has_schema_privilege(to_regnamespace(?), 'CREATE'),
    has_database_privilege(current_database(), 'CREATE'))
"""
_NOW = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"


def library(place: Place) -> str:
    """The eventsourcing library is not told to let the database insert events."""
    if place.environ.get(DB_FUNCTIONS, "").lower() not in _OFF:
        raise Wrong(
            f"{DB_FUNCTIONS} is set: whoever reads along would miss events", f"unset {DB_FUNCTIONS}"
        )
    return f"{DB_FUNCTIONS} is not set"


def facts(stack: ExitStack, place: Place) -> tuple[str, PostgresConnection]:
    """What the schema of the facts is, and a connection to it."""
    connection = _looking(stack, place, FACTS.schema)
    with told_clearly(place.name):
        return _whole(place, connection), connection


def models(stack: ExitStack, place: Place) -> tuple[str, PostgresConnection | None]:
    """The same of the read models."""
    connection = _looking(stack, place, SCHEMA)
    with told_clearly(place.name):
        there = {name for (name,) in connection.execute(_COLUMNS, (SCHEMA,))}
    if not there:
        return NONE_YET, None
    if "generations.number" not in there:
        raise Wrong(f"the schema {SCHEMA} has no table generations", place.command("rebuild"))
    return f"in the schema {SCHEMA}", connection


@contextmanager
def asking(place: Place, *connections: PostgresConnection) -> Iterator[None]:
    """While a check asks: what goes wrong is told clearly, and fails no other check."""
    with told_clearly(place.name), ExitStack() as stack:
        for connection in connections:
            stack.enter_context(connection.raw.transaction())  # a savepoint
        yield


def rights(place: Place, connection: PostgresConnection) -> str:
    """This user may write what has to be written."""
    standby, read_only, user = connection.execute(
        "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only'), "
        "quote_ident(current_user)"
    ).fetchone()
    if standby or read_only == "on":
        what = "a standby" if standby else "set to read only"
        raise Wrong(f"{place.name} is {what}", "name the server that is written to by --db")
    closed = [name for (name,) in connection.execute(_CLOSED, (FACTS.schema,))]
    may_use, may_make = (
        connection.execute(asked, (schema,)).fetchone()[0]
        for asked, schema in (
            ("SELECT has_schema_privilege(to_regnamespace(?), 'USAGE')", FACTS.schema),
            (_MAY_MAKE, SCHEMA),
        )
    )
    if closed or not may_use:
        shown = ", ".join(closed[:3]) + (" …" if len(closed) > 3 else "")
        schema = FACTS.schema
        raise Wrong(
            f"{user} has no right to write {shown or f'into the schema {schema}'}",
            f"as their owner, run GRANT USAGE ON SCHEMA {schema} TO {user}; "
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {user}; "
            f"GRANT USAGE, UPDATE ON ALL SEQUENCES IN SCHEMA {schema} TO {user}",
        )
    if not may_make:
        raise Wrong(
            f"{user} has no right to make tables for read models in the schema {SCHEMA}",
            f"as an administrator, run CREATE SCHEMA IF NOT EXISTS {SCHEMA}; "
            f"ALTER SCHEMA {SCHEMA} OWNER TO {user}",
        )
    return f"{user} may write the facts and make read models"


def server(place: Place, connection: PostgresConnection) -> str:
    """A version that this program works with, and text as UTF-8."""
    version, encoding = connection.execute(
        "SELECT current_setting('server_version'), current_setting('server_encoding')"
    ).fetchone()
    told = f"PostgreSQL {version}, {encoding}"
    if int(version.partition(".")[0]) < OLDEST_SERVER:
        raise Wrong(told, f"move to PostgreSQL {OLDEST_SERVER} or newer")
    if encoding != "UTF8":
        raise Wrong(told, "move into a database that was made with ENCODING 'UTF8'")
    return told


def clock(place: Place, connection: PostgresConnection) -> str:
    """Server and program have the same time, and nothing was recorded in the future."""
    theirs, ours = connection.execute(_NOW).fetchone()[0], system_clock()
    if abs(theirs - ours) > CLOCK_OFF_US:
        raise Wrong(
            f"it is {format_instant(ours)} by this machine's clock, and "
            f"{abs(theirs - ours) / MINUTE_US:,.0f} minutes "
            f"{'later' if theirs > ours else 'earlier'} by the server's",
            "set the clock that is wrong right, for instance by timedatectl set-ntp true",
        )
    return doctor_store.clock(place, connection)


def _looking(stack: ExitStack, place: Place, schema: str) -> PostgresConnection:
    """A connection that reads one state of the tables in a schema."""
    try:
        with told_clearly(place.name):
            connection = stack.enter_context(closing(connect(place.url, schema)))
            connection.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            return connection
    except StoreAway as error:
        raise Wrong(
            str(error).partition("; ")[0],
            "start the server, or put the URL right: host, port, user, password and database",
        ) from error


def _whole(place: Place, connection: PostgresConnection) -> str:
    """The revision, every table with its columns, and every index.

    Raises:
        Wrong: There are some of them, but not all.
        StoreMissing, StoreVersion: See there.
    """
    schema = FACTS.schema
    there = {
        name for asked in (_COLUMNS, _INDEXES) for (name,) in connection.execute(asked, (schema,))
    }
    if not there:
        raise StoreMissing(place.name)
    if "alembic_version.version_num" in there:
        if not connection.execute(_MAY_READ, (schema,)).fetchone()[0]:
            rights(place, connection)
        check_revision(connection.execute(SELECT).fetchone()[0], place.name)
    missing = sorted({"alembic_version.version_num", *tables.names()} - there)
    if missing:
        shown = ", ".join(missing[:5]) + (" …" if len(missing) > 5 else "")
        raise Wrong(f"{place.name} is half-made: missing are {shown}", BACKUP)
    return f"{place.name}: every table of version {REVISION}"


AROUND: Mapping[str, Callable[[Place], str]] = {"library": library}
WITHIN: Mapping[str, Callable[[Place, PostgresConnection], str]] = {
    "server": server,
    "rights": rights,
    "clock": clock,
}
