"""Which segments leads are in: questions about states, asked when they are read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.decay import scores_at
from engine.folded import Folded
from engine.ruleset import RuleSet, Segment

Flags = NDArray[np.bool_]
_NONE = np.empty(0, np.int32)


@dataclass(frozen=True)
class Standing:
    """What segments ask of n leads, as columns."""

    seen: NDArray[np.int64]  # bits
    scores: NDArray[np.int64]  # n x scores: micro-points at the instant asked about
    stages: NDArray[np.int32]  # n x tracks: index, -1 for none
    last_at: NDArray[np.int64]
    first_channel: NDArray[Any]  # text
    last_channel: NDArray[Any]
    has_owner: Flags
    value_minor: NDArray[np.int64]
    value_currency: NDArray[Any]  # text; empty where there is no value


def standing_of(folded: Folded) -> Standing:
    """The columns that segments ask about, of leads just folded; texts only if one asks."""
    states, channels = folded.states, folded.histories.touches["channel"]
    first, last, value = (
        any(getattr(segment, name) for segment in folded.rules.segments)
        for name in ("first_channel", "last_channel", "value_currency")
    )
    return Standing(
        seen=states["seen"],
        scores=scores_at(states["scores"], folded.scored_at, folded.rules, folded.as_of),
        stages=states["stage"],
        last_at=states["last_at"],
        first_channel=_texts(folded, channels[states["first"]] if first else _NONE),
        last_channel=_texts(folded, channels[states["last"]] if last else _NONE),
        has_owner=states["owner"] != 0,
        value_minor=states["value_minor"],
        value_currency=_texts(folded, states["value_currency"] if value else _NONE),
    )


def members(standing: Standing, rules: RuleSet, as_of: int) -> Flags:
    """n x segments: which leads are in which segment at an instant."""
    flags = np.ones((len(standing.seen), len(rules.segments)), np.bool_, order="F")
    for index, segment in enumerate(rules.segments):
        for part in _parts(standing, rules, segment, as_of):
            flags[:, index] &= part
    return flags


def _parts(standing: Standing, rules: RuleSet, segment: Segment, as_of: int) -> Iterator[Flags]:
    """What each part of a segment says; the parts that it leaves out do not ask."""
    if segment.stage:
        yield _in_stage(standing, rules, segment.stage)
    if segment.not_stage:
        yield ~_in_stage(standing, rules, segment.not_stage)
    if segment.score is not None:
        yield from _score_parts(standing, rules, segment)
    for name in segment.seen:
        yield _has_seen(standing, rules, name)
    for name in segment.not_seen:
        yield ~_has_seen(standing, rules, name)
    if segment.silent_for_us is not None:
        yield standing.last_at <= as_of - segment.silent_for_us
    if segment.first_channel:
        yield np.isin(standing.first_channel, segment.first_channel)
    if segment.last_channel:
        yield np.isin(standing.last_channel, segment.last_channel)
    if segment.has_owner is not None:
        yield standing.has_owner == segment.has_owner
    if segment.value_minor is not None:
        enough = standing.value_minor >= segment.value_minor
        yield enough & (standing.value_currency == segment.value_currency)


def _in_stage(standing: Standing, rules: RuleSet, dotted: Sequence[str]) -> Flags:
    found = np.zeros(len(standing.seen), np.bool_)
    for index, track in enumerate(rules.tracks):
        names = [*(stage.name for stage in track.stages), "none"]  # which is -1: the last one
        wanted = np.array([f"{track.name}.{name}" in dotted for name in names])
        if wanted.any():
            found |= wanted[standing.stages[:, index]]
    return found


def _score_parts(standing: Standing, rules: RuleSet, segment: Segment) -> Iterator[Flags]:
    names = [score.name for score in rules.scores]
    points = standing.scores[:, names.index(segment.score or "")]
    if segment.at_least is not None:
        yield points >= segment.at_least
    if segment.below is not None:
        yield points < segment.below


def _has_seen(standing: Standing, rules: RuleSet, name: str) -> Flags:
    bit = [signal.name for signal in rules.signals].index(name)
    return (standing.seen >> bit & 1).astype(np.bool_)


def _texts(folded: Folded, ids: NDArray[np.int32]) -> NDArray[Any]:
    distinct, which = np.unique(ids, return_inverse=True)
    texts = np.array(folded.histories.strings.texts(distinct.tolist()), dtype=object)
    return texts[which] if len(ids) else np.array([], dtype=object)
