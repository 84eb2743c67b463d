"""Ordered and strict funnels: chains of items, one for each step.

Of the items that a chain may have in step k only the latest counts for step
k + 1: it leaves most of a `within`, has the fewest touches after it, and no other
chain to that step was entered later. So one pass is exact, for one attempt and for all.
"""

from engine.compiled import compiled
from engine.funnel_items import Items
from engine.funnel_tables import FunnelTable
from engine.funnel_trail import Trail, clear, later


@compiled
def follow(funnel: FunnelTable, items: Items, trail: Trail, first: int, alone: bool) -> int:
    """The depth of the attempt entered by item `first` (`alone`), or of the deepest from there on.

    `reached` is exact for one attempt; for all of them it holds for the deepest alone.
    """
    clear(trail)
    at, last, origin = items.at, trail.last, trail.origin
    within_us, window_us = funnel.within_us, funnel.window_us
    depth, steps = 0, len(within_us)
    for item in range(first, len(at)):
        if alone and at[item] - at[first] > window_us:
            break
        for step in range(min(depth, steps - 1), -1, -1):  # down: an item serves one step
            if items.steps[item] >> step & 1 == 0:
                continue
            entry, previous = item, last[step - 1]  # the latter means nothing in the first step
            if step > 0:
                entry = origin[step - 1]
                if previous < items.since[item] or at[item] - at[previous] > within_us[step]:
                    continue
            elif alone and item != first:
                continue
            if at[item] - at[entry] > window_us:
                continue
            last[step], origin[step] = item, entry
            if step == depth:
                trail.reached[depth], trail.entered[depth] = item, entry
                depth += 1
        if depth == steps:
            break
    return depth


@compiled
def open_chains_until(funnel: FunnelTable, items: Items, trail: Trail, depth: int) -> int:
    """The first instant at which no chain on the trail of an incomplete attempt can go on."""
    until = 0
    for step in range(depth):
        if trail.last[step] < items.since[len(items.at)]:
            continue
        window_ends = later(items.at[trail.origin[step]], funnel.window_us)
        within_ends = later(items.at[trail.last[step]], funnel.within_us[step + 1])
        until = max(until, min(window_ends, within_ends))
    return until


@compiled
def is_void(funnel: FunnelTable, items: Items, trail: Trail, entry: int) -> bool:
    """Whether a touch voids the attempt that left this trail."""
    for out in range(len(funnel.excluding)):
        start = trail.reached[funnel.after[out]]
        end = trail.reached[funnel.before[out]]
        if start < 0:
            continue
        for item in range(start + 1, len(items.at) if end < 0 else end):
            if items.at[item] - items.at[entry] > funnel.window_us:
                break
            if items.signals[item] & funnel.excluding[out] != 0:
                return True
    return False
