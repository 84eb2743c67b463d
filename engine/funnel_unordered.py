"""Unordered funnels: as many steps as possible are given items of their own.

Of all such choices the one with the latest items is kept: then those of them
that lie within a window are the best choice within it, and the oldest of them is the
latest entry with that depth. So one pass is exact, for one attempt and for all.
"""

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled
from engine.funnel_items import Items
from engine.funnel_tables import FunnelTable
from engine.funnel_trail import NONE, clear


@compiled
def gather(
    funnel: FunnelTable, items: Items, trail: NDArray[np.void], first: int, alone: bool
) -> int:
    """The depth of the attempt entered by item `first` (`alone`), or of the deepest from there on.

    `reached` is exact for one attempt; of all of them it says so of the deepest alone.
    """
    clear(trail)
    rows, steps, depth = items.rows, len(funnel.steps), 0
    for i in range(first, len(rows)):
        if alone and rows[i]["at"] - rows[first]["at"] > funnel.window_us:
            break
        place(rows, trail, i)
        held, oldest = 0, i
        for k in range(steps):
            holder = trail[k]["last"]
            if holder != NONE and rows[i]["at"] - rows[holder]["at"] > funnel.window_us:
                trail[k]["last"] = NONE
            elif holder != NONE:
                held, oldest = held + 1, min(oldest, holder)
        if held > depth:
            trail[depth]["reached"], trail[depth]["entered"] = i, oldest
            depth = held
        if depth == steps:
            break
    return depth


@compiled
def place(rows: NDArray[np.void], trail: NDArray[np.void], i: int) -> None:
    """Give item i a step, passing others on: a free one if there is a way, else the oldest's.

    An augmenting path: each step on it takes over the item of the step that leads to it.
    """
    seen = pending = rows[i]["steps"]
    goal = NONE
    while pending != 0:
        k = lowest(pending)
        pending &= pending - 1
        if rows[i]["steps"] >> k & 1 != 0:
            trail[k]["way"] = NONE
        holder = trail[k]["last"]
        if goal == NONE or holder < trail[goal]["last"]:
            goal = k
        if holder == NONE:
            break
        fresh = rows[holder]["steps"] & ~seen
        seen |= fresh
        pending |= fresh
        while fresh != 0:
            trail[lowest(fresh)]["way"] = k
            fresh &= fresh - 1
    while trail[goal]["way"] != NONE:
        trail[goal]["last"] = trail[trail[goal]["way"]]["last"]
        goal = trail[goal]["way"]
    trail[goal]["last"] = i


@compiled
def lowest(bits: int) -> int:
    """The index of the lowest bit that is set."""
    index = 0
    while bits >> index & 1 == 0:
        index += 1
    return index
