"""What touchpoints say of who is who, kept as it comes: nothing here is worked out.

Rows are added and never changed, but for the mark of a retraction. So who was who, as
known at any position, comes from the rows up to it (engine/store/people.py).
"""

from collections.abc import Iterable, Sequence
from itertools import permutations
from typing import Any

from engine.store.connection import Connection
from engine.touchpoint import NEVER_FOLDED, STRONG_KINDS, Identifier, Touchpoint

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
_PAIR = "INSERT INTO pairs VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_STRONG = frozenset(STRONG_KINDS)

Pair = tuple[int, int]  # numbers of strong identifiers


class Pairs:
    """Pairs that are known, for the one who writes; forget them when a transaction is undone."""

    def __init__(self) -> None:
        self._known: set[Pair] = set()

    def forget(self) -> None:
        """Empty the memory."""
        self._known.clear()

    def add(self, connection: Connection, seen: Iterable[tuple[Pair, tuple[int, int]]]) -> None:
        """Keep pairs, each with the stream and position of a touchpoint; the first ones count."""
        if len(self._known) > _KEPT:
            self.forget()
        new: dict[Pair, tuple[int, int]] = {}
        for pair, place in seen:
            if pair not in self._known:
                new.setdefault(pair, place)
        connection.executemany(_PAIR, [(*pair, *new[pair]) for pair in sorted(new)])
        self._known.update(new)


class Evidence:
    """What a batch says."""

    def __init__(self) -> None:
        self._named: list[tuple[int, int, int]] = []
        self._pairs: list[tuple[Pair, tuple[int, int]]] = []
        self._links: list[tuple[Any, ...]] = []

    def add(
        self,
        position: int,
        touchpoint: Touchpoint,
        named: Sequence[tuple[Identifier, int]],
        void: int | None,
    ) -> None:
        """One touchpoint, and those whom it names, its stream's first, each with a number.

        `void` is the position of an earlier retraction that names it.
        """
        linked = LINKED.get(touchpoint.type)
        if linked is None and touchpoint.type in NEVER_FOLDED:
            return
        (_, stream), *others = named
        strong = [number for who, number in named if who.kind in _STRONG]
        pairs = [*permutations(strong, 2)]
        self._pairs += ((pair, (stream, position)) for pair in pairs)
        if linked is None:
            self._named += ((number, position, stream) for _, number in others)
            return
        when = touchpoint.occurred_at, touchpoint.sequence, touchpoint.source, touchpoint.event_id
        self._links += ((one, position, other, linked, *when, void) for one, other in pairs)

    def insert(self, connection: Connection, known: Pairs) -> None:
        """Write all of it."""
        self._named.sort()
        connection.add_rows("evidence", ("identifier", "position", "stream"), self._named)
        if self._pairs:
            known.add(connection, self._pairs)
        connection.add_rows("links", _LINK_COLUMNS, self._links)
