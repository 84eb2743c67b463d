"""What the store asks of a database, SQLite or PostgreSQL: a few methods, and SQL that both take.

Statements are written as SQLite takes them: `?` and `:name` for values, `IN (SELECT value
FROM json_each(?))` with `listed(...)` for many, `stored_events.rowid` for the position of an
event. A connection to PostgreSQL puts these, and nothing else, into its own words.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Cursor(Protocol):
    """The rows that a statement gave."""

    @property
    def rowcount(self) -> int:
        """How many rows a statement changed."""
        ...

    def __iter__(self) -> Iterator[Any]: ...

    def fetchone(self) -> Any:
        """The next row; None where there is none."""
        ...

    def fetchmany(self, size: int = ..., /) -> list[Any]:
        """The next rows, at most so many."""
        ...

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        ...


class Connection(Protocol):
    """A connection in a transaction."""

    @property
    def dialect(self) -> str:
        """Whose words a statement that makes tables must be in: "sqlite" or "postgresql"."""
        ...

    def execute(self, sql: str, parameters: Any = ..., /) -> Cursor:
        """Run one statement."""
        ...

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> object:
        """Run one statement for each of many parameters."""
        ...

    def add_rows(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Insert many rows in the quickest way; blobs are quicker as bytearray than as bytes."""
        ...

    def take_time(self) -> None:
        """Let what follows in a transaction that writes take as long as it does."""
        ...


class Database(Protocol):
    """A database; safe to share among threads."""

    @property
    def name(self) -> str:
        """What it is called in messages; no secret is in it."""
        ...

    def transaction(self) -> AbstractContextManager[Connection]:
        """Write: committed at the end, undone on any error; one at a time among all processes."""
        ...

    def snapshot(self) -> AbstractContextManager[Connection]:
        """Read: this thread sees one state from the first on; may be nested."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...
