"""What joins the identifiers of a lead, as known at a position, and what was said by hand."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

import numpy as np

from engine.history import Strings
from engine.identity import is_strong
from engine.store.belonging import gather
from engine.store.bulk import listed
from engine.store.connection import Connection
from engine.store.people import People
from engine.touchpoint import Identifier

Pair = tuple[int, int]  # numbers of strong identifiers

_IDENTIFIERS = """
SELECT number, kind, digest FROM streams WHERE number IN (SELECT value FROM json_each(?))
"""
_LINKS = """
SELECT position, identifier, other, linked, void FROM links
WHERE identifier IN (SELECT value FROM json_each(:asked)) AND position <= :known_at
ORDER BY occurred_at, sequence, source, event_id
"""
_TOUCHPOINT = "JOIN touchpoints AS t ON t.stream = e.stream AND t.position = e.position"
_COUNTS = "e.position <= :known_at AND (t.void IS NULL OR t.void > :known_at)"
_FIRST_TOGETHER = f"""
SELECT min(position) FROM (
    SELECT e.position FROM evidence AS e {_TOUCHPOINT}
    WHERE e.identifier = :other AND e.stream = :one AND {_COUNTS}
    UNION ALL SELECT e.position FROM evidence AS e {_TOUCHPOINT}
    WHERE e.identifier = :one AND e.stream = :other AND {_COUNTS}
    UNION ALL SELECT e.position FROM evidence AS e {_TOUCHPOINT}
    JOIN evidence AS with_it ON with_it.identifier = :other AND with_it.position = e.position
    WHERE e.identifier = :one AND {_COUNTS}
) AS together
"""


_NEXT_SEQUENCE = """
SELECT coalesce(max(sequence) + 1, 0) FROM links
WHERE identifier = ? AND other = ? AND occurred_at = ?
"""


class Link(NamedTuple):
    """What somebody said of two strong identifiers: that they are one person, or two."""

    position: int
    pair: Pair  # ascending
    linked: bool
    retracted: bool


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


def links_about(connection: Connection, numbers: Collection[int], known_at: int) -> list[Link]:
    """The links and unlinks that name one of some identifiers, in happening order."""
    asked = {"asked": listed(numbers), "known_at": known_at}
    found: dict[int, Link] = {}
    for position, one, other, linked, void in connection.execute(_LINKS, asked):
        pair = min(one, other), max(one, other)
        retracted = void is not None and void <= known_at
        found[position] = Link(position, pair, bool(linked), retracted)
    return list(found.values())


def last_words(links: Iterable[Link]) -> dict[Pair, Link]:
    """Of links and unlinks in happening order the one of each pair that holds."""
    return {link.pair: link for link in links if not link.retracted}


def next_sequence(connection: Connection, pair: Pair, at: int) -> int:
    """What puts a new link or unlink of two behind those of the same instant."""
    sequence: int = connection.execute(_NEXT_SEQUENCE, (*pair, at)).fetchone()[0]
    return sequence


def ties(connection: Connection, pairs: Collection[Pair], known_at: int) -> list[Tie]:
    """What joins pairs that are joined: the link that holds, else the first touchpoint of both."""
    said = last_words(links_about(connection, {one for one, _ in pairs}, known_at))
    found = []
    for one, other in pairs:
        if (link := said.get((min(one, other), max(one, other)))) is not None:
            found.append(Tie(link.position, one, other))
            continue
        asked = {"one": one, "other": other, "known_at": known_at}
        (position,) = connection.execute(_FIRST_TOGETHER, asked).fetchone()
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
