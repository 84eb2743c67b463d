"""What following one attempt, or all attempts of a lead at once, leaves behind."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled
from engine.folded import MAX_STEPS
from engine.history import NEVER


class Trail(NamedTuple):
    """Items, by step or by depth from 0; -1: none."""

    reached: NDArray[np.int64]  # by depth: the first item that gets there
    entered: NDArray[np.int64]  # by depth: the latest entry that gets there by that item
    last: NDArray[np.int64]  # by step: the latest item in it; unordered: the one given to it
    origin: NDArray[np.int64]  # by step: the latest entry with a chain to that latest item
    way: NDArray[np.int64]  # unordered, while placing: the step that passes its item to this one


def new_trail() -> Trail:
    """A trail with nothing on it."""
    reached, entered, last, origin, way = np.full((5, MAX_STEPS), -1, np.int64)
    return Trail(reached, entered, last, origin, way)


@compiled
def clear(trail: Trail) -> None:
    """Forget an earlier attempt."""
    trail.reached[:] = -1
    trail.last[:] = -1


@compiled
def later(at: int, duration_us: int) -> int:
    """An instant plus a duration, `NEVER` at most."""
    return NEVER if duration_us > NEVER - at else at + duration_us
