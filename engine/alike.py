"""Equal rows found in one pass, so that what they have in common is looked at once."""

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled, compiled_with_arrays

Numbers = NDArray[np.int64]
_LOW = 0x7FFFFFFF  # the bits that hashes have
_NONE = -1


@compiled_with_arrays
def alike(rows: Numbers) -> tuple[Numbers, Numbers]:
    """The group of equal rows that each row is in, and the first row of each group.

    Args:
        rows: n x m; groups are numbered as they are first met.
    """
    which, first, groups = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64), 0
    slots = np.full(16, _NONE)  # of a hash table: a group
    for row in range(len(rows)):
        slot = place_of(rows, row, first, slots)
        if slots[slot] == _NONE:
            slots[slot], first[groups] = groups, row
            groups += 1
        which[row] = slots[slot]
        if 2 * groups > len(slots):
            slots = np.full(4 * len(slots), _NONE)
            for group in range(groups):
                slots[place_of(rows, first[group], first, slots)] = group
    return which, first[:groups]


@compiled
def place_of(rows: Numbers, row: int, first: Numbers, slots: Numbers) -> int:
    """The slot of a row's group, or the free one where it goes."""
    hashed, last = 0, len(slots) - 1
    for word in rows[row]:
        product = (hashed ^ (word & _LOW) ^ (word >> 31 & _LOW)) * 1_540_483_477
        hashed = (product ^ product >> 29) & _LOW
    slot = hashed & last
    while slots[slot] != _NONE and not equal(rows, row, first[slots[slot]]):
        slot = (slot + 1) & last
    return slot


@compiled
def equal(rows: Numbers, one: int, other: int) -> bool:
    """Whether two rows are equal."""
    unlike = 0
    for word in range(rows.shape[1]):
        unlike |= rows[one, word] ^ rows[other, word]
    return unlike == 0
