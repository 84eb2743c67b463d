"""The edge: rows from outside become sealed, encoded touchpoints, or are set aside with a reason.

Importer, collector and emitter all hand their batches here; what leaves holds
no personal value in clear.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from engine.canonical import Draft, canonicalise
from engine.codec import encode
from engine.errors import Refused, Undecodable
from engine.privacy import IdentifierKey, Keyring, context_of, key_id_of, seal
from engine.settings import DEFAULT_PHONE_REGION
from engine.touchpoint import Arrival, Encoded, Touchpoint


class Row(Struct, frozen=True, kw_only=True):
    """One delivery: its bytes, and the touchpoint that a mapping made of them, if one did."""

    origin: str  # file or topic
    line: int  # line, from 1, or offset
    data: bytes  # as it came
    value: dict[str, Any] | None = None
    form: str = "touchpoint"  # or "row", of a mapped file


class Edge:
    """Takes batches of rows; holds the keys that this needs."""

    def __init__(
        self,
        identifier_key: IdentifierKey,
        keyring: Keyring,
        phone_region: str = DEFAULT_PHONE_REGION,
    ) -> None:
        self._identifier_key = identifier_key
        self._keyring = keyring
        self._phone_region = phone_region

    def accept(self, rows: Sequence[Row], received_at: int) -> list[Arrival]:
        """One arrival a row, in their order; data keys are asked for once."""
        drafts = [self._draft(row, received_at) for row in rows]
        data_keys = self._data_keys(drafts)
        return [_arrival(row, draft, data_keys) for row, draft in zip(rows, drafts, strict=True)]

    def digest(self, data: bytes) -> str:
        """32 hex digits that stand for a delivery which brings no id of its own."""
        return self._identifier_key.content(b"row\x1f" + data)

    def _draft(self, row: Row, received_at: int) -> Draft | Refused:
        raw = row.data if row.value is None else row.value
        try:
            return canonicalise(raw, received_at, self._identifier_key, self._phone_region)
        except Refused as refused:
            return refused

    def _data_keys(self, drafts: Sequence[Draft | Refused]) -> dict[str, bytes]:
        needed = {
            key_id_of(draft.touchpoint.stream): None
            for draft in drafts
            if isinstance(draft, Draft) and draft.personal
        }
        return self._keyring.keys(list(needed)) if needed else {}


def _arrival(row: Row, draft: Draft | Refused, data_keys: dict[str, bytes]) -> Arrival:
    if isinstance(draft, Draft):
        touchpoint = _sealed(draft, data_keys)
        try:
            encoded = Encoded(touchpoint, encode(touchpoint))
        except Undecodable:
            draft = Refused("not_canonical", "it is too large to be read again")
        else:
            return Arrival(
                origin=row.origin,
                line=row.line,
                data=row.data,
                form=row.form,
                encoded=encoded,
                dropped=draft.dropped,
            )
    return Arrival(
        origin=row.origin,
        line=row.line,
        data=row.data,
        form=row.form,
        reason=draft.reason,
        detail=draft.detail,
    )


def _sealed(draft: Draft, data_keys: dict[str, bytes]) -> Touchpoint:
    touchpoint = draft.touchpoint
    if not draft.personal:
        return touchpoint
    key_id = key_id_of(touchpoint.stream)
    sealed = seal(draft.personal, key_id, data_keys[key_id], context_of(touchpoint))
    return replace(touchpoint, sealed=sealed)
