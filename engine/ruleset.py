"""Rule sets, as people write them.

Durations are microseconds, points micro-points, zones IANA names. Names refer
to names: turning them into array indexes is the business of `engine.tables`.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from operator import attrgetter
from typing import Literal, TypeVar

from msgspec import Struct

from engine.touchpoint import Scalar

T = TypeVar("T")
MOST_KEPT = 32  # rule sets of which what was worked out is kept
Label = Mapping[str, str]  # by language: en, vi, th


class Condition(Struct, frozen=True):
    """What one field must be: all operators hold.

    `field` is type, channel, source, campaign.*, actor.*, amount.* or attributes.NAME.
    `operators` maps is, not, in to a tuple of scalars; at_least, at_most to a number;
    starts_with, contains, matches to a text; exists to a boolean.
    """

    field: str
    operators: Mapping[str, Scalar | tuple[Scalar, ...]]


class Signal(Struct, frozen=True):
    """What a touchpoint must be like; `any`: at least one group of conditions holds, too."""

    name: str
    conditions: tuple[Condition, ...]
    any: tuple[tuple[Condition, ...], ...] = ()
    label: Label = {}


class Earn(Struct, frozen=True):
    """What a touchpoint that carries a signal adds to a score."""

    signal: str
    points: int  # micro-points
    at_most: int | None = None
    every_us: int | None = None


class Score(Struct, frozen=True):
    """A sum of what touchpoints earned, fading by half in every half-life."""

    name: str
    earns: tuple[Earn, ...]
    half_life_us: int | None = None
    floor: int = -(10**12)  # micro-points
    cap: int = 10**12
    label: Label = {}


class Stage(Struct, frozen=True):
    """A place on a track."""

    name: str
    kind: Literal["open", "won", "lost", "parked"] = "open"
    aliases: tuple[str, ...] = ()
    probability: float | None = None
    time_limit_us: int | None = None
    label: Label = {}


class Count(Struct, frozen=True):
    """At least so many touchpoints carrying a signal, within some time or ever."""

    signal: str
    at_least: int
    within_us: int | None = None


class When(Struct, frozen=True):
    """What must hold at a touchpoint for a move to apply; parts left empty do not ask."""

    signal: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    not_seen: tuple[str, ...] = ()
    score: str | None = None
    at_least: int | None = None  # micro-points
    below: int | None = None  # micro-points
    count: Count | None = None
    stage: tuple[str, ...] = ()  # "track.stage" or "track.none"


class Timer(Struct, frozen=True):
    """When a timed move is due."""

    kind: Literal["after_silence", "after_stay", "below_score"]
    duration_us: int | None = None  # after_silence, after_stay
    of: str | None = None  # after_silence: a signal
    score: str | None = None  # below_score
    below: int | None = None  # below_score: micro-points


class Move(Struct, frozen=True):
    """A way to a stage: at a touchpoint (`when`) or at an instant (`timer`)."""

    to: str
    sources: tuple[str, ...]  # stages, "none" or "*"; the default is written out
    when: When | None = None
    timer: Timer | None = None


class Track(Struct, frozen=True):
    """A line of stages; a lead is in one of them or in none."""

    name: str
    stages: tuple[Stage, ...]
    moves: tuple[Move, ...] = ()
    label: Label = {}


class Trigger(Struct, frozen=True):
    """A signal or a stage entry ("track.stage"); exactly one of the two."""

    signal: str | None = None
    enters: str | None = None


class Step(Struct, frozen=True):
    """One step of a funnel."""

    trigger: Trigger
    within_us: int | None = None
    label: Label = {}


class Exclusion(Struct, frozen=True):
    """A signal that voids an attempt between two steps (counted from 1)."""

    signal: str
    after: int
    before: int


class Funnel(Struct, frozen=True):
    """A question: how far did leads get?"""

    name: str
    steps: tuple[Step, ...]
    order: Literal["ordered", "strict", "unordered"] = "ordered"
    entry: Literal["first", "any", "every"] = "first"
    window_us: int | None = None
    universe: tuple[str, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    label: Label = {}

    @property
    def limits_time(self) -> bool:
        """Whether it has a window or a within; if not, no attempt is ever open, or over."""
        return self.window_us is not None or any(step.within_us for step in self.steps)


class Clock(Struct, frozen=True):
    """A promise: from start to stop within so much (open) time."""

    name: str
    start: Trigger
    stop: Trigger
    within_us: int
    cancel: Trigger | None = None
    calendar: str | None = None
    label: Label = {}


class Calendar(Struct, frozen=True):
    """When a business is open.

    `hours` has seven entries, Monday first: spans as minutes of the local day,
    sorted and apart. `holidays` are ISO dates, sorted: a country is written out, 2000 to 2049.
    """

    name: str
    zone: str
    hours: tuple[tuple[tuple[int, int], ...], ...]
    holidays: tuple[str, ...] = ()
    label: Label = {}


class Segment(Struct, frozen=True):
    """A question about a lead's state at an instant; parts left empty do not ask."""

    name: str
    stage: tuple[str, ...] = ()
    not_stage: tuple[str, ...] = ()
    score: str | None = None
    at_least: int | None = None
    below: int | None = None
    seen: tuple[str, ...] = ()
    not_seen: tuple[str, ...] = ()
    silent_for_us: int | None = None
    first_channel: tuple[str, ...] = ()
    last_channel: tuple[str, ...] = ()
    has_owner: bool | None = None
    value_minor: int | None = None
    value_currency: str | None = None
    label: Label = {}


class RuleSet(Struct, frozen=True):
    """One rule set. `id` and `fold_id` are hex SHA-256 of canonical JSON."""

    name: str
    id: str
    fold_id: str
    zone: str = "UTC"
    value: str | None = None
    signals: tuple[Signal, ...] = ()
    scores: tuple[Score, ...] = ()
    tracks: tuple[Track, ...] = ()
    funnels: tuple[Funnel, ...] = ()
    clocks: tuple[Clock, ...] = ()
    calendars: tuple[Calendar, ...] = ()
    segments: tuple[Segment, ...] = ()
    label: Label = {}


def kept(
    make: Callable[[RuleSet], T], by: Callable[[RuleSet], str] = attrgetter("id")
) -> Callable[[RuleSet], T]:
    """The same, worked out once for each of the last few rule sets that are told apart `by`."""
    found: dict[str, T] = {}

    @wraps(make)
    def once(rules: RuleSet) -> T:
        key = by(rules)
        known = found.get(key)  # other threads may clear it meanwhile
        if known is None:
            if len(found) >= MOST_KEPT:
                found.clear()
            known = found.setdefault(key, make(rules))
        return known

    return once
