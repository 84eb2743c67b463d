"""What PostgreSQL says when something is wrong, told clearly."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from engine.errors import (
    StoreAway,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreIO,
    StoreLocked,
    StoreReadOnly,
)

LOCK_TIMEOUT_S = 30
# Connections, interventions, resources, others' transactions, and time that ran out.
_PASSES = ("08", "57", "53", "40", "25P03", "25P04")


@contextmanager
def told_clearly(name: str) -> Iterator[None]:
    """Turn errors about a server's state into ours; others, such as a conflict, pass."""
    try:
        yield
    except psycopg.Error as error:
        clear = _clear(error, name)
        if clear is None:
            raise
        raise clear from error


def _clear(error: psycopg.Error, name: str) -> StoreError | None:
    state = error.sqlstate
    match state:
        case "53100":
            return StoreFull(name)
        case "55P03":
            return StoreLocked(name, LOCK_TIMEOUT_S)
        case "42501" | "25006":
            return StoreReadOnly(name, "have its owner grant that, or name another by --db")
        case "58030":
            return StoreIO(name, reason(error))
        case "XX001" | "XX002":
            return StoreCorrupt(name, reason(error))
        case None:
            connections = (psycopg.OperationalError, psycopg.InterfaceError)
            return StoreAway(name, reason(error)) if isinstance(error, connections) else None
    return StoreAway(name, reason(error)) if state.startswith(_PASSES) else None


def reason(error: psycopg.Error) -> str:
    """What went wrong, in one line and without values: those are in other lines."""
    said = error.diag.message_primary or str(error).partition("\n")[0]
    return said.removeprefix("connection failed: ") or type(error).__name__
