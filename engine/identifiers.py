"""Identifiers in clear: their one canonical form, and the forms by which duplicates are suggested.

Nothing here is kept; what leaves the edge are keyed digests.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import phonenumbers

from engine.catalogue import placeholders
from engine.errors import Refused
from engine.settings import DEFAULT_PHONE_REGION

NO_NAMESPACE = frozenset(("email", "phone"))
SOURCE_IS_NAMESPACE = frozenset(("crm_id", "external_id"))

_PHONE = re.compile(r"[+＋]?[\d\s().\-‐-―/]+")  # noqa: RUF001 - the dashes that people type
_DIGITS_OF_TAIL = 8
_LONGEST_EMAIL = 320
_THAI_VOWELS = frozenset("\u0e31\u0e34\u0e35\u0e36\u0e37\u0e38\u0e39\u0e3a\u0e47\u0e4d")


class Clear(NamedTuple):
    """An identifier before it is digested: what the digest is made of, in order."""

    kind: str
    namespace: str
    value: str


def why_nobody(kind: str, value: str) -> str | None:
    """Why nobody is meant by a value: empty, a placeholder (`n/a`), or the role of a mailbox."""
    folded = value.strip().casefold()
    known = placeholders()
    if not folded:
        return "empty"
    if folded in known["any"] or folded in known.get(kind, ()):
        return "placeholder"
    if kind == "email" and folded.partition("@")[0] in known["roles"]:
        return "role"
    return None


def canonical_value(kind: str, value: str, region: str = DEFAULT_PHONE_REGION) -> str:
    """The one form of an identifier's value, which must be text in NFC.

    Raises:
        Refused: An address or phone number that is none; the detail names no value.
    """
    if kind == "email":
        return canonical_email(value)
    if kind == "phone":
        return canonical_phone(value, region)
    return value


def canonical_email(value: str) -> str:
    """An address trimmed and in lower case.

    Raises:
        Refused: It is not one name, one @ and one domain without spaces.
    """
    email = value.strip()
    if len(email) <= _LONGEST_EMAIL:
        email = unicodedata.normalize("NFC", email.lower())
    name, at, domain = email.partition("@")
    if not (name and at and domain) or "@" in domain:
        raise Refused("not_canonical", "an e-mail address is a name, one @ and a domain")
    if " " in email or not email.isprintable() or len(email) > _LONGEST_EMAIL:
        raise Refused("not_canonical", "an e-mail address has no spaces and at most 320 characters")
    return email


@lru_cache(maxsize=4096)
def canonical_phone(value: str, region: str = DEFAULT_PHONE_REGION) -> str:
    """A phone number as E.164.

    With + it must be possible in its country. Without, it must be in use in
    `region`: a number that only might be somebody's would join two people.

    Raises:
        Refused: It is no number, has an extension, or fits no country.
    """
    if _PHONE.fullmatch(value.strip()) is None:
        raise Refused("not_canonical", "a phone number has digits only, after an optional +")
    try:
        number = phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException:
        raise Refused("not_canonical", "a phone number is written with + and country") from None
    international = value.strip()[0] in "+＋"  # noqa: RUF001 - full-width plus
    fits = phonenumbers.is_possible_number if international else phonenumbers.is_valid_number
    if not fits(number):
        raise Refused("not_canonical", "a phone number is written with + and country, in full")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def forms_of(identifier: Clear) -> Iterator[Clear]:
    """What another identifier of the same person may share with this one."""
    value = identifier.value
    if identifier.kind == "email":
        yield Clear("email_plain", "", plain_email(value))
    elif identifier.kind == "phone":
        yield Clear("phone_tail", "", value[-_DIGITS_OF_TAIL:])
        for place in range(1, len(value)):
            yield Clear("phone_minus", "", value[:place] + value[place + 1 :])


def plain_email(email: str) -> str:
    """A canonical address without plus-tag, and without dots before the @."""
    name, _, domain = email.partition("@")
    return f"{name.partition('+')[0].replace('.', '')}@{domain}"


def folded_name(name: str) -> str:
    """The letters of a name, without case and tone marks; Thai vowels count as letters."""
    spread = unicodedata.normalize("NFKD", name.casefold()).replace("đ", "d")
    return "".join(mark for mark in spread if mark.isalpha() or mark in _THAI_VOWELS)
