"""What following one attempt, or all attempts of a lead at once, leaves behind."""

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled
from engine.folded import MAX_STEPS

NONE = -1  # no item
TRAIL = np.dtype(  # items; record k is about depth k + 1, or about step k, from 0
    [
        ("reached", "<i8"),  # the first item that gets to this depth
        ("entered", "<i8"),  # the latest entry that gets there by that item
        ("last", "<i8"),  # the latest item in this step; unordered: the one given to it
        ("origin", "<i8"),  # the latest entry with a chain to that latest item
        ("way", "<i8"),  # unordered, while placing: the step that passes its item to this one
    ]
)


def new_trail() -> NDArray[np.void]:
    """A trail of the greatest length."""
    return np.zeros(MAX_STEPS, TRAIL)


@compiled
def clear(trail: NDArray[np.void]) -> None:
    """Forget an earlier attempt."""
    for k in range(len(trail)):
        trail[k]["reached"] = NONE
        trail[k]["last"] = NONE
