"""What is kept about recording itself: when, from where, how much, how far, and who looked."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from engine.store.connection import Connection


class Intake(Struct, frozen=True):
    """What came from one origin: received = recorded + duplicates + set_aside."""

    received: int = 0
    recorded: int = 0
    duplicates: int = 0
    set_aside: int = 0


class Access(Struct, frozen=True):
    """Somebody looked at a lead's personal data."""

    at: int  # microseconds, UTC
    who: str
    lead: str
    reason: str


def stamp(connection: Connection, first: int, last: int, now: int) -> int:
    """Note when positions were recorded: now, but never before the one before."""
    before = connection.execute("SELECT max(recorded_at) FROM recordings").fetchone()[0]
    at = now if before is None else max(now, int(before))
    connection.execute("INSERT INTO recordings VALUES (?, ?, ?)", (first, last, at))
    return at


def recordings(connection: Connection, after: int, upto: int) -> list[tuple[int, int]]:
    """When the recordings that end in (after, upto] took place, each with its size."""
    rows = connection.execute(
        "SELECT recorded_at, last - first + 1 FROM recordings "
        "WHERE first >= (SELECT coalesce(max(first), 0) FROM recordings WHERE first <= :after) "
        "AND first <= :upto AND last > :after AND last <= :upto",
        {"after": after, "upto": upto},
    )
    return list(rows)


def recorded_upto(connection: Connection, instant: int) -> int:
    """The last position recorded at or before an instant; 0 where there is none."""
    row = connection.execute(
        "SELECT last FROM recordings WHERE recorded_at <= ? "
        "ORDER BY recorded_at DESC, last DESC LIMIT 1",
        (instant,),
    ).fetchone()
    return int(row[0]) if row else 0


def recorded_at(connection: Connection, position: int) -> int | None:
    """When a position was recorded, in microseconds, UTC; None for what no recording has."""
    row = connection.execute(
        "SELECT recorded_at FROM recordings WHERE first <= ? ORDER BY first DESC LIMIT 1",
        (position,),
    ).fetchone()
    return int(row[0]) if row else None


def add_intake(connection: Connection, origin: str, more: Intake) -> None:
    """Add to what came from an origin."""
    connection.execute(
        "INSERT INTO intake VALUES (?, ?, ?, ?, ?) ON CONFLICT (origin) DO UPDATE SET "
        "received = intake.received + excluded.received, "
        "recorded = intake.recorded + excluded.recorded, "
        "duplicates = intake.duplicates + excluded.duplicates, "
        "set_aside = intake.set_aside + excluded.set_aside",
        (origin, more.received, more.recorded, more.duplicates, more.set_aside),
    )


def add_dropped(connection: Connection, more: Mapping[tuple[str, str], int]) -> None:
    """Add identifiers that name nobody, by origin and reason."""
    connection.executemany(
        "INSERT INTO dropped VALUES (?, ?, ?) ON CONFLICT (origin, reason) DO UPDATE SET "
        "identifiers = dropped.identifiers + excluded.identifiers",
        [(*key, count) for key, count in sorted(more.items())],
    )


def dropped(connection: Connection) -> dict[tuple[str, str], int]:
    """How many identifiers name nobody, by origin and reason."""
    rows = connection.execute("SELECT * FROM dropped ORDER BY origin, reason")
    return {(origin, reason): count for origin, reason, count in rows}


def intake(connection: Connection) -> Mapping[str, Intake]:
    """What came, by origin."""
    rows = connection.execute("SELECT * FROM intake ORDER BY origin")
    return {origin: Intake(*counts) for origin, *counts in rows}


def keep_headers(
    connection: Connection, first: int, headers: Sequence[Sequence[tuple[str, bytes]]]
) -> None:
    """Keep what messages said beside their touchpoints, whose positions begin at `first`."""
    rows = [
        (position, bytearray(msgspec.msgpack.encode(some)))
        for position, some in enumerate(headers, first)
        if some
    ]
    if rows:
        connection.add_rows("message_headers", ("position", "headers"), rows)


def headers_at(connection: Connection, position: int) -> list[tuple[str, bytes]]:
    """What a message said beside the touchpoint at a position; nothing where none came so."""
    row = connection.execute(
        "SELECT headers FROM message_headers WHERE position = ?", (position,)
    ).fetchone()
    return msgspec.msgpack.decode(row[0], type=list[tuple[str, bytes]]) if row else []


def import_state(connection: Connection, key: str) -> str | None:
    """How far an import has come, in the words of the importer; None where it never began."""
    row = connection.execute("SELECT state FROM imports WHERE key = ?", (key,)).fetchone()
    return row[0] if row else None


def keep_import_state(connection: Connection, key: str, state: str) -> None:
    """Note how far an import has come."""
    connection.execute(
        "INSERT INTO imports VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET state = excluded.state",
        (key, state),
    )


def log_access(connection: Connection, access: Access) -> None:
    """Keep that somebody looked."""
    connection.execute(
        "INSERT INTO accesses (at, who, lead, reason) VALUES (?, ?, ?, ?)",
        (access.at, access.who, access.lead, access.reason),
    )


def accesses(connection: Connection) -> list[Access]:
    """Who looked, in the order in which they did."""
    rows = connection.execute("SELECT at, who, lead, reason FROM accesses ORDER BY number")
    return [Access(*row) for row in rows]
