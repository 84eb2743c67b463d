"""Who is who: evidence in, leads out.

An identifier is a number here, which tells its kind and, above that, how many were recorded
before it; so the smaller of two was known first. A lead goes by the number of its strong
identifier that was known first, an anonymous lead by that of its weak one. Which touchpoint
is whose is settled in two steps:
the strong identifiers that are one person, and then, touchpoint by touchpoint in happening
order, who it belongs to.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from engine.touchpoint import KINDS, STRONG_KINDS, Identifier

ORIGINATOR_DIGITS = 32
STRONG, ANONYMOUS, CLICK = 0, 1, 2  # classes of identifiers
NO_ONE = -1  # the class of what names no lead

_KIND_BITS = 3
_KIND = (1 << _KIND_BITS) - 1
_CODES = {kind: code for code, kind in enumerate(KINDS)}
_CLASSES = np.full(_KIND + 1, NO_ONE, np.int8)  # by code
_CLASSES[: len(KINDS)] = [*(STRONG for _ in STRONG_KINDS), ANONYMOUS, CLICK]


def originator_of(stream: Identifier) -> str:
    """The id of a stream in the event store: the first 128 bits of its digest, in hex."""
    return stream.digest[:ORIGINATOR_DIGITS]


def number_of(before: int, kind: str) -> int:
    """The number of an identifier, or of what names no lead, with so many recorded before it."""
    return before << _KIND_BITS | _CODES.get(kind, _KIND)


def recorded_before(number: int) -> int:
    """How many identifiers were recorded before this one."""
    return number >> _KIND_BITS


def kind_code(number: int) -> int:
    """The kind of a numbered identifier, by its place in the order of precedence."""
    return number & _KIND


def is_strong(number: int) -> bool:
    """Whether a numbered identifier is a strong one."""
    return number & _KIND < len(STRONG_KINDS)


def classes_of(numbers: NDArray[np.int64]) -> NDArray[np.int8]:
    """The classes of numbered identifiers; NO_ONE for what names no lead."""
    classes: NDArray[np.int8] = _CLASSES[numbers & _KIND]
    return classes


def components(joined: Mapping[int, Iterable[int]]) -> dict[int, int]:
    """The lead of each strong identifier: the smallest number that it is joined with.

    Args:
        joined: Each identifier, with those that it is joined with; joins hold both ways.
    """
    leads: dict[int, int] = {}
    for begin in sorted(joined):
        if begin in leads:
            continue
        leads[begin] = begin
        reached = [begin]
        while reached:
            for other in joined[reached.pop()]:
                if other not in leads:
                    leads[other] = begin
                    reached.append(other)
    return leads
