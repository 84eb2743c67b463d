"""What was set aside: kept sealed, each item under a data key of its own that goes with it."""

from collections.abc import Iterator

from msgspec import Struct

from engine.privacy import Alone, WorkspaceKey, seal_alone, unseal_alone
from engine.store.connection import Connection
from engine.touchpoint import Arrival

BATCH = 500  # items held at once
BATCH_BYTES = 8 << 20  # beyond which a batch takes no further item
_ITEM = (
    "number, origin, line, partition, reason, detail, form, at, retried_at, outcome, "
    "wrapped_key, nonce, ciphertext"
)


class Aside(Struct, frozen=True):
    """One delivery that was not recorded, and why."""

    number: int
    origin: str
    line: int
    partition: int
    reason: str
    detail: str
    form: str
    at: int  # microseconds, UTC
    retried_at: int | None
    outcome: str | None  # recorded or duplicate; None while it is aside
    sealed: Alone

    def data(self, workspace_key: WorkspaceKey) -> bytes:
        """The bytes as they came."""
        return unseal_alone(self.sealed, workspace_key)


def set_aside(
    connection: Connection,
    arrival: Arrival,
    why: tuple[str, str],
    at: int,
    workspace_key: WorkspaceKey,
) -> bool:
    """Keep a delivery with its reason and detail; false where it was kept before.

    The same bytes from the same place for the same reason are one delivery come
    again, as when an import is run twice. Sealed bytes tell only once opened.
    """
    place = (arrival.origin, arrival.line, arrival.partition, *why)
    data = bytes(arrival.data)
    statement = (
        f"SELECT {_ITEM} FROM aside "
        "WHERE (origin, line, partition, reason, detail) = (?, ?, ?, ?, ?)"
    )
    for item in _items(connection, statement, place):
        if item.data(workspace_key) == data:
            return False
    sealed = seal_alone(data, workspace_key)
    connection.execute(
        "INSERT INTO aside (origin, line, partition, reason, detail, form, at, wrapped_key, nonce, "
        "ciphertext) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*place, arrival.form, at, *sealed),
    )
    return True


def listed(connection: Connection, *, waiting: bool) -> list[Aside]:
    """All items, or those still waiting, in the order in which they were set aside."""
    where = "WHERE outcome IS NULL" if waiting else ""
    return list(_items(connection, f"SELECT {_ITEM} FROM aside {where} ORDER BY number", ()))


def waiting(connection: Connection) -> tuple[int, int]:
    """How many items wait, and the number of the last one; 0 and 0 where none does."""
    counted = "SELECT count(*), coalesce(max(number), 0) FROM aside WHERE outcome IS NULL"
    count, last = connection.execute(counted).fetchone()
    return count, last


def batch(connection: Connection, after: int, upto: int) -> list[Aside]:
    """The first items with numbers in (after, upto] that wait, no more than memory should hold."""
    statement = (
        f"SELECT {_ITEM} FROM aside WHERE number > ? AND number <= ? AND outcome IS NULL "
        "ORDER BY number LIMIT ?"
    )
    items: list[Aside] = []
    size = 0
    for item in _items(connection, statement, (after, upto, BATCH)):
        items.append(item)
        size += len(item.sealed.ciphertext)
        if size >= BATCH_BYTES:
            break
    return items


def following(
    connection: Connection, origin: str, partition: int, after: int, most: int
) -> list[Aside]:
    """The first items of a partition whose numbers come after one, whatever became of them."""
    statement = (
        f"SELECT {_ITEM} FROM aside WHERE number > ? AND origin = ? AND partition = ? "
        "ORDER BY number LIMIT ?"
    )
    return list(_items(connection, statement, (after, origin, partition, most)))


def waits(connection: Connection, number: int) -> bool:
    """Whether nothing became of an item yet."""
    statement = "SELECT EXISTS (SELECT 1 FROM aside WHERE number = ? AND outcome IS NULL)"
    return bool(connection.execute(statement, (number,)).fetchone()[0])


def mark(connection: Connection, number: int, at: int, outcome: str | None) -> None:
    """Note that an item was tried again at an instant, and what became of it."""
    connection.execute(
        "UPDATE aside SET retried_at = ?, outcome = ? WHERE number = ?", (at, outcome, number)
    )


def _items(connection: Connection, statement: str, values: tuple[object, ...]) -> Iterator[Aside]:
    for row in connection.execute(statement, values):
        *told, wrapped_key, nonce, ciphertext = row
        yield Aside(*(*told, Alone(wrapped_key, nonce, ciphertext)))
