"""A lead on its way through its history: what the fold remembers."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.naive.decay import decayed
from tests.naive.rules import Move, Rules, Score
from tests.naive.touchpoints import Touch


@dataclass
class Visit:
    """A stay in a stage; what caused it is a touchpoint or a timed move."""

    track: str
    stage: str
    visit: int
    entered: int
    cause: Touch | Move
    direction: str
    skipped: int
    left: int | None = None


@dataclass
class Run:
    """One run of a clock; `end` is stop or cancel."""

    clock: str
    started: int
    due: int
    ended: int | None = None
    end: str | None = None

    def state(self, at: int) -> str:
        if self.ended is None:
            return "breached" if at > self.due else "running"
        if self.end == "stop":
            return "met" if self.ended <= self.due else "late"
        return "cancelled" if self.ended <= self.due else "breached"


@dataclass
class Item:
    """What a funnel looks at: a touchpoint, or a stage entry and what caused it."""

    at: int
    touch: Touch | None = None
    enters: str | None = None
    cause: Touch | None = None


@dataclass
class Lead:
    """A lead on its way through its history, under the rules in force."""

    rules: Rules
    met: Counter[str]
    touches: list[Touch] = field(default_factory=list)
    scores: dict[str, int] = field(default_factory=dict)
    scored_at: int | None = None
    since: int | None = None  # the last boundary
    windows: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    shown: list[tuple[int, frozenset[str]]] = field(default_factory=list)
    value: dict[str, Any] | None = None
    owner: str | None = None
    anomalies: int = 0
    open: dict[str, Visit] = field(default_factory=dict)
    visits: list[Visit] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)

    def stage(self, track: str) -> str:
        return self.open[track].stage if track in self.open else "none"

    def seen(self) -> set[str]:
        return {signal for _, signals in self.shown for signal in signals}

    def last(self, signal: str | None) -> int | None:
        """When the last touchpoint carrying a signal happened; None asks for any."""
        times = [at for at, signals in self.shown if signal is None or signal in signals]
        return times[-1] if times else None

    def count(self, signal: str, after: int | None) -> int:
        """How many touchpoints carry a signal, all or those later than an instant."""
        return sum(signal in signals for at, signals in self.shown if after is None or at > after)

    def score_at(self, score: Score, at: int) -> int:
        return decayed(self.scores[score.name], score.half_life, self.scored_at, at)


def in_stage(lead: Lead, place: str) -> bool:
    track, stage = place.split(".")
    return lead.stage(track) == stage
