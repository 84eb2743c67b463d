"""The items of one lead that matter to a funnel, in item order.

A touch is followed at once by the stage entries that it caused, then by those
that timers brought before the next touch. Only items that serve a step or may
void an attempt are kept.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled
from engine.funnel_tables import NO_SIGNAL, STRICT, FunnelTable, TouchItems


class EntryItems(NamedTuple):
    """Stage entries that serve a step; those of lead i are [starts[i], starts[i + 1])."""

    starts: NDArray[np.int64]
    at: NDArray[np.int64]
    after: NDArray[np.int64]  # the last touch before it
    steps: NDArray[np.int64]  # bit k: serves step k
    caused: NDArray[np.bool_]  # by that touch, not by a timer


class Leads(NamedTuple):
    """What happened to all leads, and up to which instant it counts."""

    touches: TouchItems
    entries: EntryItems
    as_of: int  # microseconds, UTC


class Items(NamedTuple):
    """n items of one lead, or room for the longest lead's."""

    at: NDArray[np.int64]
    steps: NDArray[np.int64]  # bit k: serves step k
    signals: NDArray[np.uint64]  # of a touch; an entry carries none
    since: NDArray[np.int64]  # n + 1: the first item that may come directly before this one in a
    # strict chain, the last value for one yet to come; 0 in other funnels


def touch_items(touches: TouchItems) -> TouchItems:
    """The same in one memory layout for all callers, as compiled code wants it."""
    return TouchItems(
        _plain(touches.starts, np.int64),
        _plain(touches.at, np.int64),
        _plain(touches.signals, np.uint64),
    )


def entry_items(funnel: FunnelTable, entries: NDArray[np.void], leads: int) -> EntryItems:
    """Those of the stage entries (VISIT, sorted by lead) that serve a step."""
    steps = np.zeros(len(entries), np.int64)
    for k, (track, stage) in enumerate(zip(funnel.tracks, funnel.stages, strict=True)):
        steps |= ((entries["track"] == track) & (entries["stage"] == stage)).astype(np.int64) << k
    kept = entries[steps != 0]
    return EntryItems(
        starts=np.searchsorted(kept["lead"], np.arange(leads + 1)).astype(np.int64),
        at=_plain(kept["entered"], np.int64),
        after=_plain(kept["after"], np.int64),
        steps=steps[steps != 0],
        caused=kept["move"] == 0,
    )


def room_for(touches: TouchItems, entries: EntryItems) -> Items:
    """Room for the items of any of these leads."""
    longest = np.diff(touches.starts) + np.diff(entries.starts)
    size = int(longest.max(initial=0)) + 1
    at, steps, since = np.zeros((3, size), np.int64)
    return Items(at, steps, np.zeros(size, np.uint64), since)


def _plain(array: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    return np.require(array, dtype, ["C", "A", "W"])


@compiled
def collect(funnel: FunnelTable, leads: Leads, lead: int, into: Items) -> Items:
    """The items of one lead, in place of what `into` held."""
    touches, entries, as_of = leads.touches, leads.entries, leads.as_of
    masks = funnel.signals
    entry, end = entries.starts[lead], entries.starts[lead + 1]
    count, since = 0, 0
    for touch in range(touches.starts[lead], touches.starts[lead + 1]):
        at, signals = touches.at[touch], touches.signals[touch]
        if at > as_of:
            break
        before, here = since, count
        if signals & funnel.relevant != 0:
            into.at[count], into.steps[count] = at, served(masks, signals)
            into.signals[count], into.since[count] = signals, since
            count += 1
        if funnel.order == STRICT and (funnel.universe == 0 or signals & funnel.universe != 0):
            since = here
        while entry < end and entries.after[entry] == touch and entries.at[entry] <= as_of:
            into.at[count], into.steps[count] = entries.at[entry], entries.steps[entry]
            into.signals[count] = NO_SIGNAL
            # The touch that caused an entry does not lie between it and the step before.
            into.since[count] = before if entries.caused[entry] else since
            count += 1
            entry += 1
    into.since[count] = since
    return Items(into.at[:count], into.steps[:count], into.signals[:count], into.since[: count + 1])


@compiled
def served(masks: NDArray[np.uint64], signals: np.uint64) -> int:
    """Bit k: a touch with these signals serves step k."""
    steps = 0
    for step in range(len(masks)):
        if signals & masks[step] != 0:
            steps |= 1 << step
    return steps
