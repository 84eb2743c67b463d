"""What people say by hand: recorded as any tool would tell it, with who says so and why."""

from typing import Any, NamedTuple
from uuid import uuid4

import msgspec

from engine.admission import admit
from engine.codec import encode
from engine.fields import text
from engine.lifecycle import record
from engine.privacy import IdentifierKey, WorkspaceKey
from engine.store.facts import Facts
from engine.touchpoint import Actor, Arrival, Encoded, Touchpoint

SOURCE = "leadledger"


class Hand(NamedTuple):
    """Whose hand it is, why, and the keys that recording takes."""

    who: str
    reason: str
    identifier_key: IdentifierKey
    workspace_key: WorkspaceKey


def say(facts: Facts, hand: Hand, origin: str, type: str, **more: Any) -> Touchpoint:
    """Record a touchpoint of now; `more` are other fields of it, `origin` the command.

    Raises:
        Refused: The reason is no text, or the touchpoint cannot be accepted.
    """
    said: dict[str, Any] = {
        "source": SOURCE,
        "event_id": uuid4().hex,
        "type": type,
        "occurred_at": facts.clock(),
        "actor": Actor("rep", hand.who),
        **more,
    }
    attributes = {**more.get("attributes", {}), "reason": text(hand.reason, "reason")}
    said["attributes"] = dict(sorted(attributes.items()))  # in the one form that is recorded
    canonical = msgspec.json.encode(said)
    content = hand.identifier_key.content(canonical)
    touchpoint = Touchpoint(**said, received_at=said["occurred_at"], content=content)
    admit(touchpoint)
    encoded = Encoded(touchpoint, encode(touchpoint))
    arrival = Arrival(origin=origin, line=1, data=canonical, encoded=encoded)
    record(facts, [arrival], workspace_key=hand.workspace_key)
    return touchpoint
