"""Who a lead is: by which identifiers it is known, and what joined them when."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any, NamedTuple

import numpy as np

from engine.codec import decode
from engine.errors import NotKnown, SeveralLeads
from engine.identifiers import NO_NAMESPACE
from engine.identity import is_strong, kind_code
from engine.instants import format_instant
from engine.privacy import IdentifierKey
from engine.store.belonging import leads_naming
from engine.store.connection import Connection
from engine.store.facts import Facts
from engine.store.links import Link, last_words, links_about
from engine.store.people import People
from engine.store.reading import lead_ids, touchpoints_at
from engine.store.recorder import last_position
from engine.store.ties import Tie, Touch, identifiers, ties, touches_of
from engine.touchpoint import KINDS, Identifier, Touchpoint

Document = dict[str, Any]

DIGITS = 8  # of a digest, where people read it
_CLICK = "click_id"


class Weak(NamedTuple):
    """A cookie or click on touchpoints of a lead."""

    number: int
    touchpoints: int
    first_at: int  # microseconds, UTC
    last_at: int
    came_by: int | None  # position of the first touchpoint that makes it this lead's
    other_leads: int  # whose touchpoints name it as well


class Told(NamedTuple):
    """A touchpoint, and when it was recorded."""

    position: int
    recorded_at: int  # microseconds, UTC
    touchpoint: Touchpoint


@dataclass(frozen=True)
class Kinship:
    """Who a lead is, as known at a position; identifiers are numbers."""

    lead: int
    id: str
    known_at: int  # position
    touchpoints: int
    strong: Sequence[tuple[int, Tie | None]]  # the one that it goes by first, joined by nothing
    weak: Sequence[Weak]
    crowds: Mapping[int, tuple[int, int]]  # of those that are too common: of which kind, how many
    links: Sequence[Link]  # in happening order
    named: Mapping[int, Identifier]
    told: Mapping[int, Told]  # by position


def look(facts: Facts, number: int, known_at: int | None) -> Kinship:
    """Who the lead is that an identifier was of, as known at a position; None: by now.

    Raises:
        NotKnown: Nothing of it counted by then.
        SeveralLeads: It is a weak one, and was of more than one.
    """
    with facts.snapshot() as connection:
        head = last_position(connection)
        upto = head if known_at is None else min(known_at, head)
        return _Then(facts, connection, upto).of(number)


class _Then:
    """The facts as they were known at a position."""

    def __init__(self, facts: Facts, connection: Connection, known_at: int) -> None:
        self._strings = facts.strings
        self._connection = connection
        self._known_at = known_at
        self._people = People(connection, known_at, facts.too_common)

    def of(self, number: int) -> Kinship:
        """Who the lead of an identifier is."""
        connection, people, known_at = self._connection, self._people, self._known_at
        lead = self._lead_of(number)
        touches = touches_of(connection, people, lead, known_at, self._strings)
        if not touches:
            raise NotKnown(known_at)
        strong = self._strong(lead)
        links = links_about(connection, [one for one, _ in strong], known_at)
        common = people.common(one for touch in touches for one in touch.strong)
        weak = self._weak(lead, touches)
        named = {lead, *common, *(one for one, _ in strong), *(one.number for one in weak)}
        named.update(one for link in links for one in link.pair)
        positions = {link.position for link in links} | {tie.position for _, tie in strong if tie}
        positions.update(one.came_by for one in weak if one.came_by is not None)
        return Kinship(
            lead=lead,
            id=lead_ids(connection, np.array([lead], np.int64))[0],
            known_at=known_at,
            touchpoints=len(touches),
            strong=strong,
            weak=weak,
            crowds={one: people.crowd(one) for one in sorted(common)},
            links=links,
            named=identifiers(connection, named),
            told=told_at(connection, positions, known_at),
        )

    def _lead_of(self, number: int) -> int:
        connection, people = self._connection, self._people
        if is_strong(number):
            return people.leads([number])[number]
        naming = leads_naming(connection, people, [number], self._known_at, self._strings)
        leads = sorted(naming[number])
        if len(leads) > 1:
            ids = lead_ids(connection, np.array(leads, np.int64))
            raise SeveralLeads(KINDS[kind_code(number)], sorted(ids))
        return leads[0] if leads else number

    def _strong(self, lead: int) -> list[tuple[int, Tie | None]]:
        """The strong identifiers of a lead, and what joined each to those before it."""
        if not is_strong(lead):
            return []
        people = self._people
        members = [one for one, whose in people.leads([lead]).items() if whose == lead]
        pairs = [(one, other) for one in members for other in people.joined(one) if one < other]
        return spanning_tree(lead, ties(self._connection, pairs, self._known_at))

    def _weak(self, lead: int, touches: Sequence[Touch]) -> list[Weak]:
        """The weak identifiers on touchpoints of a lead, those that came first before others."""
        own: dict[int, list[Touch]] = defaultdict(list)
        for touch in touches:
            for one in touch.weak:
                own[one].append(touch)
        leads = leads_naming(self._connection, self._people, own, self._known_at, self._strings)
        return [
            Weak(
                number=one,
                touchpoints=len(naming),
                first_at=naming[0].at,
                last_at=naming[-1].at,
                came_by=next((t.position for t in naming if self._says_whose(one, t)), None),
                other_leads=len(leads[one] - {lead}),
            )
            for one, naming in sorted(own.items(), key=lambda kind: kind_code(kind[0]))
        ]

    def _says_whose(self, weak: int, touch: Touch) -> bool:
        """Whether a touchpoint that names a weak identifier makes it its lead's."""
        if touch.strong:
            return bool(set(touch.strong) - self._people.common(touch.strong))
        a_click = KINDS[kind_code(weak)] == _CLICK
        return a_click and any(KINDS[kind_code(one)] != _CLICK for one in touch.weak)


def spanning_tree(root: int, found: Iterable[Tie]) -> list[tuple[int, Tie | None]]:
    """The root, then one after the other whom the earliest tie to those before brings in.

    Each comes with that tie, turned so that `one` is there already and `other` is new.
    """
    around: dict[int, list[Tie]] = defaultdict(list)
    for position, one, other in found:
        around[one].append(Tie(position, one, other))
        around[other].append(Tie(position, other, one))
    tree: list[tuple[int, Tie | None]] = []
    taken: set[int] = set()
    ahead: list[tuple[int, int, int, Tie | None]] = [(0, 0, root, None)]
    while ahead:
        *_, number, tie = heappop(ahead)
        if number in taken:
            continue
        taken.add(number)
        for more in around[number]:
            if more.other not in taken:
                heappush(ahead, (more.position, len(tree), more.other, more))
        tree.append((number, tie))
    return tree


def told_at(connection: Connection, positions: Collection[int], known_at: int) -> dict[int, Told]:
    """The touchpoints at some positions, by position."""
    return {
        item.position: Told(item.position, item.recorded_at, decode(item.data))
        for item in touchpoints_at(connection, positions, known_at)
    }


def document(kin: Kinship, clear: Mapping[str, str] | None = None) -> Document:
    """Who a lead is, as JSON has it; with values in clear where they are given, by digest."""
    named = {number: _named(who, clear) for number, who in kin.named.items()}
    holding = last_words(kin.links)
    return {
        "lead": kin.id,
        "known_at": kin.known_at,
        "touchpoints": kin.touchpoints,
        "strong": [
            {**named[one], "joined": tie and {"to": named[tie.one], **told(kin.told[tie.position])}}
            for one, tie in kin.strong
        ],
        "weak": [
            {
                **named[one.number],
                "touchpoints": one.touchpoints,
                "first_at": format_instant(one.first_at),
                "last_at": format_instant(one.last_at),
                "came_by": None if one.came_by is None else told(kin.told[one.came_by]),
                "other_leads": one.other_leads,
            }
            for one in kin.weak
        ],
        "too_common": [
            {**named[one], "beside": {"kind": KINDS[kind], "identifiers": count}}
            for one, (kind, count) in kin.crowds.items()
        ],
        "links": [
            {
                "identifiers": [named[one] for one in link.pair],
                **told(kin.told[link.position]),
                **why(kin.told[link.position].touchpoint),
                "retracted": link.retracted,
                "holds": holding.get(link.pair) == link,
            }
            for link in kin.links
        ],
    }


def told(item: Told) -> Document:
    """A touchpoint: what names it, when it happened, and since when it is known."""
    touchpoint = item.touchpoint
    return {
        "source": touchpoint.source,
        "event_id": touchpoint.event_id,
        "type": touchpoint.type,
        "occurred_at": format_instant(touchpoint.occurred_at),
        "recorded_at": format_instant(item.recorded_at),
        "position": item.position,
    }


def why(touchpoint: Touchpoint) -> Document:
    """Who says so, and for what reason, of what is mostly said by hand."""
    return {"actor": doer(touchpoint), "reason": touchpoint.attributes.get("reason")}


def doer(touchpoint: Touchpoint) -> Document | None:
    """Who did it; None where nobody is named."""
    actor = touchpoint.actor
    return {"kind": actor.kind, "id": actor.id} if actor else None


def shown(who: Identifier) -> str:
    """An identifier for people: its kind, and as much of its digest as tells it from others."""
    return f"{who.kind} {who.digest[:DIGITS]}"


def clear_by_digest(personal: Mapping[str, Sequence[str]], key: IdentifierKey) -> dict[str, str]:
    """The addresses and numbers among revealed fields, by the digest of the identifier."""
    return {
        key.digest(kind, "", value): value
        for kind in NO_NAMESPACE
        for value in personal.get(kind, ())
    }


def _named(who: Identifier, clear: Mapping[str, str] | None) -> Document:
    named = {"kind": who.kind, "digest": who.digest}
    return named if clear is None else {**named, "value": clear.get(who.digest)}
