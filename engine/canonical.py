"""The one canonicaliser: whatever comes in becomes a canonical touchpoint, or is refused.

Every edge uses it. The first reason that fits is the one given, in this order:
undecodable, not_canonical, unknown_type, time_out_of_range, unknown_channel,
bad_attribute, no_identifier, time_in_future. No detail holds a value of what came.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, get_args

import msgspec
from msgspec import Struct

from engine.admission import admit
from engine.catalogue import currencies
from engine.errors import Refused
from engine.fields import (
    instant,
    integer,
    one_of,
    optional_text,
    scalar,
    short_text,
    shown,
    table,
    text,
    without_separator,
)
from engine.identifiers import NO_NAMESPACE, Clear, folded_name, forms_of
from engine.people import People, read_people
from engine.privacy import IdentifierKey
from engine.settings import DEFAULT_PHONE_REGION
from engine.strict_json import parse_object
from engine.touchpoint import (
    CAMPAIGN_FIELDS,
    MAX_ATTRIBUTES,
    Actor,
    Campaign,
    Identifier,
    Mention,
    Money,
    Scalar,
    Similar,
    TimeQuality,
    Touchpoint,
    precedence,
)

LONGEST_SOURCE, LONGEST_EVENT_ID, LONGEST_ATTRIBUTE_NAME = 64, 128, 128

_KEYS = frozenset(
    (
        "source",
        "event_id",
        "type",
        "occurred_at",
        "sequence",
        "time_quality",
        "identifiers",
        "channel",
        "campaign",
        "actor",
        "amount",
        "deal",
        "account",
        "mentions",
        "attributes",
        "personal",
    )
)
_CAMPAIGN_KEYS = frozenset(CAMPAIGN_FIELDS)
_ACTOR_KEYS = frozenset(Actor.__struct_fields__)
_MONEY_KEYS = frozenset(Money.__struct_fields__)
_ABSENT = {
    "sequence": 0,
    "time_quality": "exact",
    "channel": "other",
    "attributes": {},
    "identifiers": (),
    "dropped": (),
    "mentions": (),
    "personal": {},
}  # None for the others
_QUALITIES = get_args(TimeQuality)
_ACTORS = ("lead", "rep", "system")
_WITHOUT_TIME = "received"  # such a time is ours, not the source's: the content leaves it out


class Draft(Struct, frozen=True):
    """A canonical touchpoint that still has to be sealed, and what is to be sealed in it."""

    touchpoint: Touchpoint
    personal: Mapping[str, str]
    dropped: tuple[str, ...] = ()  # why, of each identifier by which nobody is meant


def canonicalise(
    raw: bytes | dict[str, Any],
    received_at: int,
    identifier_key: IdentifierKey,
    phone_region: str = DEFAULT_PHONE_REGION,
) -> Draft:
    """The canonical touchpoint of JSON text, or of an object that a mapping made.

    Raises:
        Refused: With the first reason that fits, and what was wrong.
    """
    fields = table(parse_object(raw) if isinstance(raw, bytes) else raw, "touchpoint", _KEYS)
    said = _read(fields)
    people = read_people(fields, said["source"], phone_region)
    touchpoint = Touchpoint(
        **said,
        received_at=received_at,
        content=_content(said, people, identifier_key),
        identifiers=_identifiers(people.identifiers, identifier_key),
        mentions=_mentions(people.mentions, identifier_key),
        similar=_similar(people, said["account"], identifier_key),
    )
    admit(touchpoint)
    return Draft(touchpoint, people.revealable(), tuple(people.dropped.values()))


def _read(fields: Mapping[str, Any]) -> dict[str, Any]:
    """All that is not about people, by the names that a touchpoint gives it."""
    get = fields.get
    sequence, quality, channel = get("sequence"), get("time_quality"), get("channel")
    return {
        "source": without_separator(short_text(get("source"), "source", LONGEST_SOURCE), "source"),
        "event_id": short_text(get("event_id"), "event_id", LONGEST_EVENT_ID),
        "type": text(get("type"), "type"),
        "occurred_at": instant(get("occurred_at"), "occurred_at"),
        "sequence": 0 if sequence is None else integer(sequence, "sequence"),
        "time_quality": "exact" if quality is None else one_of(quality, "time_quality", _QUALITIES),
        "channel": "other" if channel is None else text(channel, "channel"),
        "campaign": _campaign(get("campaign")),
        "actor": _actor(get("actor")),
        "deal": optional_text(get("deal"), "deal"),
        "account": optional_text(get("account"), "account"),
        "amount": _amount(get("amount")),
        "attributes": _attributes(get("attributes")),
    }


def _campaign(value: Any) -> Campaign | None:
    if value is None:
        return None
    parts = {
        name: text(part, f"campaign.{name}")
        for name, part in table(value, "campaign", _CAMPAIGN_KEYS).items()
        if part is not None
    }
    return Campaign(**parts) if parts else None


def _actor(value: Any) -> Actor | None:
    if value is None:
        return None
    actor = table(value, "actor", _ACTOR_KEYS)
    kind = one_of(actor.get("kind"), "actor.kind", _ACTORS)
    return Actor(kind, optional_text(actor.get("id"), "actor.id"))


def _amount(value: Any) -> Money | None:
    if value is None:
        return None
    amount = table(value, "amount", _MONEY_KEYS)
    minor = integer(amount.get("minor"), "amount.minor")
    currency = text(amount.get("currency"), "amount.currency").upper()
    if currency not in currencies():
        raise Refused("not_canonical", "amount.currency must be a code of ISO 4217")
    return Money(minor, currency)


def _attributes(value: Any) -> dict[str, Scalar]:
    """Sorted by name, so that equal ones have equal bytes; null is as good as absent."""
    if value is None:
        return {}
    if type(value) is not dict:
        raise Refused("not_canonical", "attributes must be an object")
    if len(value) > MAX_ATTRIBUTES:
        raise Refused("not_canonical", f"attributes: {len(value)} are more than {MAX_ATTRIBUTES}")
    attributes: dict[str, Scalar] = {}
    for given, part in value.items():
        name = short_text(given, "the name of an attribute", LONGEST_ATTRIBUTE_NAME)
        if name in attributes:
            raise Refused("not_canonical", "two names of attributes are one in NFC")
        if part is not None:
            attributes[name] = _attribute(name, part)
    return dict(sorted(attributes.items()))


def _attribute(name: str, part: Any) -> Scalar:
    try:
        return scalar(part, "it")
    except Refused as refused:
        raise Refused(refused.reason, f"{shown(name, 'attributes')}: {refused.detail}") from None


def _content(said: Mapping[str, Any], people: People, identifier_key: IdentifierKey) -> str:
    """What is absent counts as its default: also in fields yet to come, so they go last."""
    whole = {
        **said,
        "identifiers": people.identifiers,
        "dropped": tuple(people.dropped),
        "mentions": people.mentions,
        "personal": people.personal,
    }
    if whole["time_quality"] == _WITHOUT_TIME:
        del whole["occurred_at"]
    spoken = {name: part for name, part in whole.items() if part != _ABSENT.get(name)}
    return identifier_key.content(msgspec.json.encode(spoken))


def _identifiers(people: Iterable[Clear], key: IdentifierKey) -> tuple[Identifier, ...]:
    digested = (Identifier(one.kind, key.digest(*one)) for one in people)
    return tuple(sorted(digested, key=precedence))


def _mentions(people: Iterable[tuple[str, Clear]], key: IdentifierKey) -> tuple[Mention, ...]:
    mentions = (Mention(role, one.kind, key.digest(*one)) for role, one in people)
    return tuple(sorted(mentions, key=lambda one: (one.role, one.kind, one.digest)))


def _similar(people: People, account: str | None, key: IdentifierKey) -> tuple[Similar, ...]:
    reached = {one for one in people.identifiers if one.kind in NO_NAMESPACE} | {*people.contacts}
    forms = {form for one in reached for form in _forms(one, key)}
    name = folded_name(people.personal.get("name", ""))
    if name and account:
        form = Clear("name_account", account, name)
        forms.add(Similar(form.kind, key.digest(*form)))
    return tuple(sorted(forms, key=lambda one: (one.form, one.digest)))


@lru_cache(maxsize=4096)
def _forms(identifier: Clear, key: IdentifierKey) -> tuple[Similar, ...]:
    """Kept for a while: who shows up often does so in one batch, and a number has 13 forms."""
    return tuple(Similar(form.kind, key.digest(*form)) for form in forms_of(identifier))
