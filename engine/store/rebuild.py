"""Making again, from the streams alone, what recording keeps beside them."""

from collections.abc import Mapping, Sequence

import numpy as np

from engine.codec import decode
from engine.history import Packed
from engine.progress import Progress, quiet
from engine.store.append import Memory, add_derived
from engine.store.bulk import listed
from engine.store.connection import Connection
from engine.store.dictionary import Dictionary
from engine.store.evidence import LINKED, Evidence, Pairs
from engine.store.ids import Ids
from engine.store.mapper import TOUCHPOINT_RECORDED
from engine.touchpoint import NEVER_FOLDED, Encoded

TABLES = ("touchpoints", "evidence", "pairs", "links", "retractions", "streams")
AT_ONCE = 5_000  # touchpoints
_NEXT = """
SELECT stored_events.rowid, state FROM stored_events
WHERE stored_events.rowid > ? AND topic = ? ORDER BY stored_events.rowid LIMIT ?
"""
PACKED_AT_ONCE = 50_000
_NEXT_PACKED = """
SELECT stream, position, packed FROM touchpoints WHERE (stream, position) > (?, ?)
ORDER BY stream, position LIMIT ?
"""
_TYPES = "SELECT id, text FROM strings WHERE text IN (SELECT value FROM json_each(?))"
_STATE = "SELECT state FROM stored_events WHERE stored_events.rowid = ?"
_RETRACTED = "SELECT min(position) FROM retractions WHERE source = ? AND event_id = ?"


def rebuild(connection: Connection, progress: Progress = quiet) -> int:
    """Empty the tables and fill them again, byte for byte; returns how many touchpoints there are.

    Args:
        connection: In a transaction that writes.
        progress: Told positions, and how many there are.
    """
    connection.take_time()
    memory = Memory(Dictionary(), Ids(), Pairs())
    memory.dictionary.bind(connection)
    for table in TABLES:
        connection.execute(f"DELETE FROM {table}")
    head = connection.execute("SELECT coalesce(max(stored_events.rowid), 0) FROM stored_events")
    last, count, at = head.fetchone()[0], 0, 0
    while rows := connection.execute(_NEXT, (at, TOUCHPOINT_RECORDED, AT_ONCE)).fetchall():
        placed = [(position, Encoded(decode(state), bytes(state))) for position, state in rows]
        add_derived(connection, memory, placed)
        count, at = count + len(rows), rows[-1][0]
        progress(at, last)
    return count


def rebuild_evidence(connection: Connection, progress: Progress = quiet) -> int:
    """Make again who is named beside whom, from touchpoints as they are packed, undecoded.

    Args:
        connection: In a transaction that writes.
        progress: Told touchpoints, and how many there are.

    Returns:
        How many touchpoints there are.
    """
    connection.take_time()
    for table in ("evidence", "pairs", "links"):
        connection.execute(f"DELETE FROM {table}")
    total: int = connection.execute("SELECT count(*) FROM touchpoints").fetchone()[0]
    never = _never_folded(connection)
    count, after = 0, (-1, -1)
    while rows := connection.execute(_NEXT_PACKED, (*after, PACKED_AT_ONCE)).fetchall():
        _say_again(connection, rows, never)
        count, after = count + len(rows), rows[-1][:2]
        progress(count, total)
    return count


def _never_folded(connection: Connection) -> dict[int, str]:
    """The types that are never folded, by the ids of their texts."""
    texts = (listed(sorted(NEVER_FOLDED)),)
    return dict(connection.execute(_TYPES, texts).fetchall())


def _say_again(
    connection: Connection, rows: Sequence[tuple[int, int, bytes]], never: Mapping[int, str]
) -> None:
    """Keep what touchpoints, each with stream and position, say of who is who."""
    evidence = Evidence()
    packed = Packed([row[2] for row in rows])
    counts, others = packed.others()
    types, ends = packed.column("type"), np.cumsum(counts)
    for row in np.flatnonzero(counts).tolist():
        stream, position, _ = rows[row]
        numbers = [stream, *others[ends[row] - counts[row] : ends[row]].tolist()]
        type_ = never.get(int(types[row]))
        if type_ is None:
            evidence.add(position, numbers)
        elif type_ in LINKED:
            link = decode(connection.execute(_STATE, (position,)).fetchone()[0])
            (void,) = connection.execute(_RETRACTED, (link.source, link.event_id)).fetchone()
            evidence.add_link(position, numbers, link, void)
    evidence.insert(connection, Pairs())
