"""What is known of two strong identifiers: what was said of them, and what names them both."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from engine.store.bulk import listed
from engine.store.connection import Connection

Pair = tuple[int, int]  # numbers of strong identifiers

_KNOWN = """
SELECT position, identifier, other, linked, void FROM links
WHERE position <= :known_at {} ORDER BY occurred_at, sequence, source, event_id
"""
_ABOUT = _KNOWN.format("AND identifier IN (SELECT value FROM json_each(:asked))")
_ALL = _KNOWN.format("AND identifier < other")  # they stand both ways round
_NEXT_SEQUENCE = """
SELECT coalesce(max(sequence) + 1, 0) FROM links
WHERE identifier = ? AND other = ? AND occurred_at = ?
"""
_FIRST_TOGETHER = """
SELECT min(e.position) FROM evidence AS e
JOIN touchpoints AS t ON t.stream = e.stream AND t.position = e.position
WHERE e.identifier IN (:one, :other) AND e.position <= :known_at
AND (t.void IS NULL OR t.void > :known_at) AND (
    e.stream IN (:one, :other) OR e.identifier = :one AND EXISTS (
        SELECT 1 FROM evidence AS with_it
        WHERE with_it.identifier = :other AND with_it.position = e.position
    )
)
"""


class Link(NamedTuple):
    """What somebody said of two strong identifiers: that they are one person, or two."""

    position: int
    pair: Pair  # ascending
    linked: bool
    retracted: bool


def ascending(one: int, other: int) -> Pair:
    """Two as links have them."""
    return min(one, other), max(one, other)


def all_links(connection: Connection, known_at: int) -> list[Link]:
    """All links and unlinks, in happening order."""
    return _links(connection.execute(_ALL, {"known_at": known_at}), known_at)


def links_about(connection: Connection, numbers: Collection[int], known_at: int) -> list[Link]:
    """The links and unlinks that name one of some identifiers, in happening order."""
    asked = {"asked": listed(numbers), "known_at": known_at}
    return _links(connection.execute(_ABOUT, asked), known_at)


def _links(rows: Iterable[tuple[int, int, int, int, int | None]], known_at: int) -> list[Link]:
    """Each once, where it may stand both ways round."""
    found: dict[int, Link] = {}
    for position, one, other, linked, void in rows:
        retracted = void is not None and void <= known_at
        found[position] = Link(position, ascending(one, other), bool(linked), retracted)
    return list(found.values())


def last_words(links: Iterable[Link]) -> dict[Pair, Link]:
    """Of links and unlinks in happening order the one of each pair that holds."""
    return {link.pair: link for link in links if not link.retracted}


def next_sequence(connection: Connection, pair: Pair, at: int) -> int:
    """What puts a new link or unlink of two behind those of the same instant."""
    sequence: int = connection.execute(_NEXT_SEQUENCE, (*pair, at)).fetchone()[0]
    return sequence


def first_together(connection: Connection, pair: Pair, known_at: int) -> int | None:
    """The position of the first touchpoint that counts and names both; None: there is none."""
    asked = {"one": pair[0], "other": pair[1], "known_at": known_at}
    position: int | None = connection.execute(_FIRST_TOGETHER, asked).fetchone()[0]
    return position
