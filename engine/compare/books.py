"""The rule book as it would be if some of what was published lately had not been."""

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise

from engine.book import Book, lost_names
from engine.compare.causes import EVERYBODY, NOTHING, Asked, Kept, Question, World, find
from engine.store.connection import Connection
from engine.store.in_force import book_of
from engine.store.rulebook import rule_book

_ITSELF = EVERYBODY, "book"  # as a figure


class Books:
    """The books between two positions, the later one included."""

    def __init__(self, connection: Connection, after: int, upto: int, as_of: int) -> None:
        self._connection, self._after, self.as_of = connection, after, as_of
        self._told = rule_book(connection, upto)
        self._known: dict[Kept, Book | None] = {}
        self.published = frozenset(one.position for one in self._told if one.position > after)

    @cached_property
    def differ(self) -> bool:
        """Whether what was published lately changes what judges, or what is asked, by then."""
        before, after = self.with_only(NOTHING), self.with_only(self.published)
        return before is None or after is None or before.id != after.id

    @cached_property
    def needed(self) -> Kept:
        """Of what was published lately as much as makes the book what it is, where it differs."""
        (found,) = find([Question(0, _ITSELF, self.published)], self._as_worlds)
        return found or NOTHING

    def with_only(self, kept: Kept) -> Book | None:
        """The book with only these of what was published lately; None where it cannot be.

        A rule set goes on with what the one before it has, so it cannot follow any.
        """
        kept &= self.published
        if kept not in self._known:
            told = [
                one for one in self._told if one.position <= self._after or one.position in kept
            ]
            book = book_of(self._connection, told).until(self.as_of)
            eras = book.folded_by(self.as_of)
            lost = any(lost_names(one.rules, later.rules) for one, later in pairwise(eras))
            self._known[kept] = None if lost else book
        return self._known[kept]

    def _as_worlds(self, asked: Sequence[Asked]) -> list[World | None]:
        books = [self.with_only(kept) for _, kept in asked]
        return [None if book is None else {_ITSELF: book.id} for book in books]
