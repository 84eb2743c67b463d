"""Funnels as numbers: names become bit masks and indexes, a duration left out becomes `NEVER`."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.folded import MAX_TRACKS
from engine.history import NEVER
from engine.ruleset import Exclusion, Funnel, RuleSet, Step
from engine.tables import NO_STAGE

ORDERED, STRICT, UNORDERED = 0, 1, 2
FIRST, ANY, EVERY = 0, 1, 2
NO_SIGNAL = np.uint64(0)

STEP = np.dtype(
    [
        ("signal", "<u8"),  # its bit; 0: a stage entry
        ("track", "<i8"),  # -1: a signal
        ("stage", "<i8"),  # -1: a signal
        ("within_us", "<i8"),  # NEVER: not set
    ]
)
EXCLUSION = np.dtype(
    [
        ("signal", "<u8"),  # its bit
        ("after", "<i8"),  # a step, from 0
        ("before", "<i8"),  # a step, from 0
    ]
)

_ORDERS = {"ordered": ORDERED, "strict": STRICT, "unordered": UNORDERED}
_ENTRIES = {"first": FIRST, "any": ANY, "every": EVERY}


class FunnelTable(NamedTuple):
    """One funnel."""

    order: int
    entry: int
    window_us: int  # NEVER: not set
    timed: bool  # attempts can be open
    relevant: np.uint64  # the signals of steps and exclusions
    relevant_after_entry: np.uint64
    universe: np.uint64  # 0: all touches
    steps: NDArray[np.void]  # STEP
    entered: NDArray[np.int64]  # track, stage: bit k: entering it serves step k, from 0
    exclusions: NDArray[np.void]  # EXCLUSION


def table(rules: RuleSet, funnel: Funnel) -> FunnelTable:
    """One funnel of a valid rule set, compiled."""
    bits = {signal.name: 1 << i for i, signal in enumerate(rules.signals)}
    places = _places(rules)
    steps = [_step(step, bits, places) for step in funnel.steps]
    exclusions = [_exclusion(exclusion, bits) for exclusion in funnel.exclusions]
    entered = np.zeros((MAX_TRACKS, NO_STAGE), np.int64)
    for k, (bit, track, stage, _) in enumerate(steps):
        if not bit:
            entered[track, stage] |= 1 << k
    entered_once = funnel.order == "ordered" and funnel.entry == "first"
    after_entry = (*(steps[1:] if entered_once else steps), *exclusions)
    return FunnelTable(
        order=_ORDERS[funnel.order],
        entry=_ENTRIES[funnel.entry],
        window_us=_or_never(funnel.window_us),
        timed=funnel.limits_time,
        relevant=_union(row[0] for row in (*steps, *exclusions)),
        relevant_after_entry=_union(row[0] for row in after_entry),
        universe=_union(bits[name] for name in funnel.universe),
        steps=np.array(steps, STEP),
        entered=entered,
        exclusions=np.array(exclusions, EXCLUSION),
    )


def _step(
    step: Step, bits: Mapping[str, int], places: Mapping[str, tuple[int, int]]
) -> tuple[int, ...]:
    trigger = step.trigger
    bit = bits[trigger.signal] if trigger.signal is not None else 0
    track, stage = places[trigger.enters] if trigger.enters is not None else (-1, -1)
    return bit, track, stage, _or_never(step.within_us)


def _exclusion(exclusion: Exclusion, bits: Mapping[str, int]) -> tuple[int, ...]:
    return bits[exclusion.signal], exclusion.after - 1, exclusion.before - 1


def _places(rules: RuleSet) -> dict[str, tuple[int, int]]:
    """Track and stage of each "track.stage"."""
    return {
        f"{track.name}.{stage.name}": (t, s)
        for t, track in enumerate(rules.tracks)
        for s, stage in enumerate(track.stages)
    }


def _union(bits: Iterable[int]) -> np.uint64:
    return np.uint64(np.bitwise_or.reduce(np.fromiter(bits, np.uint64)))


def _or_never(duration_us: int | None) -> int:
    return NEVER if duration_us is None else min(duration_us, NEVER)
