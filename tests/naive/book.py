"""The rule book: which rule set is in force when, and where judging changes."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.naive.rules import Rules, read_rules
from tests.naive.units import instant_us

BEGINNING = -(10**18)  # before any instant that a touchpoint may have
Entry = tuple[str, str | int | None]  # TOML text, effective_at


@dataclass
class Book:
    """The entries in order of publication."""

    entries: list[tuple[int, Rules]]

    @classmethod
    def of(cls, written: str | Sequence[Entry]) -> "Book":
        """One TOML text, or (text, effective_at) in order of publication."""
        entries = [(written, None)] if isinstance(written, str) else written
        return cls(
            [
                (BEGINNING if since is None else instant_us(since), read_rules(toml))
                for toml, since in entries
            ]
        )

    def in_force(self, at: int) -> Rules:
        """The last published among those effective at or before an instant."""
        return [rules for since, rules in self.entries if since <= at][-1]

    def boundaries(self) -> list[int]:
        """The instants at which the fold part of the rules in force changes."""
        return [
            since
            for since in sorted({since for since, _ in self.entries} - {BEGINNING})
            if self.in_force(since - 1).fold_part != self.in_force(since).fold_part
        ]
