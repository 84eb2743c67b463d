"""A rule set, read from TOML text that is taken to be valid."""

import tomllib
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from tests.naive.calendars import Calendar
from tests.naive.conditions import as_doubles, carries
from tests.naive.touchpoints import Touch
from tests.naive.units import duration_us, micro_points

FOLD_PART = ("value", "signal", "score", "track", "clock", "calendar")
FARTHEST = 10**12  # micro-points, either way


def names(written: str | list[str]) -> list[str]:
    """A name or a list of names."""
    return [written] if isinstance(written, str) else written


def span(table: dict[str, Any], key: str) -> int | None:
    return duration_us(table[key]) if key in table else None


@dataclass
class Bounds:
    """`at_least` and `below` of a score, in micro-points."""

    score: str
    at_least: int | None
    below: int | None

    def hold(self, value: int) -> bool:
        return (self.at_least is None or value >= self.at_least) and (
            self.below is None or value < self.below
        )


def bounds(table: dict[str, Any]) -> Bounds | None:
    if "score" not in table:
        return None
    at_least, below = (
        micro_points(table[key]) if key in table else None for key in ("at_least", "below")
    )
    return Bounds(table["score"], at_least, below)


@dataclass
class Earn:
    signal: str
    points: int
    at_most: int | None
    every: int | None


@dataclass
class Score:
    name: str
    half_life: int | None
    floor: int
    cap: int
    earns: list[Earn]

    def clamped(self, value: int) -> int:
        return max(self.floor, min(self.cap, value))


@dataclass
class Stage:
    name: str
    kind: str
    aliases: list[str]
    labels: list[str]


@dataclass
class Move:
    """`number` counts the track's moves from 1; `timer` is the name of the timed kind."""

    number: int
    to: str
    sources: list[str]
    when: dict[str, Any] | None
    timer: str | None
    span: int | None = None
    of: str | None = None
    bounds: Bounds | None = None


def plain(label: str) -> str:
    """How names of stages are compared: NFC, trimmed, case-folded."""
    return unicodedata.normalize("NFC", label).strip().casefold()


@dataclass
class Track:
    name: str
    stages: list[Stage]
    moves: list[Move]

    def position(self, stage: str) -> int:
        return [one.name for one in self.stages].index(stage)

    def resolve(self, wanted: str) -> tuple[str | None, str]:
        """The stage meant by a name, an alias or a label, and which of the three it was."""
        for stage in self.stages:
            if plain(stage.name) == plain(wanted):
                return stage.name, "name"
        for stage in self.stages:
            if plain(wanted) in [plain(alias) for alias in stage.aliases]:
                return stage.name, "alias"
        for stage in self.stages:
            if plain(wanted) in [plain(label) for label in stage.labels]:
                return stage.name, "label"
        return None, "unknown"


@dataclass
class Clock:
    name: str
    start: dict[str, str]
    stop: dict[str, str]
    cancel: dict[str, str] | None
    within: int
    calendar: Calendar | None


@dataclass
class Step:
    signal: str | None
    enters: str | None
    within: int | None


@dataclass
class Funnel:
    name: str
    order: str
    entry: str
    window: int | None
    universe: list[str] | None
    steps: list[Step]
    excludes: list[dict[str, Any]]


@dataclass
class Rules:
    value: str | None
    signals: dict[str, dict[str, Any]]
    scores: list[Score]
    tracks: list[Track]
    clocks: list[Clock]
    funnels: list[Funnel]
    segments: list[dict[str, Any]]
    fold_part: dict[str, Any]

    def signals_of(self, touch: Touch) -> frozenset[str]:
        """The names of the signals that a touchpoint carries."""
        return frozenset(name for name, table in self.signals.items() if carries(table, touch))


def score_of(table: dict[str, Any]) -> Score:
    earns = [
        Earn(
            signal=earn["signal"],
            points=micro_points(earn["points"]),
            at_most=earn.get("at_most"),
            every=span(earn, "every"),
        )
        for earn in table.get("earn", [])
    ]
    floor, cap = (
        micro_points(table[key]) if key in table else otherwise
        for key, otherwise in (("floor", -FARTHEST), ("cap", FARTHEST))
    )
    return Score(table["name"], span(table, "half_life"), floor, cap, earns)


def stage_of(table: dict[str, Any]) -> Stage:
    return Stage(
        name=table["name"],
        kind=table.get("kind", "open"),
        aliases=table.get("aliases", []),
        labels=list(table.get("label", {}).values()),
    )


def default_sources(to: str, stages: list[Stage]) -> list[str]:
    """None, and the open stages listed before the one to go to."""
    before = stages[: [stage.name for stage in stages].index(to)]
    return ["none", *(stage.name for stage in before if stage.kind == "open")]


def move_of(number: int, table: dict[str, Any], stages: list[Stage]) -> Move:
    sources = table.get("from", default_sources(table["to"], stages))
    move = Move(number, table["to"], sources, table.get("when"), timer=None)
    for kind in ("after_stay", "after_silence"):
        if kind in table:
            move.timer, move.span = kind, duration_us(table[kind])
    move.of = table.get("of")
    if "below_score" in table:
        move.timer, move.bounds = "below_score", bounds(table["below_score"])
    return move


def track_of(table: dict[str, Any]) -> Track:
    stages = [stage_of(stage) for stage in table["stage"]]
    moves = [move_of(n, move, stages) for n, move in enumerate(table.get("move", []), start=1)]
    return Track(table["name"], stages, moves)


def clock_of(table: dict[str, Any], calendars: dict[str, Calendar]) -> Clock:
    calendar = calendars[table["calendar"]] if "calendar" in table else None
    return Clock(
        name=table["name"],
        start=table["start"],
        stop=table["stop"],
        cancel=table.get("cancel"),
        within=duration_us(table["within"]),
        calendar=calendar,
    )


def funnel_of(table: dict[str, Any]) -> Funnel:
    steps = [
        Step(step.get("signal"), step.get("enters"), span(step, "within")) for step in table["step"]
    ]
    return Funnel(
        name=table["name"],
        order=table.get("order", "ordered"),
        entry=table.get("entry", "first"),
        window=span(table, "window"),
        universe=table.get("universe"),
        steps=steps,
        excludes=table.get("exclude", []),
    )


@lru_cache(maxsize=64)
def read_rules(toml: str) -> Rules:
    """The rule set that a TOML text says."""
    table = tomllib.loads(toml, parse_float=Decimal)
    zoned = [
        {**calendar, "zone": calendar.get("zone", table.get("zone", "UTC"))}
        for calendar in table.get("calendar", [])
    ]
    calendars = {calendar["name"]: Calendar.of(calendar) for calendar in zoned}
    return Rules(
        value=table.get("value"),
        signals={signal["name"]: as_doubles(signal) for signal in table.get("signal", [])},
        scores=[score_of(score) for score in table.get("score", [])],
        tracks=[track_of(track) for track in table.get("track", [])],
        clocks=[clock_of(clock, calendars) for clock in table.get("clock", [])],
        funnels=[funnel_of(funnel) for funnel in table.get("funnel", [])],
        segments=table.get("segment", []),
        fold_part={part: table.get(part) for part in FOLD_PART} | {"calendar": zoned},
    )
