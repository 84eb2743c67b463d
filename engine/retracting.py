"""Taking a touchpoint back: what never happened, or never should have been recorded.

Nothing is deleted: a retraction is recorded, as any tool may tell one, and from its position on
the touchpoint counts nowhere. What was known before still has it.
"""

from typing import Any

import numpy as np

from engine.by_hand import Hand, say
from engine.canonical import LONGEST_EVENT_ID, LONGEST_SOURCE
from engine.errors import NoSuchTouchpoint, RetractedAlready, RetractionStands
from engine.fields import short_text
from engine.instants import format_instant
from engine.kinship import Told, told, told_at
from engine.store.connection import Connection
from engine.store.facts import Facts
from engine.store.reading import lead_ids
from engine.store.recorder import last_position
from engine.store.retractions import lead_of, position_of, retracted_at
from engine.touchpoint import NEVER_FOLDED, Touchpoint

Document = dict[str, Any]
Key = tuple[str, str]  # source and event id

BY_HAND = "touchpoint retract"  # their origin
RETRACTION = "touchpoint_retracted"
_UNKNOWN = dict.fromkeys(("type", "occurred_at", "recorded_at", "position"))


def retract(facts: Facts, key: Key, hand: Hand, *, anyway: bool = False) -> Document:
    """Void the touchpoint of a source and event id; `anyway`: even one that has yet to come.

    Returns:
        What is void, the id of the lead that it was of (None where it is of none, or not
        known), and the retraction.

    Raises:
        NoSuchTouchpoint, RetractedAlready, RetractionStands: Nothing was recorded.
        Refused: The id or the reason is no text.
    """
    source = short_text(key[0], "source", LONGEST_SOURCE)
    event_id = short_text(key[1], "event_id", LONGEST_EVENT_ID)
    with facts.snapshot() as connection:
        found = _found(connection, (source, event_id))
        lead = None if found is None else _lead(facts, connection, found)
    if found is None and not anyway:
        raise NoSuchTouchpoint(source, event_id)
    named = {"source": source, "event_id": event_id}
    retraction = say(facts, hand, BY_HAND, RETRACTION, attributes=named)
    return {
        "retracted": {**named, **_UNKNOWN} if found is None else told(found),
        "lead": lead,
        "by": _by(facts, retraction),
    }


def _found(connection: Connection, key: Key) -> Told | None:
    """What is known under an id, if a retraction of it says something new."""
    head = last_position(connection)
    before = retracted_at(connection, key)
    if before is not None:
        said = told_at(connection, [before], head)[before]
        by = said.touchpoint.actor.id if said.touchpoint.actor else None
        reason = str(said.touchpoint.attributes.get("reason", ""))
        raise RetractedAlready(_name(key), format_instant(said.recorded_at), by, reason)
    position = position_of(connection, key)
    if position is None:
        return None
    found = told_at(connection, [position], head)[position]
    if found.touchpoint.type == RETRACTION:
        voided = found.touchpoint.attributes
        raise RetractionStands(_name(key), _name((voided["source"], voided["event_id"])))
    return found


def _lead(facts: Facts, connection: Connection, found: Told) -> str | None:
    """The id of the lead that a touchpoint is of."""
    if found.touchpoint.type in NEVER_FOLDED:
        return None
    lead = lead_of(connection, found.position, found.touchpoint, facts.strings, facts.too_common)
    return lead_ids(connection, np.array([lead], np.int64))[0]


def _by(facts: Facts, retraction: Touchpoint) -> Document:
    with facts.snapshot() as connection:
        position = position_of(connection, (retraction.source, retraction.event_id))
        assert position is not None, "it was recorded just now"
        return told(told_at(connection, [position], position)[position])


def _name(key: tuple[object, object]) -> str:
    return f"{key[0]} {key[1]}"
