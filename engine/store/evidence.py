"""What touchpoints say of who is who, kept as it comes: nothing here is worked out.

Rows are added and never changed, but for the mark of a retraction. So who was who, as
known at any position, comes from the rows up to it (engine/store/people.py).
"""

from collections.abc import Iterable, Sequence
from itertools import permutations
from typing import Any

from engine.identity import is_strong
from engine.store.connection import Connection
from engine.touchpoint import Touchpoint

LINKED = {"identity_linked": 1, "identity_unlinked": 0}

_KEPT = 1 << 18  # pairs in memory
_LINK_COLUMNS = (
    "identifier",
    "position",
    "other",
    "linked",
    "occurred_at",
    "sequence",
    "source",
    "event_id",
    "void",
)
_PAIR = """
INSERT INTO pairs VALUES (?, ?, ?, ?) ON CONFLICT (identifier, other) DO UPDATE
SET stream = excluded.stream, position = excluded.position
WHERE excluded.position < pairs.position
"""

Pair = tuple[int, int]  # numbers of strong identifiers


class Pairs:
    """Pairs that are known, for the one who writes; forget them when a transaction is undone."""

    def __init__(self) -> None:
        self._known: set[Pair] = set()

    def forget(self) -> None:
        """Empty the memory."""
        self._known.clear()

    def add(self, connection: Connection, seen: Iterable[tuple[Pair, tuple[int, int]]]) -> None:
        """Keep pairs, each with position and stream of a touchpoint; the first ones count."""
        if len(self._known) > _KEPT:
            self.forget()
        new: dict[Pair, tuple[int, int]] = {}
        for pair, place in seen:
            if pair not in self._known:
                new[pair] = min(place, new.get(pair, place))
        connection.executemany(_PAIR, [(*pair, *new[pair][::-1]) for pair in sorted(new)])
        self._known.update(new)


class Evidence:
    """What a batch says."""

    def __init__(self) -> None:
        self._named: list[tuple[int, int, int]] = []
        self._pairs: list[tuple[Pair, tuple[int, int]]] = []  # with position and stream
        self._links: list[tuple[Any, ...]] = []

    def add(self, position: int, numbers: Sequence[int]) -> None:
        """One touchpoint that is folded, and those whom it names, its stream's first."""
        stream, *others = numbers
        self._named += ((number, position, stream) for number in others)
        self._add_pairs(position, numbers)

    def add_link(
        self, position: int, numbers: Sequence[int], link: Touchpoint, void: int | None
    ) -> None:
        """One link or unlink of two; `void` is the position of an earlier retraction of it."""
        linked = LINKED[link.type]
        when = link.occurred_at, link.sequence, link.source, link.event_id
        for one, other in self._add_pairs(position, numbers):
            self._links.append((one, position, other, linked, *when, void))

    def _add_pairs(self, position: int, numbers: Sequence[int]) -> Sequence[Pair]:
        strong = [number for number in numbers if is_strong(number)]
        pairs = [*permutations(strong, 2)]
        self._pairs += ((pair, (position, numbers[0])) for pair in pairs)
        return pairs

    def insert(self, connection: Connection, known: Pairs) -> None:
        """Write all of it."""
        self._named.sort()
        connection.add_rows("evidence", ("identifier", "position", "stream"), self._named)
        if self._pairs:
            known.add(connection, self._pairs)
        connection.add_rows("links", _LINK_COLUMNS, self._links)
