"""Whose each touchpoint is, given which strong identifiers are one person."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled
from engine.identity import ANONYMOUS, CLICK, STRONG

NOBODY = -1


class Named(NamedTuple):
    """The identifiers of touchpoints: row i has ids[starts[i]:starts[i + 1]].

    Ids are indexes into the other three, in the order of precedence, then of digests.
    """

    starts: NDArray[np.int64]  # n + 1
    ids: NDArray[np.int64]
    classes: NDArray[np.int8]  # STRONG, ANONYMOUS or CLICK
    common: NDArray[np.bool_]  # too common to say who somebody is
    leads: NDArray[np.int64]  # of a strong identifier its lead, of a weak one its own number


class Owned(NamedTuple):
    """What is found out on the way, by touchpoint and by identifier."""

    found: NDArray[np.int64]  # the lead of each touchpoint
    says: NDArray[np.bool_]  # whether it says whose the weak identifiers on it are
    first: NDArray[np.int64]  # the owner of each identifier by the first that says so
    last: NDArray[np.int64]  # by the last one so far


def owners(named: Named, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """The lead of each touchpoint; NOBODY where nobody is named.

    Args:
        named: Who the touchpoints name; for each weak identifier that stands on one of
            interest, with all touchpoints that say whose it was.
        order: Indexes of the touchpoints in happening order.
    """
    found = np.full(len(named.starts) - 1, NOBODY, np.int64)
    sure = np.zeros(len(found), np.bool_)
    _own_strong(named, found, sure)
    first = np.full(len(named.classes), NOBODY, np.int64)
    last = np.full(len(named.classes), NOBODY, np.int64)
    weak = found == NOBODY
    _own_weak(named, order, ANONYMOUS, Owned(found, sure, first, last))
    says = sure | (weak & (found != NOBODY))
    _own_weak(named, order, CLICK, Owned(found, says, first, last))
    return found


@compiled
def _own_strong(named: Named, found: NDArray[np.int64], sure: NDArray[np.bool_]) -> None:
    """By the first strong identifier that is not too common, or else by the first."""
    for row in range(len(found)):
        for at in range(named.starts[row], named.starts[row + 1]):
            who = named.ids[at]
            if named.classes[who] != STRONG:
                continue
            if not named.common[who]:
                found[row] = named.leads[who]
                sure[row] = True
                break
            if found[row] == NOBODY:
                found[row] = named.leads[who]


@compiled
def _own_weak(named: Named, order: NDArray[np.int64], kind: int, owned: Owned) -> None:
    """By the last touchpoint before that says whose the identifier was, else the first after."""
    for row in order:
        if owned.says[row]:
            for at in range(named.starts[row], named.starts[row + 1]):
                who = named.ids[at]
                if named.classes[who] == kind and owned.first[who] == NOBODY:
                    owned.first[who] = owned.found[row]
    for row in order:
        owner = NOBODY
        own = NOBODY
        for at in range(named.starts[row], named.starts[row + 1]):
            who = named.ids[at]
            if named.classes[who] != kind:
                continue
            if owned.says[row]:
                owned.last[who] = owned.found[row]
                continue
            if own == NOBODY:
                own = named.leads[who]
            if owner == NOBODY:
                owner = owned.last[who] if owned.last[who] != NOBODY else owned.first[who]
        if owned.found[row] == NOBODY:
            owned.found[row] = own if owner == NOBODY else owner
