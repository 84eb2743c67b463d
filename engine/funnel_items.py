"""The items of one lead that matter to a funnel, in item order.

A touch is followed at once by the stage entries that it caused, then by those
that timers brought before the next touch. Only items that serve a step or may
void an attempt are kept.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled
from engine.funnel_tables import NO_SIGNAL, STRICT, FunnelTable

ITEM = np.dtype(
    [
        ("at", "<i8"),
        ("steps", "<i8"),  # bit k: serves step k, from 0
        ("signals", "<u8"),  # of a touch; a stage entry carries none
        ("since", "<i8"),  # strict: the first item that may come directly before this one; else 0
    ]
)


class TouchItems(NamedTuple):
    """What funnels ask of n leads' touches; those of lead i are [starts[i], starts[i + 1])."""

    starts: NDArray[np.int64]  # n + 1
    at: NDArray[np.int64]  # microseconds, UTC, in happening order within a lead
    signals: NDArray[np.uint64]  # bit i: the touch carries signal i of the rule set


class Items(NamedTuple):
    """The items of one lead."""

    rows: NDArray[np.void]  # ITEM
    since: int  # what `since` is for an item yet to come


@compiled
def end_of(lead: int, entries: NDArray[np.void], begin: int) -> int:
    """Where the stage entries of a lead end, which begin, if there are any, at `begin`."""
    end = begin
    while end < len(entries) and entries[end]["lead"] == lead:
        end += 1
    return end


@compiled
def collect(
    funnel: FunnelTable,
    touches: TouchItems,
    lead: int,
    entries: NDArray[np.void],
    as_of: int,
    into: NDArray[np.void],
) -> tuple[int, int]:
    """The items of one lead, whose stage entries (VISIT) these are, in place of what `into` held.

    There must be room for all its touches and entries. Returns how many items there are, and
    what `since` is for one yet to come.
    """
    entry, count, since, relevant = 0, 0, 0, funnel.relevant
    for touch in range(touches.starts[lead], touches.starts[lead + 1]):
        at, signals = touches.at[touch], touches.signals[touch]
        if at > as_of:
            break
        before, here = since, count
        if signals & relevant != 0:
            steps = served(funnel.steps, signals)
            put(into[count], at, steps, signals, since)
            count += 1
            if steps & 1 != 0:
                relevant = funnel.relevant_after_entry
        if funnel.order == STRICT and (funnel.universe == 0 or signals & funnel.universe != 0):
            since = here
        while entry < len(entries) and entries[entry]["after"] == touch:
            item = entries[entry]
            entry += 1
            steps = funnel.entered[item["track"], item["stage"]]
            if steps != 0 and item["entered"] <= as_of:
                # The touch that caused an entry does not lie between it and the step before.
                earliest = before if item["move"] == 0 else since
                put(into[count], item["entered"], steps, NO_SIGNAL, earliest)
                count += 1
                if steps & 1 != 0:
                    relevant = funnel.relevant_after_entry
    return count, since


@compiled
def put(item: np.void, at: int, steps: int, signals: np.uint64, since: int) -> None:
    """Fill an item."""
    item["at"] = at
    item["steps"] = steps
    item["signals"] = signals
    item["since"] = since


@compiled
def served(steps: NDArray[np.void], signals: np.uint64) -> int:
    """Bit k: a touch with these signals serves step k, from 0."""
    bits = 0
    for k in range(len(steps)):
        if signals & steps[k]["signal"] != 0:
            bits |= 1 << k
    return bits
