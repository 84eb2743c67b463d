"""The edge: which deliveries are accepted, which are duplicates, which are set aside."""

import hashlib
import hmac
import json
import math
import re
import tomllib
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.naive.units import END_OF_TIME, SECOND, instant_us

STRONG = ("crm_id", "user_id", "email", "phone", "external_id")
PRECEDENCE = (*STRONG, "anonymous_id", "click_id")
LINKS = ("identity_linked", "identity_unlinked")
NEVER_FOLDED = ("touchpoint_retracted", "ad_spend_reported", *LINKS)
PLACEHOLDERS = Path(__file__).parents[2] / "schemas" / "placeholders.toml"
AHEAD = 300 * SECOND  # a touchpoint may lie this far after its receipt

CHANNELS = frozenset(
    """paid_search organic_search paid_social social email display referral direct phone sms chat
    video post blog podcast survey event in_person shop partner employee affiliate review_site
    other""".split()
)
TYPES = frozenset(
    """ad_impression ad_clicked page_viewed content_downloaded cta_shown cta_clicked social_engaged
    review_posted review_read webinar_registered webinar_attended shop_visited
    form_submitted email_sent email_delivered email_opened email_clicked email_replied
    email_bounced email_unsubscribed email_marked_spam sms_sent sms_replied chat_started
    chat_messaged call_attempted call_connected meeting_booked meeting_held meeting_missed
    demo_held trial_started price_asked question_answered objection_raised objection_resolved
    lead_created assigned qualified disqualified accepted rejected stage_changed
    opportunity_opened opportunity_updated proposal_sent negotiated won lost reopened
    purchased refunded voucher_used onboarded trained ticket_opened ticket_closed survey_answered
    testimonial_given referral_made referred renewal_due renewed churned
    consent_given consent_withdrawn identified identity_linked identity_unlinked
    touchpoint_retracted ad_spend_reported""".split()
)
NEEDED_TEXTS = {
    "assigned": ("owner",),
    "stage_changed": ("stage",),
    "touchpoint_retracted": ("source", "event_id"),
}

Identifier = tuple[int, bytes]  # precedence, digest


class NotCanonicalError(ValueError):
    """A delivery that no canonical touchpoint can be made of."""


@dataclass(frozen=True)
class Touch:
    """An accepted touchpoint, as far as anything here asks about it."""

    at: int
    sequence: int
    source: str
    event_id: str
    type: str
    channel: str
    campaign: dict[str, str]
    actor: dict[str, str]
    amount: dict[str, Any] | None
    attributes: dict[str, Any]
    identifiers: tuple[Identifier, ...]  # by precedence, then by digest

    @property
    def stream(self) -> Identifier | None:
        """The primary identifier."""
        return self.identifiers[0] if self.identifiers else None

    @property
    def id(self) -> tuple[str, str]:
        return (self.source, self.event_id)

    @property
    def happening_order(self) -> tuple[int, int, bytes, bytes]:
        return (self.at, self.sequence, self.source.encode(), self.event_id.encode())


def text(value: Any, longest: int | None = None) -> str:
    """A canonical text: NFC, without NUL or a lone surrogate."""
    if not isinstance(value, str) or "\0" in value or any(0xD800 <= ord(c) < 0xE000 for c in value):
        raise NotCanonicalError("not a text")
    normal = unicodedata.normalize("NFC", value)
    if longest is not None and not 1 <= len(normal) <= longest:
        raise NotCanonicalError("too short or too long")
    return normal


def identifier(written: dict[str, Any], source: str) -> tuple[str, str, str]:
    """Kind, namespace and canonical value of an identifier or a mention."""
    kind, value = written["kind"], text(written["value"])
    namespace = written.get("namespace")
    if kind not in PRECEDENCE:
        raise NotCanonicalError("unknown kind of identifier")
    if kind in ("email", "phone"):
        if namespace is not None:
            raise NotCanonicalError("an address has no namespace")
        value = value.strip().lower() if kind == "email" else value.strip()
        if kind == "phone" and not re.fullmatch(r"\+[1-9]\d{6,14}", value):
            raise NotCanonicalError("a phone is written as E.164")
    if namespace is None:
        namespace = source if kind in ("crm_id", "external_id") else ""
    return kind, text(namespace), value


@cache
def placeholders() -> dict[str, list[str]]:
    """What is written where nobody is meant."""
    return tomllib.loads(PLACEHOLDERS.read_text(encoding="utf-8"))


def names_nobody(written: dict[str, Any]) -> bool:
    """Whether an identifier is a role or a placeholder."""
    known, kind = placeholders(), written["kind"]
    value = text(written["value"]).strip().casefold()
    role = kind == "email" and value.split("@")[0] in known["roles"]
    return role or value in ["", *known["any"], *known.get(kind, ())]


def digest(who: tuple[str, str, str], key: bytes) -> bytes:
    """The keyed digest of kind, namespace and canonical value."""
    return hmac.new(key, "\x1f".join(who).encode(), hashlib.sha256).digest()


def scalar(value: Any) -> Any:
    """An attribute's canonical value."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise NotCanonicalError("a number is finite")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise NotCanonicalError("a number is within int64")
    return value


def named(record: dict[str, Any] | None) -> dict[str, Any]:
    """A record without its empty fields: what is absent counts as null."""
    return {name: scalar(value) for name, value in (record or {}).items() if value is not None}


def canonical(delivery: dict[str, Any]) -> dict[str, Any]:
    """All that one delivery says, with defaults written out and texts made canonical."""
    source = text(delivery["source"], 64)
    persons = [one for one in delivery.get("identifiers") or () if not names_nobody(one)]
    who = {identifier(one, source) for one in persons}
    mentions = {(one["role"], *identifier(one, source)) for one in delivery.get("mentions") or ()}
    try:
        at = instant_us(delivery["occurred_at"])
    except (ValueError, TypeError) as fault:
        raise NotCanonicalError(str(fault)) from fault
    return {
        "source": source,
        "event_id": text(delivery["event_id"], 128),
        "type": text(delivery["type"]),
        "occurred_at": at,
        "sequence": delivery.get("sequence") or 0,
        "time_quality": delivery.get("time_quality") or "exact",
        "identifiers": sorted(who),
        "mentions": sorted(mentions),
        "channel": delivery.get("channel") or "other",
        "campaign": named(delivery.get("campaign")),
        "actor": named(delivery.get("actor")),
        "deal": delivery.get("deal"),
        "account": delivery.get("account"),
        "amount": delivery.get("amount"),
        "attributes": named(delivery.get("attributes")),
        "personal": named(delivery.get("personal")),
    }


def content(said: dict[str, Any]) -> str:
    """What a second delivery must repeat to be a duplicate."""
    kept = dict(said)
    if said["time_quality"] == "received":
        del kept["occurred_at"]
    return json.dumps(kept, sort_keys=True)


def bad_attribute(said: dict[str, Any]) -> bool:
    """Whether a needed attribute is missing or wrongly typed, or a link is no link."""
    needed = NEEDED_TEXTS.get(said["type"], ())
    if any(not isinstance(said["attributes"].get(name), str) for name in needed):
        return True
    strong = [who for who in said["identifiers"] if who[0] in STRONG]
    return said["type"] in LINKS and len(strong) != 2


def fault(said: dict[str, Any], received_at: int | None) -> str | None:
    """The first reason to set a delivery aside that has nothing to do with its id."""
    kind, at, channel = said["type"], said["occurred_at"], said["channel"]
    if kind not in TYPES and not kind.startswith("x_"):
        return "unknown_type"
    if not 0 <= at < END_OF_TIME:
        return "time_out_of_range"
    if channel not in CHANNELS and not channel.startswith("x_"):
        return "unknown_channel"
    if bad_attribute(said):
        return "bad_attribute"
    if kind not in NEVER_FOLDED and not said["identifiers"]:
        return "no_identifier"
    if received_at is not None and at > received_at + AHEAD:
        return "time_in_future"
    return None


class Edge:
    """Takes deliveries one by one and remembers the ids of those it accepted."""

    def __init__(self, key: bytes, received_at: int | None = None) -> None:
        self.key = key
        self.received_at = received_at
        self.accepted: list[Touch] = []
        self.contents: dict[tuple[str, str], str] = {}

    def deliver(self, delivery: dict[str, Any]) -> str | None:
        """None if accepted, else `duplicate` or the reason why it is set aside."""
        try:
            said = canonical(delivery)
        except NotCanonicalError:
            return "not_canonical"
        reason = fault(said, self.received_at)
        if reason is not None:
            return reason
        name = (said["source"], said["event_id"])
        if name in self.contents:
            return "duplicate" if self.contents[name] == content(said) else "id_reused"
        self.contents[name] = content(said)
        self.accepted.append(self.touch(said))
        return None

    def touch(self, said: dict[str, Any]) -> Touch:
        ranked = [(PRECEDENCE.index(who[0]), digest(who, self.key)) for who in said["identifiers"]]
        return Touch(
            at=said["occurred_at"],
            sequence=said["sequence"],
            source=said["source"],
            event_id=said["event_id"],
            type=said["type"],
            channel=said["channel"],
            campaign=said["campaign"],
            actor=said["actor"],
            amount=said["amount"],
            attributes=said["attributes"],
            identifiers=tuple(sorted(ranked)),
        )


def retracted(known: list[Touch]) -> set[tuple[str, str]]:
    """The ids that a known retraction names."""
    return {
        (touch.attributes["source"], touch.attributes["event_id"])
        for touch in known
        if touch.type == "touchpoint_retracted"
    }


def folded(known: list[Touch]) -> list[Touch]:
    """What is folded of the known touchpoints, in happening order."""
    void = retracted(known)
    kept = [touch for touch in known if touch.type not in NEVER_FOLDED and touch.id not in void]
    return sorted(kept, key=lambda touch: touch.happening_order)


def leads(known: list[Touch]) -> list[list[Touch]]:
    """The folded touchpoints of each lead, in happening order.

    One primary identifier is one lead here; `Identity` says who is one person.
    """
    streams: dict[Identifier | None, list[Touch]] = {}
    for touch in folded(known):
        streams.setdefault(touch.stream, []).append(touch)
    return list(streams.values())
