"""The score arithmetic of the fold, compiled."""

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled
from engine.decay import FACTOR_BITS, MAX_HALVINGS, TICK_BITS, TICK_MASK
from engine.history import BEGINNING

NEVER_BELOW = BEGINNING  # no instant


@compiled
def decayed(points: int, ticks: int, factors: NDArray[np.int64]) -> int:
    """Micro-points after a number of ticks, rounded once, half away from zero."""
    if ticks == 0:
        return points
    halvings = ticks >> TICK_BITS
    if halvings > MAX_HALVINGS:
        return 0
    shift = FACTOR_BITS + halvings
    kept = (abs(points) * factors[ticks & TICK_MASK] + (1 << (shift - 1))) >> shift
    return int(kept) if points > 0 else int(-kept)


@compiled
def brought_forward(
    points: int, since: int, until: int, tick_us: int, factors: NDArray[np.int64]
) -> int:
    """Micro-points of `since`, at `until`; `tick_us` is 0 for a score that does not fade."""
    if tick_us == 0 or until == since:
        return points
    return decayed(points, until // tick_us - since // tick_us, factors)


@compiled
def first_below(
    points: int, span: tuple[int, int], tick_us: int, bound: int, factors: NDArray[np.int64]
) -> int:
    """When a score is first below a bound, or NEVER_BELOW. `span`: points as of, not before."""
    since, not_before = span
    if brought_forward(points, since, not_before, tick_us, factors) < bound:
        return not_before
    if tick_us == 0 or points <= 0 or bound <= 0:
        return NEVER_BELOW  # it stays, or it rises to zero, or falls to zero
    origin = since // tick_us
    above = not_before // tick_us - origin  # at this tick it is not below yet
    below = (MAX_HALVINGS + 1) << TICK_BITS  # at this one it is: nothing is left
    while below - above > 1:
        middle = (above + below) >> 1
        if decayed(points, middle, factors) < bound:
            below = middle
        else:
            above = middle
    return (origin + below) * tick_us
