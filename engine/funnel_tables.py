"""Funnels as numbers: names become bit masks and indexes, a duration left out becomes `NEVER`."""

from collections.abc import Mapping, Set
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.history import NEVER
from engine.ruleset import Funnel, RuleSet

ORDERED, STRICT, UNORDERED = 0, 1, 2
FIRST, ANY, EVERY = 0, 1, 2
NO_SIGNAL = np.uint64(0)

_ORDERS = {"ordered": ORDERED, "strict": STRICT, "unordered": UNORDERED}
_ENTRIES = {"first": FIRST, "any": ANY, "every": EVERY}


class FunnelTable(NamedTuple):
    """One funnel; a step is a signal's mask, or a track and a stage (mask 0, or -1, where it is not)."""

    order: int
    entry: int
    window_us: int
    timed: bool  # has a window or a within: attempts can be open
    relevant: np.uint64  # the signals of steps and exclusions
    universe: np.uint64  # strict; 0: all touches
    signals: NDArray[np.uint64]  # per step
    tracks: NDArray[np.int64]  # per step
    stages: NDArray[np.int64]  # per step
    within_us: NDArray[np.int64]  # per step
    excluding: NDArray[np.uint64]  # per exclusion: the signal's mask
    after: NDArray[np.int64]  # per exclusion: a step, from 0
    before: NDArray[np.int64]  # per exclusion: a step, from 0


class TouchItems(NamedTuple):
    """What funnels ask of n leads' touches; those of lead i are [starts[i], starts[i + 1])."""

    starts: NDArray[np.int64]  # n + 1
    at: NDArray[np.int64]  # microseconds, UTC, in happening order within a lead
    signals: NDArray[np.uint64]  # bit i: the touch carries signal i of the rule set


def table(rules: RuleSet, funnel: Funnel) -> FunnelTable:
    """One funnel of a valid rule set, compiled."""
    bits: dict[str | None, int] = {None: 0}
    bits |= {signal.name: 1 << i for i, signal in enumerate(rules.signals)}
    places = _places(rules)
    stages = [places[step.trigger.enters] for step in funnel.steps]
    steps = [step.trigger.signal for step in funnel.steps]
    excluding = [out.signal for out in funnel.exclusions]
    withins = [step.within_us for step in funnel.steps]
    return FunnelTable(
        order=_ORDERS[funnel.order],
        entry=_ENTRIES[funnel.entry],
        window_us=_or_never(funnel.window_us),
        timed=funnel.window_us is not None or any(withins),
        relevant=_mask(bits, {*steps, *excluding}),
        universe=_mask(bits, set(funnel.universe)),
        signals=np.array([bits[name] for name in steps], np.uint64),
        tracks=np.array([track for track, _ in stages], np.int64),
        stages=np.array([stage for _, stage in stages], np.int64),
        within_us=np.array([_or_never(within) for within in withins], np.int64),
        excluding=np.array([bits[name] for name in excluding], np.uint64),
        after=np.array([out.after - 1 for out in funnel.exclusions], np.int64),
        before=np.array([out.before - 1 for out in funnel.exclusions], np.int64),
    )


def _places(rules: RuleSet) -> dict[str | None, tuple[int, int]]:
    """Track and stage of each "track.stage"; no stage for a step that is a signal."""
    places: dict[str | None, tuple[int, int]] = {None: (-1, -1)}
    for t, track in enumerate(rules.tracks):
        places |= {f"{track.name}.{stage.name}": (t, s) for s, stage in enumerate(track.stages)}
    return places


def _mask(bits: Mapping[str | None, int], names: Set[str | None]) -> np.uint64:
    return np.uint64(sum(bits[name] for name in names))


def _or_never(duration_us: int | None) -> int:
    return NEVER if duration_us is None else min(duration_us, NEVER)
