"""Saying by hand that two leads are one person, or two after all.

Nothing is moved: a link or an unlink of two strong identifiers is recorded, as any tool may
tell one, and who is who follows from it. An unlink takes back all that joins these two
directly; a way around by others stays, and is told.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.by_hand import Hand, say
from engine.errors import (
    Anonymous,
    EngineError,
    NotUnlinkable,
    OneAlready,
    Overruled,
    SameIdentifier,
    TooCommon,
    TwoAlready,
)
from engine.identity import is_strong, kind_code
from engine.instants import format_instant
from engine.kinship import shown, told, told_at
from engine.store.connection import Connection
from engine.store.facts import Facts
from engine.store.links import Pair, ascending, last_words, links_about, next_sequence
from engine.store.people import People
from engine.store.reading import lead_ids
from engine.store.recorder import last_position
from engine.store.ties import identifiers, ties
from engine.touchpoint import KINDS, Identifier, Touchpoint, precedence

Document = dict[str, Any]

BY_HAND = "lead merge"  # their origin


def merge(facts: Facts, leads: tuple[int, int], hand: Hand) -> Document:
    """Make two leads one, by a link between the identifiers that they go by.

    Returns:
        The id of the one lead, and the link.

    Raises:
        OneAlready, Anonymous, TooCommon: They cannot be linked; nothing was recorded.
        Overruled: They were, and something that happened later says otherwise.
        Refused: The reason is no text.
    """
    one, other = leads
    with facts.snapshot() as connection:
        if one == other:
            raise OneAlready(_id(connection, one))
        for lead in leads:
            _check_linkable(facts, connection, lead)
    link = _say(facts, "identity_linked", leads, hand)
    with facts.snapshot() as connection:
        whose = _people(facts, connection).leads(leads)
        if whose[one] != whose[other]:
            raise _overruled(facts, connection, leads, link)
        known = identifiers(connection, leads)
        return {"lead": _id(connection, whose[one]), "linked": _document(link, known, leads)}


def unmerge(facts: Facts, two: tuple[int, int], hand: Hand) -> Document:
    """Take two identifiers of one lead apart, by an unlink between them.

    Returns:
        The unlink, and the way by which they are one all the same, step by step; empty where
        they are two now.

    Raises:
        NotUnlinkable, SameIdentifier, TwoAlready: Nothing was recorded.
        Refused: The reason is no text.
    """
    with facts.snapshot() as connection:
        known = identifiers(connection, two)
        for one in two:
            if not is_strong(one):
                raise NotUnlinkable(shown(known[one]))
        if two[0] == two[1]:
            raise SameIdentifier(shown(known[two[0]]))
        whose = _people(facts, connection).leads(two)
        if whose[two[0]] != whose[two[1]]:
            raise TwoAlready([_id(connection, whose[one]) for one in two])
    unlink = _say(facts, "identity_unlinked", two, hand)
    return {
        "unlinked": _document(unlink, known, two),
        "still_joined_by": still_joined_by(facts, two),
    }


def still_joined_by(facts: Facts, two: tuple[int, int]) -> list[Document]:
    """The shortest way from one identifier to another as known now: a document for each step."""
    with facts.snapshot() as connection:
        head = last_position(connection)
        steps = ties(connection, way(_people(facts, connection), *two), head)
        known = identifiers(connection, {one for step in steps for one in (step.one, step.other)})
        by = told_at(connection, {step.position for step in steps}, head)
    return [
        {"identifiers": _named(known, (one, other)), **told(by[position])}
        for position, one, other in steps
    ]


def way(people: People, one: int, other: int) -> list[Pair]:
    """The shortest way between two strong identifiers by direct joins; none where there is none."""
    before: dict[int, int | None] = {one: None}
    frontier = [one]
    while frontier and other not in before:
        reached = []
        for here in frontier:
            for there in sorted(people.joined(here) - before.keys()):
                before[there] = here
                reached.append(there)
        frontier = reached
    steps = []
    at: int | None = other
    while at is not None and (back := before.get(at)) is not None:
        steps.append((back, at))
        at = back
    return steps[::-1]


def _check_linkable(facts: Facts, connection: Connection, lead: int) -> None:
    if not is_strong(lead):
        raise Anonymous(_id(connection, lead), KINDS[kind_code(lead)])
    people = _people(facts, connection)
    if people.common([lead]):
        kind, count = people.crowd(lead)
        crowd = KINDS[kind], count
        raise TooCommon(_id(connection, lead), KINDS[kind_code(lead)], crowd, facts.too_common)


def _say(facts: Facts, what: str, two: Pair, hand: Hand) -> Touchpoint:
    """Record a link or an unlink of now."""
    now = facts.clock()
    with facts.snapshot() as connection:
        known = identifiers(connection, two)
        sequence = next_sequence(connection, two, now)
    named = tuple(sorted(known.values(), key=precedence))
    return say(facts, hand, BY_HAND, what, occurred_at=now, sequence=sequence, identifiers=named)


def _overruled(facts: Facts, connection: Connection, leads: Pair, link: Touchpoint) -> EngineError:
    """Why two are not one although a link of them was recorded."""
    for lead in leads:
        _check_linkable(facts, connection, lead)  # it may have become too common meanwhile
    head = last_position(connection)
    last = last_words(links_about(connection, leads, head))[ascending(*leads)]
    unlink = told_at(connection, [last.position], head)[last.position].touchpoint
    return Overruled(_name(link), _name(unlink), format_instant(unlink.occurred_at))


def _name(touchpoint: Touchpoint) -> str:
    return f"{touchpoint.source} {touchpoint.event_id}"


def _people(facts: Facts, connection: Connection) -> People:
    return People(connection, last_position(connection), facts.too_common)


def _id(connection: Connection, lead: int) -> str:
    return lead_ids(connection, np.array([lead], np.int64))[0]


def _document(link: Touchpoint, known: Mapping[int, Identifier], two: Pair) -> Document:
    return {
        "identifiers": _named(known, two),
        "source": link.source,
        "event_id": link.event_id,
        "occurred_at": format_instant(link.occurred_at),
    }


def _named(known: Mapping[int, Identifier], two: Pair) -> list[Document]:
    """Two identifiers, in the order in which they were named."""
    return [{"kind": known[one].kind, "digest": known[one].digest} for one in two]
