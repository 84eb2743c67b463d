"""Likely duplicates: pairs of leads that no rule joins, each with its evidence and a rank.

Leads are compared by the digests of comparable forms alone, so nothing is unsealed. The
rank is the probability that two leads are one person, worked out as Fellegi and Sunter do,
with one more kind of pair: two people who are near to one another, in a family or at work,
share more than strangers, and are those who get taken for one person. With N leads,

    odds = DUPLICATES × Π same / (NEAR × Π (near × 2^(k - 2)) + N × Π strangers)

over what can be compared (`CHANCES`), where k is the number of leads with which one of the
two agrees so, itself included: each further one doubles the chance that what they share
belongs to several. Nothing is ever joined here.
"""

from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Numbers = NDArray[np.int64]

FORMS = ("email_plain", "phone_tail", "phone_minus", "name_account")
TOO_MANY = 10  # leads: a digest that more of them share says little, and makes no pairs

DUPLICATES, NEAR = 0.1, 0.1  # how many other leads are the same person as one, or near to it
# How often it is so: of one person, of two who are near, of two strangers. The first two are
# counted, on made-up pairs; of 3 × 10^8 numbers in use, some 140 differ from one in a digit or
# its place, and about nine in two that are swapped, or in what stands before the last eight.
CHANCES = {
    "address": (0.22, 0.02, 1e-7),
    "other_address": (0.78, 0.98, 1.0),
    "number": (0.33, 0.10, 1e-7),
    "number_swapped": (0.13, 0.002, 3e-8),
    "number_digit": (0.15, 0.16, 5e-7),
    "number_tail": (0.13, 0.002, 3e-8),
    "other_number": (0.26, 0.736, 1.0),
    "name": (0.58, 0.22, 1e-6),
    "other_name": (0.42, 0.78, 1.0),
}
_WHATS = tuple(CHANCES)
_CHANCES = np.array([*CHANCES.values(), (1.0, 1.0, 1.0)])  # the last: it cannot be compared
_UNKNOWN = len(CHANCES)
_MAIL, _TAIL, _MINUS, _NAME = range(len(FORMS))
_WHOLE_NUMBER, _SWAPPED = 3, 2  # so many forms with a digit left out two numbers share, or more


class Columns(NamedTuple):
    """Which lead has which digest; a row each, in any order."""

    forms: NDArray[np.int8]  # indexes of FORMS
    digests: NDArray[np.uint64]  # the first 64 bits; those of two forms never agree
    leads: Numbers

    def at(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Columns":
        """Some of the rows."""
        return Columns(self.forms[rows], self.digests[rows], self.leads[rows])


class Evidence(Struct, frozen=True):
    """One thing that two leads were compared by."""

    what: str  # of CHANCES
    agree: int  # digests that both have; 0 where they have others
    leads: int  # with whom one of the two agrees so, itself included


class Suggestion(Struct, frozen=True):
    """Two leads that may be one person."""

    rank: float  # the probability, to four digits
    leads: tuple[int, int]  # numbers, ascending
    evidence: tuple[Evidence, ...]


class Suggestions(NamedTuple):
    """What was found."""

    found: list[Suggestion]  # by rank, the highest first, then by leads
    skipped: int  # digests that too many leads share


class _Pairs(NamedTuple):
    """Pairs of leads that share a digest; a row each, and a column for each form."""

    leads: Numbers  # in two columns, ascending
    agree: Numbers  # digests that both have
    sharing: Numbers  # leads of whom one of the two shares any, itself included
    both: NDArray[np.bool_]  # whether both have the form at all


def suggest(columns: Columns, least: float, apart: Numbers) -> Suggestions:
    """The pairs of leads whose rank is high enough; time and memory go with the rows.

    Args:
        columns: What the leads have.
        least: The rank that is enough, from 0 to 1.
        apart: Pairs of leads that are known to be two, a row each.
    """
    columns, sizes = _distinct(columns)
    shared_by = np.repeat(sizes, sizes)
    few = shared_by <= TOO_MANY
    pairs = _pairs(columns.at(few), shared_by[few])
    whats, agree, sharing = _compared(pairs)
    ranks = _ranks(whats, agree, sharing, len(np.unique(columns.leads)))
    good = np.flatnonzero(ranks >= least)
    good = good[np.lexsort((pairs.leads[good, 1], pairs.leads[good, 0], -ranks[good]))]
    known = set(map(tuple, np.sort(apart, axis=1).tolist()))
    table = (column[good].tolist() for column in (ranks, pairs.leads, whats, agree, sharing))
    found = [
        Suggestion(rank, (one, other), _evidence(*compared))
        for rank, (one, other), *compared in zip(*table, strict=True)
        if (one, other) not in known
    ]
    return Suggestions(found, int(np.count_nonzero(sizes > TOO_MANY)))


def _distinct(columns: Columns) -> tuple[Columns, Numbers]:
    """The rows in order of digest and lead, each once, and how many leads share each digest."""
    columns = columns.at(np.lexsort((columns.leads, columns.digests)))
    columns = columns.at(_new(columns.digests) | _new(columns.leads))
    starts = np.flatnonzero(_new(columns.digests))
    return columns, np.diff(starts, append=len(columns.digests))


def _new(column: NDArray[np.uint64] | Numbers) -> NDArray[np.bool_]:
    """Where something else stands than in the row before."""
    new = np.ones(len(column), np.bool_)
    new[1:] = column[1:] != column[:-1]
    return new


def _pairs(columns: Columns, shared_by: Numbers) -> _Pairs:
    """All pairs that share a digest, from rows in order of digest and lead."""
    met = [np.empty((0, 3), np.int64)]  # two leads, and the form
    numbers, row = np.unique(columns.leads, return_inverse=True)
    for size in range(2, TOO_MANY + 1):
        rows = np.flatnonzero(shared_by == size).reshape(-1, size)
        one, other = (rows[:, side].ravel() for side in np.triu_indices(size, 1))
        met.append(np.column_stack((row[one], row[other], columns.forms[one])))
    ones, others, forms = np.concatenate(met).T
    keys, at = np.unique(ones * len(numbers) + others, return_inverse=True)
    two = np.column_stack(np.divmod(keys, max(len(numbers), 1)))
    agree = np.zeros((len(keys), len(FORMS)), np.int64)
    np.add.at(agree, (at, forms), 1)
    has = np.zeros((len(numbers), len(FORMS)), np.bool_)
    has[row, columns.forms] = True
    company = np.ones((len(numbers), len(FORMS)), np.int64)
    for side in two.T:
        np.add.at(company, side, agree > 0)
    return _Pairs(numbers[two], agree, company[two].max(axis=1), has[two].all(axis=1))


def _compared(pairs: _Pairs) -> tuple[Numbers, Numbers, Numbers]:
    """By address, number and name, a column each: what is so, digests that agree, who shares."""
    agree, sharing = pairs.agree, pairs.sharing
    minus, tail = agree[:, _MINUS], agree[:, _TAIL]
    ways = {
        "number": minus >= _WHOLE_NUMBER,
        "number_swapped": minus == _SWAPPED,
        "number_digit": minus == 1,
        "number_tail": tail > 0,
        "other_number": pairs.both[:, _TAIL],
    }
    number = np.select(list(ways.values()), list(map(_code, ways)), _UNKNOWN)
    whats = (_simply(pairs, _MAIL, "address"), number, _simply(pairs, _NAME, "name"))
    form = np.where(minus > 0, _MINUS, _TAIL)
    of_each = np.column_stack((np.full_like(form, _MAIL), form, np.full_like(form, _NAME)))
    return (
        np.column_stack(whats),
        np.take_along_axis(agree, of_each, axis=1),
        np.take_along_axis(sharing, of_each, axis=1),
    )


def _simply(pairs: _Pairs, form: int, what: str) -> Numbers:
    """What is so of a form in which two leads agree, have others, or cannot be compared."""
    others = np.where(pairs.both[:, form], _code(f"other_{what}"), _UNKNOWN)
    return np.where(pairs.agree[:, form] > 0, _code(what), others)


def _code(what: str) -> int:
    return _WHATS.index(what)


def _ranks(whats: Numbers, agree: Numbers, sharing: Numbers, leads: int) -> NDArray[np.float64]:
    """The rank of each pair, rounded down: nothing here is certain."""
    same, near, strangers = np.moveaxis(_CHANCES[whats], -1, 0)
    near = np.where(agree > 0, np.minimum(near * 2.0 ** (sharing - 2), 1), near)
    others = NEAR * near.prod(axis=1) + leads * strangers.prod(axis=1)
    odds = DUPLICATES * same.prod(axis=1) / others
    ranks: NDArray[np.float64] = np.floor(odds / (1 + odds) * 10_000) / 10_000
    return ranks


def _evidence(*compared: list[int]) -> tuple[Evidence, ...]:
    """What could be compared, in words."""
    return tuple(
        Evidence(_WHATS[what], agree, leads if agree else 0)
        for what, agree, leads in zip(*compared, strict=True)
        if what != _UNKNOWN
    )
