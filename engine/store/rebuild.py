"""Making again, from the streams alone, all that recording keeps beside them."""

from engine.codec import decode
from engine.progress import Progress, quiet
from engine.store.append import Memory, add_derived
from engine.store.connection import Connection
from engine.store.dictionary import Dictionary
from engine.store.evidence import Pairs
from engine.store.ids import Ids
from engine.store.mapper import TOUCHPOINT_RECORDED
from engine.touchpoint import Encoded

TABLES = ("touchpoints", "evidence", "pairs", "links", "retractions", "streams")
AT_ONCE = 5_000  # touchpoints
_NEXT = """
SELECT stored_events.rowid, state FROM stored_events
WHERE stored_events.rowid > ? AND topic = ? ORDER BY stored_events.rowid LIMIT ?
"""


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
