"""The one canonicaliser: whatever comes in becomes a canonical touchpoint, or is refused.

Every edge uses it. The first reason that fits is the one given, in this order:
undecodable, unknown_schema, not_canonical, unknown_type, time_out_of_range,
unknown_channel, bad_attribute, no_identifier, time_in_future. No detail holds a
value of what came.
"""

from collections.abc import Mapping
from typing import Any, get_args

import msgspec
from msgspec import Struct

from engine.catalogue import catalogue, currencies
from engine.codec import MAX_ATTRIBUTES, MAX_IDENTIFIERS, MAX_MENTIONS
from engine.errors import Refused
from engine.fields import (
    instant,
    integer,
    listed,
    one_of,
    optional_text,
    scalar,
    short_text,
    table,
    text,
    without_separator,
)
from engine.identifiers import (
    DEFAULT_REGION,
    NO_NAMESPACE,
    SOURCE_IS_NAMESPACE,
    Clear,
    canonical_value,
    is_placeholder,
    similar_forms,
)
from engine.instants import END_OF_TIME, MINUTE_US
from engine.privacy import IdentifierKey
from engine.strict_json import parse_object
from engine.touchpoint import (
    KINDS,
    NEVER_FOLDED,
    PERSONAL_FIELDS,
    STRONG_KINDS,
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

LONGEST_SOURCE, LONGEST_EVENT_ID = 64, 128
CLOCK_SKEW_US = 5 * MINUTE_US  # a sender's clock may be so far ahead of ours

_KEYS = (
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
_QUALITIES = get_args(TimeQuality)
_ACTORS = ("lead", "rep", "system")
_LINKS = frozenset(("identity_linked", "identity_unlinked"))


class Draft(Struct, frozen=True):
    """A canonical touchpoint that still has to be sealed, and what is to be sealed in it."""

    touchpoint: Touchpoint
    personal: Mapping[str, str]
    dropped: int = 0  # identifiers left out as placeholders


def canonicalise(
    raw: bytes | dict[str, Any],
    received_at: int,
    identifier_key: IdentifierKey,
    phone_region: str = DEFAULT_REGION,
) -> Draft:
    """A touchpoint in the one form that it can have, of JSON text or of an object read already.

    Raises:
        Refused: With the first reason that fits, and what was wrong.
    """
    fields = table(raw if isinstance(raw, dict) else parse_object(raw), "a touchpoint", _KEYS)
    source = without_separator(short_text(fields.get("source"), "source", LONGEST_SOURCE), "source")
    who, dropped = _identifiers(fields.get("identifiers"), source, phone_region)
    mentions = _mentions(fields.get("mentions"), source, phone_region)
    personal = _personal(fields.get("personal"), phone_region)
    account = optional_text(fields.get("account"), "account")
    said = {
        "source": source,
        "event_id": short_text(fields.get("event_id"), "event_id", LONGEST_EVENT_ID),
        "type": text(fields.get("type"), "type"),
        "occurred_at": instant(fields.get("occurred_at"), "occurred_at"),
        "sequence": _sequence(fields.get("sequence")),
        "time_quality": _quality(fields.get("time_quality")),
        "channel": _channel(fields.get("channel")),
        "campaign": _campaign(fields.get("campaign")),
        "actor": _actor(fields.get("actor")),
        "deal": optional_text(fields.get("deal"), "deal"),
        "account": account,
        "amount": _amount(fields.get("amount")),
        "attributes": _attributes(fields.get("attributes")),
    }
    forms = set(similar_forms(who, personal, account))
    touchpoint = Touchpoint(
        **said,
        received_at=received_at,
        content=_content(said, [sorted(who), sorted(dropped), sorted(mentions)], personal, identifier_key),
        identifiers=_digested(who, identifier_key),
        mentions=tuple(sorted((Mention(role, *_digest(one, identifier_key)) for role, one in mentions), key=_text_order)),
        similar=tuple(sorted((Similar(*_digest(form, identifier_key)) for form in forms), key=_text_order)),
    )
    judge(touchpoint)
    return Draft(touchpoint, _revealable(personal, who), len(dropped))
