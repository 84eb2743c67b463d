"""How far leads got in a funnel: one record per lead, or per attempt.

Integers only: the same records on every machine, compiled or not.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled, compiled_with_arrays
from engine.folded import FUNNEL_HIT
from engine.funnel_items import ITEM, Items, TouchItems, collect, end_of
from engine.funnel_ordered import chains_open_until, follow, is_void, later
from engine.funnel_tables import ANY, FIRST, UNORDERED, FunnelTable, table
from engine.funnel_trail import NONE, new_trail
from engine.funnel_unordered import gather

__all__ = ["FunnelTable", "TouchItems", "match", "table"]


class Attempt(NamedTuple):
    """What came of one attempt; items are those of its trail."""

    entry: int  # item
    depth: int  # 0: void
    open_until: int  # 0: not open


def match(
    funnel: FunnelTable, touches: TouchItems, entries: NDArray[np.void], as_of: int
) -> NDArray[np.void]:
    """FUNNEL_HIT of each lead that has an attempt (of each attempt with `every`), by lead.

    Args:
        funnel: The question.
        touches: All leads' touches.
        entries: VISIT, sorted by lead, per lead in the order that they came about.
        as_of: Microseconds, UTC; items later than this are left out.
    """
    types = np.int64, np.int64, np.uint64  # one memory layout for all callers
    plain = TouchItems(*map(_plain, touches, types))
    hits = np.zeros(len(touches.starts) - 1, FUNNEL_HIT)
    count = match_leads(funnel, plain, entries, as_of, new_trail(), hits)
    if count > len(hits):  # `every`: what found no room was only counted
        hits = np.zeros(count, FUNNEL_HIT)
        match_leads(funnel, plain, entries, as_of, new_trail(), hits)
    return hits[:count]


def _plain(array: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    return np.require(array, dtype, ["C", "A", "W"])


@compiled_with_arrays
def match_leads(
    funnel: FunnelTable,
    touches: TouchItems,
    entries: NDArray[np.void],
    as_of: int,
    trail: NDArray[np.void],
    hits: NDArray[np.void],
) -> int:
    """Write the hits of all leads, as far as there is room; how many there are."""
    row, begin = 0, 0
    room = np.empty(0, ITEM)
    for lead in range(len(touches.starts) - 1):
        end = end_of(lead, entries, begin)
        most = touches.starts[lead + 1] - touches.starts[lead] + end - begin
        if most > len(room):
            room = np.empty(2 * most, ITEM)
        count, since = collect(funnel, touches, lead, entries[begin:end], as_of, room)
        row = match_lead(funnel, Items(room[:count], since), trail, lead, hits, row)
        begin = end
    return row


@compiled
def match_lead(
    funnel: FunnelTable,
    items: Items,
    trail: NDArray[np.void],
    lead: int,
    hits: NDArray[np.void],
    row: int,
) -> int:
    """Write the hits of one lead from `row` on; the row after them."""
    entry = next_entry(funnel, items, 0)
    while entry < len(items.rows):
        if funnel.entry == ANY:
            attempt = best_attempt(funnel, items, trail, entry)
        else:
            attempt = pursue(funnel, items, trail, entry)
        if row < len(hits):
            write(hits, row, lead, items, trail, attempt)
        row += 1
        if funnel.entry == FIRST or funnel.entry == ANY:
            break
        entry = entry_after(funnel, items, trail, entry)
    return row


@compiled
def next_entry(funnel: FunnelTable, items: Items, start: int) -> int:
    """The first possible entry from an item on; the number of items if there is none."""
    for item in range(start, len(items.rows)):
        if funnel.order == UNORDERED or items.rows[item]["steps"] & 1 != 0:
            return item
    return len(items.rows)


@compiled
def entry_after(funnel: FunnelTable, items: Items, trail: NDArray[np.void], entry: int) -> int:
    """With `every`: where the attempt after the one on the trail begins."""
    completed_by = trail[len(funnel.steps) - 1]["reached"]
    if completed_by != NONE:
        return next_entry(funnel, items, completed_by + 1)
    start = entry
    while (
        start < len(items.rows)
        and items.rows[start]["at"] - items.rows[entry]["at"] <= funnel.window_us
    ):
        start += 1
    return next_entry(funnel, items, start)


@compiled
def depth_from(
    funnel: FunnelTable, items: Items, trail: NDArray[np.void], first: int, alone: bool
) -> int:
    """How deep the attempt entered by `first` gets (`alone`), or the deepest from there on."""
    if funnel.order == UNORDERED:
        return gather(funnel, items, trail, first, alone)
    return follow(funnel, items, trail, first, alone)


@compiled
def pursue(funnel: FunnelTable, items: Items, trail: NDArray[np.void], entry: int) -> Attempt:
    """One attempt."""
    depth = depth_from(funnel, items, trail, entry, True)
    if len(funnel.exclusions) > 0 and is_void(funnel, items, trail, entry):
        return Attempt(entry, 0, 0)
    return Attempt(entry, depth, open_until(funnel, items, trail, depth, entry))


@compiled
def open_until(
    funnel: FunnelTable, items: Items, trail: NDArray[np.void], depth: int, entry: int
) -> int:
    """The first instant at which what is on the trail is not open; unordered: by the last entry."""
    if depth == len(funnel.steps) or not funnel.timed:
        return 0
    if funnel.order == UNORDERED:
        return later(items.rows[entry]["at"], funnel.window_us)
    return chains_open_until(funnel, items, trail, depth)


@compiled
def best_attempt(funnel: FunnelTable, items: Items, trail: NDArray[np.void], first: int) -> Attempt:
    """The attempt that a lead counts with under `any`, open as long as any of its attempts is."""
    if len(funnel.exclusions) > 0:
        best = best_not_void(funnel, items, trail, first)
    else:
        depth = depth_from(funnel, items, trail, first, False)
        until = open_until(funnel, items, trail, depth, len(items.rows) - 1)
        best = Attempt(trail[depth - 1]["entered"], depth, until)
    depth_from(funnel, items, trail, best.entry, True)
    return best


@compiled
def best_not_void(
    funnel: FunnelTable, items: Items, trail: NDArray[np.void], first: int
) -> Attempt:
    """The same where attempts may be void: each is looked at; the first one if all are."""
    best, by, until = Attempt(first, 0, 0), -1, 0
    entry = first
    while entry < len(items.rows):
        attempt = pursue(funnel, items, trail, entry)
        if attempt.depth > 0:
            until = max(until, attempt.open_until)
            reached_by = trail[attempt.depth - 1]["reached"]
            if attempt.depth > best.depth or (attempt.depth == best.depth and reached_by <= by):
                best, by = attempt, reached_by
        entry = next_entry(funnel, items, entry + 1)
    if best.depth == len(funnel.steps):
        until = 0
    return Attempt(best.entry, best.depth, until)


@compiled
def write(
    hits: NDArray[np.void],
    row: int,
    lead: int,
    items: Items,
    trail: NDArray[np.void],
    attempt: Attempt,
) -> None:
    """One attempt as a record."""
    hit = hits[row]
    hit["lead"] = lead
    hit["depth"] = attempt.depth
    hit["entered"] = items.rows[attempt.entry]["at"]
    hit["open_until"] = attempt.open_until
    hit["excluded"] = 1 if attempt.depth == 0 else 0
    for k in range(attempt.depth):
        hit["reached"][k] = items.rows[trail[k]["reached"]]["at"]
