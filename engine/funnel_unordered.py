"""Unordered funnels: as many steps as possible are given items of their own.

Of all such choices the one with the latest items is kept: then those of them
that lie within a window are the best choice within it, and the oldest of them is the
latest entry with that depth. So one pass is exact, for one attempt and for all.
"""

from engine.compiled import compiled
from engine.funnel_items import Items
from engine.funnel_tables import FunnelTable
from engine.funnel_trail import Trail, clear


@compiled
def gather(funnel: FunnelTable, items: Items, trail: Trail, first: int, alone: bool) -> int:
    """The depth of the attempt entered by item `first` (`alone`), or of the deepest from there on.

    `reached` is exact for one attempt; for all of them it holds for the deepest alone.
    """
    clear(trail)
    depth, steps = 0, len(funnel.signals)
    for item in range(first, len(items.at)):
        if alone and items.at[item] - items.at[first] > funnel.window_us:
            break
        place(items, trail, item)
        held, oldest = 0, item
        for step in range(steps):
            holder = trail.last[step]
            if holder >= 0 and items.at[item] - items.at[holder] > funnel.window_us:
                trail.last[step] = -1
            elif holder >= 0:
                held, oldest = held + 1, min(oldest, holder)
        if held > depth:
            trail.reached[depth], trail.entered[depth] = item, oldest
            depth = held
        if depth == steps:
            break
    return depth


@compiled
def place(items: Items, trail: Trail, item: int) -> None:
    """Give an item a step, passing others on: a free one if there is a way, else the oldest's.

    An augmenting path: every step on it takes the item of the step that leads to it.
    """
    seen = pending = items.steps[item]
    goal = -1
    trail.way[:] = -1
    while pending != 0:
        step = lowest(pending)
        pending &= pending - 1
        holder = trail.last[step]
        if goal < 0 or holder < trail.last[goal]:
            goal = step
        if holder < 0:
            break
        fresh = items.steps[holder] & ~seen
        for other in range(len(trail.way)):
            if fresh >> other & 1 != 0:
                trail.way[other] = step
        seen |= fresh
        pending |= fresh
    while trail.way[goal] >= 0:
        trail.last[goal] = trail.last[trail.way[goal]]
        goal = trail.way[goal]
    trail.last[goal] = item


@compiled
def lowest(bits: int) -> int:
    """The index of the lowest bit that is set."""
    index = 0
    while bits >> index & 1 == 0:
        index += 1
    return index
