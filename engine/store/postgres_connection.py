"""Connections to PostgreSQL that take the store's SQL, values as SQLite has them, and many rows.

An id of a stream is a UUID there and 32 hex digits here; bytes go as they are.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import psycopg
from psycopg import RawCursor
from psycopg.adapt import Buffer, Dumper, Loader
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Format, TransactionStatus
from psycopg.sql import SQL, Identifier
from psycopg.types.numeric import Int8BinaryDumper
from psycopg.types.string import BytesBinaryDumper

from engine.errors import BadSetting
from engine.store.connection import Cursor

_PLACE = re.compile(
    r"IN \(SELECT value FROM json_each\((?P<list>\?|:\w+)\)\)|\?|(?<!:):\w+|stored_events\.rowid"
)
_SCHEME = re.compile(r"postgres(ql)?(\+\w+)?://")
_COLUMNS = "SELECT attname, atttypid FROM pg_attribute WHERE attrelid = to_regclass(?)"
_OPTIONS = {  # whoever hears nothing for half a minute should not wait for ever
    "application_name": "leadledger",
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "4",
    "tcp_user_timeout": "30000",
}
# Says whether a server is the one that it was: started as then, and not recovered since.
_LIFE = (
    "SELECT pg_postmaster_start_time()::text || coalesce("
    "pg_stat_get_bgwriter_stat_reset_time()::text, '')"
)


class Words(NamedTuple):
    """A statement in PostgreSQL's words, and how its values are handed over."""

    sql: str
    names: Sequence[str]  # of the values, in their order; none where they come in order
    lists: Sequence[int]  # which of them are lists in JSON


class PostgresConnection:
    """`engine.store.connection.Connection` over PostgreSQL."""

    dialect = "postgresql"

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        """Serve a connection that `connect` made."""
        self.raw = raw
        self.newest: Sequence[Any] | None = None  # the last event that was added
        self.life = str(self.execute(_LIFE).fetchone()[0])
        self._types: dict[str, dict[str, int]] = {}

    @property
    def lost(self) -> bool:
        """Whether nothing can be asked any more."""
        return self.raw.closed

    @property
    def busy(self) -> bool:
        """Whether a transaction is open."""
        return not self.lost and self.raw.info.transaction_status != TransactionStatus.IDLE

    def execute(self, sql: str, parameters: Any = (), /) -> Cursor:
        """Run one statement."""
        words = translated(sql)
        return RawCursor(self.raw).execute(words.sql, _values(words, parameters), binary=True)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> None:
        """Run one statement for each of many parameters."""
        words = translated(sql)
        if values := [_values(words, one) for one in parameters]:
            RawCursor(self.raw).executemany(words.sql, values)

    def add_rows(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Insert many rows by COPY."""
        if not rows:
            return
        if table == "stored_events":
            columns = ["notification_id" if name == "rowid" else name for name in columns]
            self.newest = rows[-1]
        types = self._types_of(table)
        statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"
        with RawCursor(self.raw).copy(statement.encode()) as copy:
            copy.set_types([types[name] for name in columns])
            write = copy.write_row
            for row in rows:
                write(row)

    def take_time(self) -> None:
        """A writer's statements have a limit, lest one who stands still keeps all others out."""
        self.execute("SET LOCAL statement_timeout = 0")

    def run(self, statements: str) -> Any:
        """Run several statements in one go; returns the first row of the last."""
        cursor = self.raw.execute(statements.encode())
        while cursor.nextset():
            pass
        return cursor.fetchone() if cursor.description else None

    def commit(self, statements: str) -> None:
        """Run what ends with COMMIT.

        Raises:
            psycopg.errors.InFailedSqlTransaction: An error was passed over, so all is undone.
        """
        if self.raw.info.transaction_status == TransactionStatus.INERROR:
            raise psycopg.errors.InFailedSqlTransaction("an error was passed over")
        self.run(statements)

    def close(self) -> None:
        """Give it up, in whatever state it is."""
        self.raw.close()

    def _types_of(self, table: str) -> dict[str, int]:
        if table not in self._types:
            self._types[table] = dict(self.execute(_COLUMNS, (table,)).fetchall())
        return self._types[table]


def connect(url: str, schema: str) -> PostgresConnection:
    """A connection that finds its tables in a schema, each statement a transaction of its own.

    Raises:
        BadSetting: The URL is none of PostgreSQL's.
        psycopg.OperationalError: There is no way to have one now.
    """
    try:
        named = conninfo_to_dict(_SCHEME.sub("postgresql://", url, count=1))
    except psycopg.ProgrammingError:  # which shows what it was given, password and all
        write = "write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        raise BadSetting("the database", "has a URL that cannot be read", write) from None
    given = {name: str(value) for name, value in named.items()}
    raw = psycopg.connect(make_conninfo(**(_OPTIONS | given)), autocommit=True)
    raw.adapters.register_loader("uuid", _UuidAsHex)
    raw.adapters.register_dumper(None, _HexAsUuid)
    raw.adapters.register_dumper(None, BytesBinaryDumper)  # its default for COPY is slower
    raw.adapters.register_dumper(int, Int8BinaryDumper)
    raw.execute(SQL("SET search_path TO {}").format(Identifier(schema)))
    return PostgresConnection(raw)


@lru_cache(maxsize=256)
def translated(sql: str) -> Words:
    """A statement of the store in PostgreSQL's words."""
    names: list[str] = []
    lists: list[int] = []

    def place(found: re.Match[str]) -> str:
        if found.group() == "stored_events.rowid":
            return "stored_events.notification_id"
        name = found["list"] or found.group()
        if name == "?" or name not in names:
            names.append(name)
        number = len(names) if name == "?" else names.index(name) + 1
        if not found["list"]:
            return f"${number}"
        lists.append(number - 1)
        return f"= ANY(${number})"

    text = _PLACE.sub(place, sql)
    return Words(text, [name[1:] for name in names if name != "?"], lists)


def _values(words: Words, parameters: Sequence[Any] | Mapping[str, Any]) -> list[Any]:
    if isinstance(parameters, Mapping):
        values = [parameters[name] for name in words.names]
    else:
        values = list(parameters)
    for number in words.lists:
        values[number] = _array(values[number])
    return values


def _array(listed: str) -> str:
    """A list in JSON as PostgreSQL writes arrays, which has no escapes but of quotes."""
    if "\\" in listed:
        values = (value.replace("\\", r"\\") for value in msgspec.json.decode(listed))
        listed = "[" + ",".join('"' + value.replace('"', r"\"") + '"' for value in values) + "]"
    return "{" + listed[1:-1] + "}"


class _UuidAsHex(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> str:
        return bytes(data).hex()


class _HexAsUuid(Dumper):
    format = Format.BINARY
    oid = psycopg.adapters.types["uuid"].oid

    def dump(self, obj: str) -> bytes:
        return bytes.fromhex(obj)
