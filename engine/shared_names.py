"""What two rule sets have in common, by name: only that can be compared."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol, Self, TypeVar

from engine.ruleset import RuleSet, Segment, Track


class _Named(Protocol):
    @property
    def name(self) -> str: ...


One = TypeVar("One", bound=_Named)


class Shared(NamedTuple):
    """Names that both rule sets have, in the order of the first; those of one alone beside."""

    scores: list[str]
    tracks: list[str]
    stages: list[list[str]]  # by track: all stages of either, those of the first first
    clocks: list[str]
    segments: list[str]
    asked: list[str]  # segments that a lead may be in under one alone, though it stands alike
    before: list[str]  # "score fit", "stage lifecycle.mql": what the first alone has
    after: list[str]  # what the second alone has

    @classmethod
    def of(cls, before: RuleSet, after: RuleSet) -> Self:
        """Of two rule sets."""
        tracks = _both(before.tracks, after.tracks)
        segments = _both(before.segments, after.segments)
        both = [(_one(before.segments, name), _one(after.segments, name)) for name in segments]
        return cls(
            scores=_both(before.scores, after.scores),
            tracks=tracks,
            stages=[_stages(_one(before.tracks, t), _one(after.tracks, t)) for t in tracks],
            clocks=_both(before.clocks, after.clocks),
            segments=segments,
            asked=[one.name for one, other in both if _depends_on_memory(one, other)],
            before=_alone(before, after),
            after=_alone(after, before),
        )


def named(some: Iterable[One], name: str) -> One | None:
    """The one with a name, if any has it."""
    return next((one for one in some if one.name == name), None)


def meaning(one: Any) -> str:
    """All that a part of a rule set says but its label; true is not 1 there."""
    said = (f"{field}={getattr(one, field)!r}" for field in one.__struct_fields__)
    return " ".join(part for part in said if not part.startswith("label="))


def _depends_on_memory(one: Segment, other: Segment) -> bool:
    asks = bool(one.seen or one.not_seen) or one.value_minor is not None
    return asks or meaning(one) != meaning(other)


def _one(some: Iterable[One], name: str) -> One:
    return next(one for one in some if one.name == name)


def _names(some: Iterable[_Named]) -> list[str]:
    return [one.name for one in some]


def _both(some: Iterable[_Named], others: Iterable[_Named]) -> list[str]:
    known = {*_names(others)}
    return [name for name in _names(some) if name in known]


def _stages(one: Track, other: Track) -> list[str]:
    return [*dict.fromkeys((*_names(one.stages), *_names(other.stages)))]


def _alone(rules: RuleSet, other: RuleSet) -> list[str]:
    known = {*_told(other)}
    return [told for told in _told(rules) if told not in known]


def _told(rules: RuleSet) -> Iterator[str]:
    yield from (f"score {name}" for name in _names(rules.scores))
    for track in rules.tracks:
        yield f"track {track.name}"
        yield from (f"stage {track.name}.{name}" for name in _names(track.stages))
    yield from (f"clock {name}" for name in _names(rules.clocks))
    yield from (f"segment {name}" for name in _names(rules.segments))
    yield from (f"funnel {name}" for name in _names(rules.funnels))
