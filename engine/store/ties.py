"""What joins the identifiers of a lead, as known at a position, and what names them."""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from engine.history import Strings
from engine.identity import is_strong
from engine.store.belonging import gather
from engine.store.bulk import listed
from engine.store.connection import Connection
from engine.store.links import Pair, ascending, first_together, last_words, links_about
from engine.store.people import People
from engine.touchpoint import Identifier

_IDENTIFIERS = """
SELECT number, kind, digest FROM streams WHERE number IN (SELECT value FROM json_each(?))
"""


class Tie(NamedTuple):
    """Two strong identifiers, and the position of the touchpoint that joins them directly."""

    position: int
    one: int
    other: int


class Touch(NamedTuple):
    """A touchpoint of a lead, and whom it names, by number."""

    position: int
    at: int  # when it happened: microseconds, UTC
    strong: list[int]
    weak: list[int]


def identifiers(connection: Connection, numbers: Collection[int]) -> dict[int, Identifier]:
    """The identifiers of some numbers."""
    rows = connection.execute(_IDENTIFIERS, (listed(numbers),))
    return {number: Identifier(kind, digest) for number, kind, digest in rows}


def ties(connection: Connection, pairs: Collection[Pair], known_at: int) -> list[Tie]:
    """What joins pairs that are joined: the link that holds, else the first touchpoint of both."""
    said = last_words(links_about(connection, {one for one, _ in pairs}, known_at))
    found = []
    for one, other in pairs:
        link = said.get(ascending(one, other))
        position = link.position if link else first_together(connection, (one, other), known_at)
        assert position is not None, "what is joined is joined by something"
        found.append(Tie(position, one, other))
    return found


def touches_of(
    connection: Connection, people: People, lead: int, known_at: int, strings: Strings
) -> list[Touch]:
    """The touchpoints that count of a lead, in happening order."""
    owners, found = gather(connection, people, np.array([lead]), known_at, strings)
    own = np.flatnonzero(owners == lead)
    rows = found.packed.in_happening_order(own, np.array([0, len(own)]), strings)
    names, positions, when = found.names, found.positions, found.packed.column("occurred_at")
    touches = []
    for row in rows.tolist():
        named = names.distinct[names.at[names.starts[row] : names.starts[row + 1]]].tolist()
        strong = [number for number in named if is_strong(number)]
        weak = [number for number in named if not is_strong(number)]
        touches.append(Touch(int(positions[row]), int(when[row]), strong, weak))
    return touches
