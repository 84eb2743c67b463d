"""What there is to tell of leads that were looked at twice: what is new, and what was wrong.

Between the two looks time went on, or more came to be known. Leads are the same where they have
touchpoints in common, so that a join or a parting of leads tells nothing twice; what was told is
about whoever has the touchpoint by which it is anchored.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from msgspec import structs

from engine.announceable import Announceable
from engine.announcement import KINDS, LASTING, SEGMENT_JOINED, SEGMENTS, Key, Standing
from engine.history import NEVER
from engine.ruleset import Segment


class Look:
    """Leads as they were folded at one of the two looks, and whose each touchpoint is."""

    def __init__(self, said: Announceable) -> None:
        self.said = said
        histories = said.folded.histories
        self._starts = histories.starts.tolist()
        self._positions: list[int] = histories.positions.tolist()
        owners = np.repeat(np.arange(len(histories.leads)), np.diff(histories.starts))
        self.lead_of = dict(zip(self._positions, owners.tolist(), strict=True))

    def positions(self, lead: int) -> list[int]:
        """Those of a lead's touchpoints, in happening order."""
        return self._positions[self._starts[lead] : self._starts[lead + 1]]

    def happened(self, lead: int | None) -> set[tuple[int, int]]:
        """When each of a lead's touchpoints happened, with its position."""
        if lead is None:
            return set()
        own = slice(self._starts[lead], self._starts[lead + 1])
        when = self.said.folded.histories.touches["occurred_at"][own]
        return {*zip(when.tolist(), self._positions[own], strict=True)}

    def number(self, lead: int | None) -> int | None:
        """The number of a lead in the store."""
        return None if lead is None else int(self.said.folded.histories.numbers[lead])

    def segments(self) -> list[Segment]:
        """What is asked, without what it is called."""
        return [structs.replace(one, label={}) for one in self.said.folded.rules.segments]


class Meant(NamedTuple):
    """Whom an announcement is about, by index at either look; None: nobody is left."""

    told: Standing
    before: int | None
    after: int | None
    anchor: int  # position, from now on


class Differences(NamedTuple):
    """What there is to tell."""

    news: list[tuple[int, Key]]  # by lead, in the order in which it came about
    wrong: list[Standing]
    stands: list[Meant]  # what is still right


def whom(before: Look, after: Look, standing: Iterable[Standing]) -> Iterator[Meant]:
    """Whom announcements are about.

    Where the touchpoint that tells is void by now, the lead's first that is left tells.
    """
    for told in standing:
        anchor, then = told.anchor, before.lead_of.get(told.anchor)
        if anchor not in after.lead_of and then is not None:
            left = (one for one in before.positions(then) if one in after.lead_of)
            anchor = next(left, anchor)
        yield Meant(told, then, after.lead_of.get(anchor), anchor)


def in_doubt(before: Look, after: Look, meant: Sequence[Meant]) -> Iterator[Meant]:
    """Those of an instant about which more, or less, is known of the lead now than at the first.

    Whether they held must be asked as of that instant.
    """
    changed: dict[tuple[int | None, int | None], int] = {}
    for one in meant:
        if one.told.kind in LASTING:
            continue
        pair = one.before, one.after
        if pair not in changed:
            differing = before.happened(pair[0]) ^ after.happened(pair[1])
            changed[pair] = min((at for at, _ in differing), default=NEVER)
        if changed[pair] <= one.told.settled_to:
            yield one


def differences(
    before: Look, after: Look, meant: Sequence[Meant] = (), wrong_then: Collection[int] = ()
) -> Differences:
    """What the second look says and the first did not, and what the first said wrongly.

    Args:
        before: The first look.
        after: The second one.
        meant: What stands of these leads.
        wrong_then: The numbers of those that are wrong as of an instant of their own.
    """
    undone = (one.told.number for one in meant if _undone(before, after, one))
    compared = _Compared(before, after, meant, {*wrong_then, *undone})
    news = [(lead, key) for lead in range(len(after.said.facts)) for key in compared.news(lead)]
    news.sort(key=lambda one: (one[1][2], KINDS.index(one[1][0]), one[0]))
    return Differences(
        news,
        [one.told for one in meant if one.told.number in compared.wrong],
        [one for one in meant if one.told.number not in compared.wrong],
    )


def _undone(before: Look, after: Look, one: Meant) -> bool:
    """Whether something lasting was said at the first look, and is not at the second."""
    key = one.told.key
    if one.told.kind not in LASTING or not before.said.holds(one.before, key):
        return False
    return not after.said.holds(one.after, key)


class _Compared:
    """Two looks at the same leads, and what stands of them."""

    def __init__(
        self, before: Look, after: Look, meant: Sequence[Meant], wrong: Collection[int]
    ) -> None:
        self._before, self._after, self.wrong = before, after, wrong
        self._told_of: dict[int | None, set[Key]] = defaultdict(set)  # by lead of the first look
        self._segments_of: dict[int | None, set[str]] = defaultdict(set)  # names, likewise
        self._here: dict[int | None, list[Meant]] = defaultdict(list)  # by lead of the second
        for one in meant:
            self._told_of[one.before].add(one.told.key)
            if one.told.kind in SEGMENTS:
                self._segments_of[one.before].add(one.told.name)
            self._here[one.after].append(one)
        asked = before.segments()
        self._asked_alike = [
            (segment.name, asked.index(segment), place)
            for place, segment in enumerate(after.segments())
            if segment in asked
        ]

    def news(self, lead: int) -> Iterator[Key]:
        """What is to be told of a lead of the second look."""
        said = self._after.said
        found = (self._before.lead_of.get(one) for one in self._after.positions(lead))
        same = {one for one in found if one is not None}
        right = {one.told.key for one in self._here[lead] if one.told.number not in self.wrong}
        for key in said.facts[lead]:
            known = (one for one in same if key in self._before.said.facts[one])
            if key not in right and all(key in self._told_of[one] for one in known):
                yield key  # nobody had it, or whoever was told to have it is another lead by now
        if said.exists(lead):
            yield from self._turns(lead, same)

    def _turns(self, lead: int, same: Collection[int]) -> Iterator[Key]:
        """The segments that a lead joined or left between the looks.

        Of one that asks something else by now nothing is said: rules changed, and not the lead.
        """
        said = self._after.said
        for name, then, now in self._asked_alike:
            inside = bool(said.members[lead, now])
            if inside != self._was_in(lead, name, then, same):
                yield SEGMENTS[inside], name, said.folded.as_of

    def _was_in(self, lead: int, name: str, segment: int, same: Collection[int]) -> bool:
        """Whether a lead was in a segment, as those take it who heard what was told of it.

        What was told of a lead that it was a part of, and no longer is, they take for that one's.
        """
        told = [
            one for one in self._here[lead] if one.told.kind in SEGMENTS and one.told.name == name
        ]
        told.sort(key=lambda one: one.told.number)
        fallen = [one for one in told if one.told.number in self.wrong]
        if fallen:
            left = [one for one in told if one.told.number not in self.wrong]
            last = left[-1] if left else fallen[0]
            return (last.told.kind == SEGMENT_JOINED) == bool(left)
        who: set[int | None] = {told[-1].before} if told else set()
        if not told:
            who = {one for one in same if name not in self._segments_of[one]}
        members = self._before.said.members
        return any(one is not None and bool(members[one, segment]) for one in who)
