"""Which of what was recorded lately made a figure what it is.

Named is a set of positions such that without them the figure is as it was before, and with
them alone it is as it is after. So it holds whatever works together, and whatever would do
by itself. Of such sets a smallest is looked for, by leaving out what can be left out.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from itertools import chain, combinations
from typing import Any, NamedTuple

Kept = frozenset[int]  # positions: what is kept of the lately recorded
NOTHING: Kept = frozenset()
EVERYBODY = ""  # in the place of a lead's id: what is counted of all leads of a case
FEW = 6  # causes, of which every set is tried
TRIES = 500  # for one figure; what is not tried by then stays named

Figure = tuple[str, str]  # of which lead, and what it is called
World = Mapping[Figure, Any]  # its figures; what is nothing is left out
Asked = tuple[int, Kept]  # of which case, and what is kept of the lately recorded
Evaluate = Callable[[Sequence[Asked]], Sequence[World | None]]  # None: there can be no such world
Search = Generator[Kept, World | None, Kept | None]


class Question(NamedTuple):
    """A figure of a case that has worlds, and what may have made it differ."""

    case: int
    figure: Figure
    changes: Kept
    named: Kept = NOTHING  # more of what was recorded lately, named in any case
    unnamed: Kept = NOTHING  # and more that is not to be named
    tries: int = TRIES


def find(questions: Sequence[Question], evaluate: Evaluate) -> list[Kept | None]:
    """Which of the changes made each figure differ; None where others must be named.

    What worlds are needed is asked for together, each once.
    """
    known: dict[Asked, World | None] = {}
    found: list[Kept | None] = [None] * len(questions)
    searches = [_search(one) for one in questions]
    wanted = {number: next(search) for number, search in enumerate(searches)}
    while wanted:
        asked = {(questions[number].case, kept): None for number, kept in wanted.items()}
        new = [one for one in asked if one not in known]
        known |= dict(zip(new, evaluate(new), strict=True))
        for number, kept in [*wanted.items()]:
            try:
                wanted[number] = searches[number].send(known[questions[number].case, kept])
            except StopIteration as done:
                found[number] = done.value
                del wanted[number]
    return found


def _search(question: Question) -> Search:
    """Leave out what can be left out: by halves, one by one, and of a few any of them together."""
    _, figure, changes, named, unnamed, tries = question
    both = (yield NOTHING), (yield changes | named | unnamed)
    if unnamed:
        alone, without = (yield changes | named), (yield unnamed)
        if not (_alike(alone, both[1], figure) and _alike(without, both[0], figure)):
            return None
    needed, size = sorted(changes), (len(changes) + 1) // 2
    left_out = len(needed) > 1 or bool(needed and (named or unnamed))
    while left_out and tries > 0:
        at, left_out = 0, size > 1
        while at < len(needed) and tries > 0:
            fewer, tries = frozenset(needed[:at] + needed[at + size :]), tries - 1
            if (yield from _do(fewer, question, both)):
                needed, left_out = sorted(fewer), True
            else:
                at += size
        size = max(1, size // 2)
    if len(needed) <= FEW:
        for fewer in map(frozenset, _subsets(needed, len(needed) - 2)):
            if (yield from _do(fewer, question, both)):
                return fewer
    return frozenset(needed)


def _do(
    fewer: Kept, question: Question, both: tuple[World | None, World | None]
) -> Generator[Kept, World | None, bool]:
    """Whether these alone make the figure what it is, and what it was is made without them."""
    _, figure, changes, named, unnamed, _ = question
    alone = yield fewer | named
    if not _alike(alone, both[1], figure):
        return False
    return _alike((yield (changes - fewer) | unnamed), both[0], figure)


def _subsets(some: Sequence[int], most: int) -> Iterator[tuple[int, ...]]:
    """All sets of up to so many, the smallest first."""
    return chain.from_iterable(combinations(some, size) for size in range(most + 1))


def _alike(world: World | None, like: World | None, figure: Figure) -> bool:
    """Whether there can be such a world, and it has a figure like another."""
    return world is not None and like is not None and world.get(figure) == like.get(figure)
