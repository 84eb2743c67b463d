"""Whether a touchpoint that comes encoded is one that an edge of ours would have made.

Whoever may write to a topic may write anything there. What is recorded from it must
be as canonical as what comes by a file, or the same fact could be there in two forms.
What `content` and digests were made of cannot be seen from here; that they have the
form of digests can, and the codec sees to it.
"""

from math import copysign, isfinite
from string import ascii_letters, digits
from typing import Any

from engine.admission import admit
from engine.canonical import LONGEST_ATTRIBUTE_NAME, LONGEST_EVENT_ID, LONGEST_SOURCE
from engine.catalogue import currencies
from engine.errors import NoStream, Refused
from engine.fields import MAX_TEXT, SEPARATOR, text
from engine.instants import END_OF_TIME
from engine.people import LONGEST_ROLE
from engine.privacy import NONCE_BYTES, TAG_BYTES, key_id_of
from engine.touchpoint import Campaign, Sealed, Touchpoint, precedence

FORMS = frozenset(("email_plain", "phone_tail", "phone_minus", "name_account"))
_BASE64URL = f"{ascii_letters}{digits}-_".encode()
_LAST_DIGITS = {2: "AQgw", 3: "AEIMQUYcgkosw048"}  # those with no bits to spare
_SAYS_NOTHING = Campaign()
_SURELY_FINE = MAX_TEXT // 4  # characters, of all texts together


def vet(touchpoint: Touchpoint, plain: bool = False) -> None:
    """Let a decoded touchpoint pass, or refuse it with the first reason that fits.

    Args:
        touchpoint: As the codec lets it pass.
        plain: All its texts are known to be short, in ASCII and without NUL.

    Raises:
        Refused: `not_canonical`, or one of the reasons of `engine.admission`.
    """
    if not plain:
        _check_texts(touchpoint)
    _check_attributes(touchpoint)
    _check_lengths(touchpoint)
    if not 0 <= touchpoint.received_at < END_OF_TIME:
        _refuse("received_at must lie from 1970 up to 2100")
    _check_order(touchpoint)
    if touchpoint.campaign == _SAYS_NOTHING:
        _refuse("campaign says nothing")
    if touchpoint.amount is not None and touchpoint.amount.currency not in currencies():
        _refuse("amount.currency must be a code of ISO 4217")
    if touchpoint.sealed is not None:
        _check_seal(touchpoint, touchpoint.sealed)
    admit(touchpoint)


def _refuse(detail: str) -> None:
    raise Refused("not_canonical", detail)


def _check_texts(touchpoint: Touchpoint) -> None:
    """All texts are as `text` leaves them; most are plain, and checked in one go."""
    texts = [touchpoint.source, touchpoint.event_id, touchpoint.type, touchpoint.channel]
    if touchpoint.deal is not None:
        texts.append(touchpoint.deal)
    if touchpoint.account is not None:
        texts.append(touchpoint.account)
    campaign = touchpoint.campaign
    if campaign is not None:
        parts = (campaign.source, campaign.medium, campaign.name, campaign.term, campaign.content)
        texts += [part for part in parts if part is not None]
    if touchpoint.actor is not None and touchpoint.actor.id is not None:
        texts.append(touchpoint.actor.id)
    for name, value in touchpoint.attributes.items():
        texts.append(name)
        if type(value) is str:
            texts.append(value)
    for mention in touchpoint.mentions:
        texts.append(mention.role)
    together = "".join(texts)
    if together.isascii() and "\0" not in together and len(together) <= _SURELY_FINE:
        return
    for part in texts:
        if text(part, "a text") != part:
            _refuse("a text is not in NFC")


def _check_attributes(touchpoint: Touchpoint) -> None:
    """Names in order, each once, of a fair length; numbers finite, in their one form."""
    before = ""
    for name, value in touchpoint.attributes.items():
        if not 1 <= len(name) <= LONGEST_ATTRIBUTE_NAME:
            _refuse(f"the name of an attribute must have 1 to {LONGEST_ATTRIBUTE_NAME} characters")
        if name <= before:
            _refuse("attributes are not in order, or one is there twice")
        if type(value) is float and not _one_of_its_kind(value):
            _refuse("an attribute is a number that has another form, or is none")
        before = name


def _one_of_its_kind(value: float) -> bool:
    """Whether a number is finite, and not the second zero."""
    return isfinite(value) and (value != 0.0 or copysign(1.0, value) > 0)


def _check_lengths(touchpoint: Touchpoint) -> None:
    if not 1 <= len(touchpoint.source) <= LONGEST_SOURCE or SEPARATOR in touchpoint.source:
        _refuse(f"source must have 1 to {LONGEST_SOURCE} characters, U+001F not among them")
    if not 1 <= len(touchpoint.event_id) <= LONGEST_EVENT_ID:
        _refuse(f"event_id must have 1 to {LONGEST_EVENT_ID} characters")
    for mention in touchpoint.mentions:
        if not 1 <= len(mention.role) <= LONGEST_ROLE:
            _refuse(f"the role of a mention must have 1 to {LONGEST_ROLE} characters")


def _check_order(touchpoint: Touchpoint) -> None:
    """What is a set is there once, in the order that it always has."""
    if len(touchpoint.identifiers) > 1:
        _check_sorted([precedence(one) for one in touchpoint.identifiers], "identifiers")
    if touchpoint.mentions:
        mentions = [(one.role, one.kind, one.digest) for one in touchpoint.mentions]
        _check_sorted(mentions, "mentions")
    if touchpoint.similar:
        _check_sorted([(one.form, one.digest) for one in touchpoint.similar], "similar")
        if not FORMS.issuperset([one.form for one in touchpoint.similar]):
            _refuse("a similar form is of no known kind")


def _check_sorted(keys: list[Any], where: str) -> None:
    if len(keys) > 1 and keys != sorted(set(keys)):
        _refuse(f"{where} are not in order, or one is there twice")


def _check_seal(touchpoint: Touchpoint, sealed: Sealed) -> None:
    """Sealed under the key of its own stream, in the one form of base64url."""
    if _bytes_in(sealed.nonce) != NONCE_BYTES or _bytes_in(sealed.ciphertext) <= TAG_BYTES:
        _refuse("sealed has no nonce, or no ciphertext")
    try:
        key_id = key_id_of(touchpoint.stream)
    except NoStream:
        return  # is refused for that
    if sealed.key_id != key_id:
        _refuse("sealed is not under the key of the primary identifier")


def _bytes_in(given: str) -> int:
    """How many bytes base64url without padding stands for; 0 where it is not their one form."""
    rest = len(given) % 4
    if rest == 1 or given.encode().translate(None, _BASE64URL):
        return 0
    if rest and given[-1] not in _LAST_DIGITS[rest]:
        return 0
    return len(given) * 3 // 4
