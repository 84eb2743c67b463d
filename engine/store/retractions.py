"""A touchpoint by its id: where it lies, whose it is, and what voids it."""

import numpy as np

from engine.history import Strings
from engine.identity import originator_of
from engine.store.belonging import gather, leads_of
from engine.store.connection import Connection
from engine.store.ids import Key, by_id
from engine.store.people import People
from engine.store.reading import identifiers_beginning
from engine.store.recorder import last_position
from engine.touchpoint import Touchpoint


def position_of(connection: Connection, key: Key) -> int | None:
    """The position of a recorded touchpoint; None where there is none with this id."""
    return _first(connection, "ids", key) or _first(connection, "recent_ids", key)


def retracted_at(connection: Connection, key: Key) -> int | None:
    """The position of the first retraction that names an id; None where there is none."""
    return _first(connection, "retractions", key)


def _first(connection: Connection, table: str, key: Key) -> int | None:
    found = by_id(connection, f"position FROM {table}", [key])
    return min((int(position) for _, (position,) in found), default=None)


def lead_of(
    connection: Connection, position: int, touchpoint: Touchpoint, strings: Strings, too_common: int
) -> int:
    """The number of the lead that a touchpoint, which counts, is of now."""
    named = [
        identifiers_beginning(connection, originator_of(who)) for who in touchpoint.identifiers
    ]
    leads = leads_of(connection, np.concatenate(named), strings, too_common)
    people = People(connection, last_position(connection), too_common)
    owners, found = gather(connection, people, leads, None, strings)
    return int(owners[found.positions == position][0])
