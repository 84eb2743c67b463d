"""The rule book: which rule set judges which instant."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from typing import NamedTuple, Self

from engine.history import BEGINNING
from engine.ruleset import RuleSet


class Era(NamedTuple):
    """A stretch of time that one rule set judges, up to the next one's beginning."""

    since: int  # microseconds, UTC
    rules: RuleSet


@dataclass(frozen=True)
class Book:
    """Rule sets that judge one after another."""

    eras: tuple[Era, ...]  # by `since`, the first from the beginning; no neighbours are the same

    @classmethod
    def of(cls, entries: Iterable[tuple[int | None, RuleSet]]) -> Self:
        """Entries in order of publication; the first is in force from the beginning of time.

        At an instant the last published one is in force that is effective by then, so each
        puts out of force what was to begin after it.
        """
        eras: list[Era] = []
        for effective_at, rules in entries:
            since = BEGINNING if effective_at is None else effective_at
            eras = [*(era for era in eras if era.since < since), Era(since, rules)]
        return cls(tuple(_first_of_each(eras, lambda era: era.rules.id)))

    @classmethod
    def always(cls, rules: RuleSet) -> Self:
        """One rule set for all time."""
        return cls((Era(BEGINNING, rules),))

    @property
    def id(self) -> str:
        """What the book is called by machines; that of its rule set where there is one alone."""
        if len(self.eras) == 1:
            return self.eras[0].rules.id
        lines = (f"{era.since} {era.rules.id}\n" for era in self.eras)
        return sha256("".join(lines).encode()).hexdigest()

    def at(self, instant: int) -> RuleSet:
        """The rule set in force at an instant: microseconds, UTC."""
        return self.until(instant).eras[-1].rules

    def until(self, instant: int) -> "Book":
        """The book as far as it judges anything up to an instant."""
        return Book(tuple(era for era in self.eras if era.since <= instant) or self.eras[:1])

    def folded_by(self, as_of: int) -> list[Era]:
        """The eras up to an instant that fold differently: each begins at a boundary.

        The last one has the rule set in force then, which says what is asked.
        """
        eras = self.until(as_of).eras
        judged = [*_first_of_each(eras, lambda era: era.rules.fold_id)]
        return [*judged[:-1], Era(judged[-1].since, eras[-1].rules)]

    def boundary(self, as_of: int) -> int:
        """When judging last changed, as seen from an instant; BEGINNING where it never did."""
        return self.folded_by(as_of)[-1].since

    def next_after(self, instant: int) -> int | None:
        """When another rule set comes into force; None where none does."""
        return next((era.since for era in self.eras if era.since > instant), None)


def lost_names(earlier: RuleSet, later: RuleSet) -> list[str]:
    """What a later rule set cannot go on with, as it knows no such score, track, stage or clock."""
    known = set(_carried(later))
    return [name for name in _carried(earlier) if name not in known]


def _carried(rules: RuleSet) -> Iterator[str]:
    yield from (f"score {score.name}" for score in rules.scores)
    for track in rules.tracks:
        yield f"track {track.name}"
        yield from (f"stage {track.name}.{stage.name}" for stage in track.stages)
    yield from (f"clock {clock.name}" for clock in rules.clocks)


def _first_of_each(eras: Iterable[Era], what: Callable[[Era], str]) -> Iterator[Era]:
    """Of neighbours that are alike the first alone."""
    return (next(alike) for _, alike in groupby(eras, what))
