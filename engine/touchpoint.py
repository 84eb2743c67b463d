"""The fact: one contact between a prospect and the business."""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Literal, SupportsBytes

from msgspec import Struct

from engine.errors import NoStream

Scalar = str | int | float | bool
TimeQuality = Literal["exact", "date", "sent", "received"]

STRONG_KINDS = ("crm_id", "user_id", "email", "phone", "external_id")
KINDS = (*STRONG_KINDS, "anonymous_id", "click_id")  # in order of precedence
PERSONAL_FIELDS = ("name", "address", "email", "phone", "company", "text")
NEVER_FOLDED = frozenset(
    ("touchpoint_retracted", "ad_spend_reported", "identity_linked", "identity_unlinked")
)
DIGEST_DIGITS, CONTENT_DIGITS = 64, 32  # lower-case hex
MAX_IDENTIFIERS, MAX_MENTIONS, MAX_ATTRIBUTES = 64, 64, 256  # of one touchpoint


class Identifier(Struct, frozen=True, order=True):
    """Who, without saying so: a kind and a keyed digest (64 lower-case hex digits)."""

    kind: str
    digest: str


class Mention(Struct, frozen=True):
    """Another person in a touchpoint; never evidence of who the lead is."""

    role: str
    kind: str
    digest: str


class Similar(Struct, frozen=True):
    """A comparable form of an identifier or name, for suggesting duplicates."""

    form: str
    digest: str


class Campaign(Struct, frozen=True):
    """Where a touchpoint was bought or sent from."""

    source: str | None = None
    medium: str | None = None
    name: str | None = None
    term: str | None = None
    content: str | None = None


CAMPAIGN_FIELDS = Campaign.__struct_fields__


class Actor(Struct, frozen=True):
    """Who did it: kind is lead, rep or system."""

    kind: str
    id: str | None = None


class Money(Struct, frozen=True):
    """An amount in minor units of an ISO 4217 currency."""

    minor: int
    currency: str


class Sealed(Struct, frozen=True):
    """Personal fields, encrypted under one data key; all three base64url."""

    key_id: str
    nonce: str
    ciphertext: str


class Touchpoint(Struct, frozen=True, kw_only=True):
    """One contact between a prospect and the business, as a tool reported it."""

    source: str
    event_id: str
    type: str
    occurred_at: int  # microseconds, UTC
    received_at: int  # microseconds, UTC
    content: str  # 32 hex digits: keyed digest of the canonical content
    identifiers: tuple[Identifier, ...] = ()
    sequence: int = 0
    time_quality: TimeQuality = "exact"
    channel: str = "other"
    campaign: Campaign | None = None
    actor: Actor | None = None
    deal: str | None = None
    account: str | None = None
    mentions: tuple[Mention, ...] = ()
    amount: Money | None = None
    attributes: Mapping[str, Scalar] = {}
    sealed: Sealed | None = None
    similar: tuple[Similar, ...] = ()

    @property
    def primary(self) -> Identifier | None:
        """The first identifier by precedence, then by digest; None where nobody is named."""
        if len(self.identifiers) == 1:
            return self.identifiers[0]
        return min(self.identifiers, key=precedence, default=None)

    @property
    def stream(self) -> Identifier:
        """Whose stream holds it, for ever: the primary identifier's.

        What names nobody has one of its own: a retraction that of the touchpoint
        that it voids, an ad spend that of its campaign.

        Raises:
            NoStream: It names nobody and is of another type; no edge accepts that.
        """
        primary = self.primary
        if primary is not None:
            return primary
        if self.type == "touchpoint_retracted":
            voided = self.attributes.get("source"), self.attributes.get("event_id")
            return Identifier("retraction", _plain_digest(voided))
        if self.type == "ad_spend_reported":
            campaign = self.campaign or Campaign()
            parts = (
                campaign.source,
                campaign.medium,
                campaign.name,
                campaign.term,
                campaign.content,
            )
            return Identifier("campaign", _plain_digest(parts))
        raise NoStream(self.type)


class Encoded(Struct, frozen=True):
    """A canonical, sealed touchpoint beside the Avro bytes that stand for it everywhere."""

    touchpoint: Touchpoint
    data: bytes


class Arrival(Struct, frozen=True, kw_only=True):
    """One delivery at an edge: accepted (`encoded`), or set aside with a reason.

    `form` says what `data` is: a "touchpoint" as JSON text, or a "row" of a mapped file.
    """

    origin: str  # file or topic
    line: int  # line, from 1, or offset
    data: SupportsBytes  # as it came
    form: str = "touchpoint"
    encoded: Encoded | None = None
    reason: str | None = None  # a reason of the list of reasons
    detail: str = ""  # what was wrong, never a value of the row
    dropped: tuple[str, ...] = ()  # why, of each identifier by which nobody is meant
    partition: int = 0  # of the topic
    headers: tuple[tuple[str, bytes], ...] = ()  # of the message, where it had some


def precedence(identifier: Identifier) -> tuple[int, str]:
    """Sorts identifiers: the kind that says most about who first, then by digest."""
    return KINDS.index(identifier.kind), identifier.digest


def _plain_digest(parts: Iterable[object]) -> str:
    """SHA-256 of what is no secret, None as if empty."""
    return sha256("\x1f".join(str(part or "") for part in parts).encode()).hexdigest()
