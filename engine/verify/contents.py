"""Whether touchpoints are what an edge made of what was said, as far as the keys can show it.

The digest of a content is made of all that was said, in clear. Of that the store keeps,
sealed, addresses and phone numbers; other identifiers, mentions and what was dropped as
nobody's it does not. So a content can be made again only where there is none of these. The
forms by which duplicates are suggested can, where every address and number is known.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import combinations
from typing import Any

import msgspec

from engine.canonical import canonicalise
from engine.errors import Refused, WrongKey
from engine.identifiers import NO_NAMESPACE
from engine.privacy import context_of, key_id_of, unseal
from engine.touchpoint import Identifier, Touchpoint
from engine.verify.events import Placed
from engine.verify.scope import Difference, Keys, Scope
from engine.vetting import vet

_SAID = (
    *("source", "event_id", "type", "occurred_at", "sequence", "time_quality", "channel"),
    *("campaign", "actor", "deal", "account", "amount", "attributes"),
)
_BY_KAFKA = "SELECT EXISTS (SELECT 1 FROM offsets)"

Fields = Mapping[str, str]  # personal ones, in clear


class ContentChecks:
    """Opens what is sealed, and makes contents again, under the keys at hand."""

    def __init__(self, scope: Scope, keys: Keys) -> None:
        self._scope, self._keys = scope, keys
        self._keyring = scope.facts.keyring(keys.workspace)
        by_kafka = scope.connection.execute(_BY_KAFKA).fetchone()[0]
        # What an emitter dropped as nobody's before it sent the rest is counted nowhere here.
        self._nothing_dropped = not (by_kafka or scope.facts.dropped())

    def check(self, scope: Scope, placed: Sequence[Placed]) -> None:
        """What the keys show of some touchpoints."""
        data_keys = self._data_keys(placed)
        for one in placed:
            self._check_form(one)
            fields = self._opened(one, data_keys)
            if fields is not None:
                self._check_said(one, fields)

    def _check_form(self, one: Placed) -> None:
        try:
            vet(one.touchpoint)
        except Refused as refused:
            self._tell(one, f"is not as an edge makes them ({refused.detail})")

    def _data_keys(self, placed: Sequence[Placed]) -> Mapping[str, bytes]:
        """The keys of what is sealed, without those that were erased, or are damaged."""
        found: dict[str, bytes] = {}
        for one in placed:
            sealed = one.touchpoint.sealed
            if sealed is None or sealed.key_id in found:
                continue
            try:
                found |= self._keyring.stored([sealed.key_id])
            except WrongKey:
                self._tell(one, "is sealed under a key that does not open")
        return found

    def _opened(self, one: Placed, data_keys: Mapping[str, bytes]) -> Fields | None:
        """The personal fields; None where they cannot be opened, and where the key is gone."""
        sealed = one.touchpoint.sealed
        if sealed is None:
            return {}
        if sealed.key_id != key_id_of(one.touchpoint.stream):
            self._tell(one, "is sealed under the key of somebody else")
            return None
        if sealed.key_id not in data_keys:
            self._scope.checked["sealed fields whose key is gone"] += 1
            return None
        try:
            fields = unseal(sealed, data_keys[sealed.key_id], context_of(one.touchpoint))
        except (WrongKey, msgspec.DecodeError):
            self._tell(one, "has sealed fields that do not open: they were changed")
            return None
        self._scope.checked["sealed fields opened"] += 1
        return fields

    def _check_said(self, one: Placed, fields: Fields) -> None:
        """Compare with what an edge makes of what is known in clear."""
        touchpoint, key = one.touchpoint, self._keys.identifier
        known = {
            who: fields[who.kind]
            for who in touchpoint.identifiers
            if who.kind in fields.keys() & NO_NAMESPACE
            and key.digest(who.kind, "", fields[who.kind]) == who.digest
        }
        unknown = [who for who in touchpoint.identifiers if who not in known]
        if any(who.kind in NO_NAMESPACE for who in unknown):
            self._scope.checked["contents of what is not kept in clear"] += 1
            return
        first, alike = None, False
        for again in self._made(touchpoint, known, fields):
            first, alike = first or again, again.content == touchpoint.content
            if alike or unknown:
                break
        if first is not None and first.similar != touchpoint.similar:
            values = msgspec.to_builtins((touchpoint.similar, first.similar))
            self._tell(one, "is compared by other forms than were said", *values)
        if alike:
            self._scope.checked["contents made again"] += 1
        elif unknown or touchpoint.mentions or first is None or not self._nothing_dropped:
            self._scope.checked["contents of what is not kept in clear"] += 1
        else:
            values = touchpoint.content, first.content
            self._tell(one, "does not say what its content was made of", *values)

    def _made(
        self, touchpoint: Touchpoint, known: Mapping[Identifier, str], fields: Fields
    ) -> Iterator[Touchpoint]:
        """What an edge makes of each way of saying it; others stand for who is not known."""
        named = [
            {"kind": who.kind, "value": known.get(who, f"somebody {number}")}
            for number, who in enumerate(touchpoint.identifiers)
        ]
        said = {name: msgspec.to_builtins(getattr(touchpoint, name)) for name in _SAID}
        for personal in _readings(fields, {who.kind for who in known}):
            raw: dict[str, Any] = {**said, "identifiers": named, "personal": personal}
            with suppress(Refused):  # told of already
                draft = canonicalise(raw, touchpoint.received_at, self._keys.identifier)
                yield draft.touchpoint

    def _tell(self, one: Placed, what: str, stored: Any = None, expected: Any = None) -> None:
        lead = self._scope.lead_at(one.stream, one.position)
        difference = Difference("contents", f"{one} {what}", lead, one.position, stored, expected)
        self._scope.tell(difference)


def _readings(fields: Fields, named: set[str]) -> Iterator[Fields]:
    """What may have been said: what is known of an identifier need not have been said again."""
    for count in range(len(named) + 1):
        for left_out in combinations(sorted(named), count):
            yield {name: value for name, value in fields.items() if name not in left_out}
