"""The items of one lead that matter to a funnel, in item order.

A touch is followed at once by the stage entries that it caused, then by those
that timers brought before the next touch. Only items that serve a step or may
void an attempt are kept.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled
from engine.funnel_tables import NO_SIGNAL, STRICT, FunnelTable

STAGE_ITEM = np.dtype(
    [
        ("at", "<i8"),
        ("after", "<i8"),  # the last touch before it
        ("steps", "<i8"),  # bit k: serves step k, from 0
        ("caused", "<i8"),  # 1: by that touch, 0: by a timer
    ]
)
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


class Leads(NamedTuple):
    """What happened to n leads, and up to which instant it counts."""

    touches: TouchItems
    entries: NDArray[np.void]  # STAGE_ITEM
    entry_starts: NDArray[np.int64]  # n + 1
    as_of: int  # microseconds, UTC


class Items(NamedTuple):
    """The items of one lead."""

    rows: NDArray[np.void]  # ITEM
    since: int  # what `since` is for an item yet to come


def leads_of(
    funnel: FunnelTable, touches: TouchItems, entries: NDArray[np.void], as_of: int
) -> Leads:
    """What a funnel asks of leads, in one memory layout for all callers.

    Of the stage entries (VISIT) those that serve no step are left out.
    """
    steps = np.zeros(len(entries), np.int64)
    for k, step in enumerate(funnel.steps):
        serves = (entries["track"] == step["track"]) & (entries["stage"] == step["stage"])
        steps |= serves.astype(np.int64) << k
    kept = entries.take(np.flatnonzero(steps))
    items = np.zeros(len(kept), STAGE_ITEM)
    items["at"], items["after"] = kept["entered"], kept["after"]
    items["steps"], items["caused"] = steps[np.flatnonzero(steps)], kept["move"] == 0
    starts = _plain(touches.starts, np.int64)
    same = TouchItems(starts, _plain(touches.at, np.int64), _plain(touches.signals, np.uint64))
    entry_starts = np.searchsorted(kept["lead"], np.arange(len(starts)))
    return Leads(same, items, _plain(entry_starts, np.int64), as_of)


def room_for(leads: Leads) -> NDArray[np.void]:
    """Room for the items of any of these leads."""
    most = np.diff(leads.touches.starts) + np.diff(leads.entry_starts)
    return np.zeros(most.max(initial=0), ITEM)


def _plain(array: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    return np.require(array, dtype, ["C", "A", "W"])


@compiled
def collect(funnel: FunnelTable, leads: Leads, lead: int, into: NDArray[np.void]) -> Items:
    """The items of one lead, in place of what `into` held."""
    touches, entries, as_of = leads.touches, leads.entries, leads.as_of
    entry, end = leads.entry_starts[lead], leads.entry_starts[lead + 1]
    count, since = 0, 0
    for touch in range(touches.starts[lead], touches.starts[lead + 1]):
        at, signals = touches.at[touch], touches.signals[touch]
        if at > as_of:
            break
        before, here = since, count
        if signals & funnel.relevant != 0:
            put(into[count], at, served(funnel.steps, signals), signals, since)
            count += 1
        if funnel.order == STRICT and (funnel.universe == 0 or signals & funnel.universe != 0):
            since = here
        while entry < end and entries[entry]["after"] == touch and entries[entry]["at"] <= as_of:
            item = entries[entry]
            # The touch that caused an entry does not lie between it and the step before.
            earliest = before if item["caused"] == 1 else since
            put(into[count], item["at"], item["steps"], NO_SIGNAL, earliest)
            count += 1
            entry += 1
    return Items(into[:count], since)


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
