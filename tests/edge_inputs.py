"""Touchpoints as they come in, and keys, for the tests of the edge."""

from collections.abc import Sequence
from typing import Any

from engine.canonical import Draft, canonicalise
from engine.errors import Refused
from engine.privacy import IdentifierKey

KEY = IdentifierKey(bytes(range(32)))
NOW = 1_772_409_600_000_000  # 2026-03-02T00:00:00Z
DAY = 86_400_000_000
ANN = {"kind": "user_id", "value": "ann"}
PHONE = {"kind": "phone", "value": "+84901234567"}
EMAIL = {"kind": "email", "value": "ann@example.com"}


class Ring:
    """A keyring in memory; counts how often it is asked."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.asked: list[list[str]] = []

    def keys(self, key_ids: Sequence[str]) -> dict[str, bytes]:
        self.asked.append(list(key_ids))
        for key_id in key_ids:
            self.held.setdefault(key_id, len(self.held).to_bytes(32, "big"))
        return {key_id: self.held[key_id] for key_id in key_ids}


def visit(**more: Any) -> dict[str, Any]:
    """A page view of Ann's, a day ago; None takes a key away."""
    whole = {
        "source": "web",
        "event_id": "e-1",
        "type": "page_viewed",
        "occurred_at": NOW - DAY,
        "identifiers": [ANN],
        **more,
    }
    return {key: value for key, value in whole.items() if value is not None}


def draft(raw: dict[str, Any] | bytes, received_at: int = NOW) -> Draft:
    return canonicalise(raw, received_at, KEY)


def content(**more: Any) -> str:
    return draft(visit(**more)).touchpoint.content


def refusal(raw: dict[str, Any] | bytes) -> Refused:
    """Why something is refused."""
    try:
        made = draft(raw)
    except Refused as refused:
        return refused
    raise AssertionError(f"accepted: {made}")
