"""Who is who: evidence in, leads out.

An identifier is a number here, given when it was first recorded, so the smaller of two was
known first. A lead goes by the number of its strong identifier that was known first, an
anonymous lead by that of its weak one. Which touchpoint is whose is settled in two steps:
the strong identifiers that are one person, and then, touchpoint by touchpoint in happening
order, who it belongs to.
"""

from collections.abc import Iterable, Mapping

from engine.touchpoint import STRONG_KINDS, Identifier

ORIGINATOR_DIGITS = 32
TOO_COMMON = 10  # different identifiers of one strong kind that one may appear with
STRONG, ANONYMOUS, CLICK = 0, 1, 2  # classes of identifiers
NO_ONE = -1  # the class of what names no lead

_CLASSES = {**dict.fromkeys(STRONG_KINDS, STRONG), "anonymous_id": ANONYMOUS, "click_id": CLICK}


def originator_of(stream: Identifier) -> str:
    """The id of a stream in the event store: the first 128 bits of its digest, in hex."""
    return stream.digest[:ORIGINATOR_DIGITS]


def class_of(kind: str) -> int:
    """The class of an identifier's kind; NO_ONE for what names no lead."""
    return _CLASSES.get(kind, NO_ONE)


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
