"""Ordered and strict funnels: chains of items, one for each step.

Of the items that chains have in step k only the latest counts for step k + 1:
it leaves most of a `within`, has the fewest touches after it, and no chain to
that step was entered later. So one pass is exact, for one attempt and for all.
"""

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled
from engine.funnel_items import Items
from engine.funnel_tables import FunnelTable
from engine.funnel_trail import NONE, clear
from engine.history import NEVER


@compiled
def follow(
    funnel: FunnelTable, items: Items, trail: NDArray[np.void], first: int, alone: bool
) -> int:
    """The depth of the attempt entered by item `first` (`alone`), or of the deepest from there on.

    `reached` is exact for one attempt; of all of them it says so of the deepest alone.
    """
    clear(trail)
    rows, steps, depth = items.rows, funnel.steps, 0
    for i in range(first, len(rows)):
        item = rows[i]
        if alone and item["at"] - rows[first]["at"] > funnel.window_us:
            break
        for k in range(min(depth, len(steps) - 1), -1, -1):  # down: an item serves one step
            if item["steps"] >> k & 1 == 0:
                continue
            entry = i
            if k > 0:
                previous, entry = trail[k - 1]["last"], trail[k - 1]["origin"]
                if previous < item["since"] or item["at"] - rows[entry]["at"] > funnel.window_us:
                    continue
                if item["at"] - rows[previous]["at"] > steps[k]["within_us"]:
                    continue
            elif alone and i != first:
                continue
            trail[k]["last"], trail[k]["origin"] = i, entry
            if k == depth:
                trail[k]["reached"], trail[k]["entered"] = i, entry
                depth += 1
        if depth == len(steps):
            break
    return depth


@compiled
def chains_open_until(
    funnel: FunnelTable, items: Items, trail: NDArray[np.void], depth: int
) -> int:
    """The first instant at which no chain on the trail of an incomplete attempt can go on."""
    until = 0
    for k in range(depth):
        if trail[k]["last"] >= items.since:
            window_end = later(items.rows[trail[k]["origin"]]["at"], funnel.window_us)
            within_end = later(items.rows[trail[k]["last"]]["at"], funnel.steps[k + 1]["within_us"])
            until = max(until, min(window_end, within_end))
    return until


@compiled
def later(at: int, duration_us: int) -> int:
    """An instant plus a duration, `NEVER` at most."""
    return NEVER if duration_us > NEVER - at else at + duration_us


@compiled
def is_void(funnel: FunnelTable, items: Items, trail: NDArray[np.void], entry: int) -> bool:
    """Whether a touch voids the attempt that left this trail."""
    rows = items.rows
    for x in range(len(funnel.exclusions)):
        exclusion = funnel.exclusions[x]
        start = trail[exclusion["after"]]["reached"]
        end = trail[exclusion["before"]]["reached"]
        if start == NONE:
            continue
        for i in range(start + 1, len(rows) if end == NONE else end):
            if rows[i]["at"] - rows[entry]["at"] > funnel.window_us:
                break
            if rows[i]["signals"] & exclusion["signal"] != 0:
                return True
    return False
