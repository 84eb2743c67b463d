"""How far leads got in a funnel: one record per lead, or per attempt.

Integers only: the same records on every machine, compiled or not.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled
from engine.folded import FUNNEL_HIT
from engine.funnel_items import Items, Leads, collect, entry_items, room_for, touch_items
from engine.funnel_ordered import follow, is_void, open_chains_until
from engine.funnel_tables import ANY, FIRST, UNORDERED, FunnelTable, TouchItems, table
from engine.funnel_trail import Trail, later, new_trail
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
    touches = touch_items(touches)
    leads = Leads(touches, entry_items(funnel, entries, len(touches.starts) - 1), as_of)
    scratch, trail = room_for(leads.touches, leads.entries), new_trail()
    hits = np.zeros(len(touches.starts) - 1, FUNNEL_HIT)
    count = match_leads(funnel, leads, scratch, trail, hits)
    if count > len(hits):  # `every`: what found no room was only counted
        hits = np.zeros(count, FUNNEL_HIT)
        match_leads(funnel, leads, scratch, trail, hits)
    return hits[:count]


@compiled
def match_leads(
    funnel: FunnelTable, leads: Leads, scratch: Items, trail: Trail, hits: NDArray[np.void]
) -> int:
    """Write the hits of all leads, as far as there is room; how many there are."""
    row = 0
    for lead in range(len(leads.touches.starts) - 1):
        items = collect(funnel, leads, lead, scratch)
        row = match_lead(funnel, items, trail, lead, hits, row)
    return row


@compiled
def match_lead(
    funnel: FunnelTable, items: Items, trail: Trail, lead: int, hits: NDArray[np.void], row: int
) -> int:
    """Write the hits of one lead from `row` on; the row after them."""
    entry = next_entry(funnel, items, 0)
    while entry < len(items.at):
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
    for item in range(start, len(items.at)):
        if funnel.order == UNORDERED or items.steps[item] & 1 != 0:
            return item
    return len(items.at)


@compiled
def entry_after(funnel: FunnelTable, items: Items, trail: Trail, entry: int) -> int:
    """With `every`: where the attempt after the one on the trail begins."""
    completed_by = trail.reached[len(funnel.signals) - 1]
    if completed_by >= 0:
        return next_entry(funnel, items, completed_by + 1)
    start = entry
    while start < len(items.at) and items.at[start] - items.at[entry] <= funnel.window_us:
        start += 1
    return next_entry(funnel, items, start)


@compiled
def depth_from(funnel: FunnelTable, items: Items, trail: Trail, first: int, alone: bool) -> int:
    """How deep the attempt entered by `first` gets (`alone`), or the deepest from there on."""
    if funnel.order == UNORDERED:
        return gather(funnel, items, trail, first, alone)
    return follow(funnel, items, trail, first, alone)


@compiled
def pursue(funnel: FunnelTable, items: Items, trail: Trail, entry: int) -> Attempt:
    """One attempt."""
    depth = depth_from(funnel, items, trail, entry, True)
    if len(funnel.excluding) > 0 and is_void(funnel, items, trail, entry):
        return Attempt(entry, 0, 0)
    return Attempt(entry, depth, open_until(funnel, items, trail, depth, entry))


@compiled
def open_until(funnel: FunnelTable, items: Items, trail: Trail, depth: int, entry: int) -> int:
    """The first instant at which what is on the trail is not open; unordered: by the last entry."""
    if depth == len(funnel.signals) or not funnel.timed:
        return 0
    if funnel.order == UNORDERED:
        return later(items.at[entry], funnel.window_us)
    return open_chains_until(funnel, items, trail, depth)


@compiled
def best_attempt(funnel: FunnelTable, items: Items, trail: Trail, first: int) -> Attempt:
    """The attempt that a lead counts with under `any`, open as long as any of its attempts is."""
    if len(funnel.excluding) > 0:
        best = best_not_void(funnel, items, trail, first)
    else:
        depth = depth_from(funnel, items, trail, first, False)
        until = open_until(funnel, items, trail, depth, len(items.at) - 1)
        best = Attempt(trail.entered[depth - 1], depth, until)
    depth_from(funnel, items, trail, best.entry, True)
    return best


@compiled
def best_not_void(funnel: FunnelTable, items: Items, trail: Trail, first: int) -> Attempt:
    """The same where attempts may be void: each is looked at; the first one if all are."""
    best, by, until = Attempt(first, 0, 0), -1, 0
    entry = first
    while entry < len(items.at):
        attempt = pursue(funnel, items, trail, entry)
        if attempt.depth > 0:
            until = max(until, attempt.open_until)
            reached_by = trail.reached[attempt.depth - 1]
            if attempt.depth > best.depth or (attempt.depth == best.depth and reached_by <= by):
                best, by = attempt, reached_by
        entry = next_entry(funnel, items, entry + 1)
    if best.depth == len(funnel.signals):
        until = 0
    return Attempt(best.entry, best.depth, until)


@compiled
def write(
    hits: NDArray[np.void], row: int, lead: int, items: Items, trail: Trail, attempt: Attempt
) -> None:
    """One attempt as a record."""
    hits["lead"][row] = lead
    hits["depth"][row] = attempt.depth
    hits["entered"][row] = items.at[attempt.entry]
    hits["open_until"][row] = attempt.open_until
    hits["excluded"][row] = attempt.depth == 0
    for step in range(attempt.depth):
        hits["reached"][row, step] = items.at[trail.reached[step]]
