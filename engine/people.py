"""Who is in a touchpoint as it comes in: identifiers, mentions and personal fields, in clear."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from engine.errors import Refused
from engine.fields import listed, one_of, optional_text, short_text, table, text, without_separator
from engine.identifiers import (
    NO_NAMESPACE,
    SOURCE_IS_NAMESPACE,
    Clear,
    canonical_value,
    why_nobody,
)
from engine.touchpoint import KINDS, MAX_IDENTIFIERS, MAX_MENTIONS, PERSONAL_FIELDS

_IDENTIFIER_KEYS = frozenset(("kind", "namespace", "value"))
_MENTION_KEYS = frozenset(("role", "kind", "value"))
_PERSONAL_KEYS = frozenset(PERSONAL_FIELDS)
LONGEST_ROLE = 64


class People(NamedTuple):
    """Everybody whom a touchpoint names; sets are sorted, so that order says nothing."""

    identifiers: tuple[Clear, ...]
    dropped: Mapping[Clear, str]  # why each names nobody; that it was said still counts
    mentions: tuple[tuple[str, Clear], ...]  # role and who
    personal: Mapping[str, str]
    contacts: tuple[Clear, ...]  # the address and number among the personal fields

    def revealable(self) -> dict[str, str]:
        """The personal fields, with the address and number that it is known by where none is."""
        known = {
            one.kind: one.value for one in reversed(self.identifiers) if one.kind in NO_NAMESPACE
        }
        return {**known, **self.personal}


def read_people(fields: Mapping[str, Any], source: str, region: str) -> People:
    """Everybody named in the fields of a touchpoint.

    Raises:
        Refused: `not_canonical`, where a value is malformed.
    """
    named: set[Clear] = set()
    dropped: dict[Clear, str] = {}
    for number, entry in enumerate(
        listed(fields.get("identifiers"), "identifiers", MAX_IDENTIFIERS)
    ):
        where = f"identifiers[{number}]"
        one, nobody = _clear(table(entry, where, _IDENTIFIER_KEYS), source, region, where)
        if nobody:
            dropped[one] = nobody
        else:
            named.add(one)
    mentions: set[tuple[str, Clear]] = set()
    for number, entry in enumerate(listed(fields.get("mentions"), "mentions", MAX_MENTIONS)):
        where = f"mentions[{number}]"
        one, nobody = _clear(table(entry, where, _MENTION_KEYS), source, region, where)
        role = short_text(entry.get("role"), f"{where}.role", LONGEST_ROLE)
        if nobody:
            dropped[one] = nobody
        else:
            mentions.add((role, one))
    personal, contacts = _personal(fields.get("personal"), region)
    whom, nobodies = tuple(sorted(named)), dict(sorted(dropped.items()))
    return People(whom, nobodies, tuple(sorted(mentions)), personal, contacts)


def _clear(
    entry: Mapping[str, Any], source: str, region: str, where: str
) -> tuple[Clear, str | None]:
    """The identifier that an entry names, and why nobody is meant by it; None: somebody is."""
    kind = one_of(entry.get("kind"), f"{where}.kind", KINDS)
    namespace = optional_text(entry.get("namespace"), f"{where}.namespace") or ""
    value = text(entry.get("value"), f"{where}.value")
    if not namespace and kind in SOURCE_IS_NAMESPACE:
        namespace = source
    if namespace and kind in NO_NAMESPACE:
        raise Refused("not_canonical", f"{where}: addresses and phone numbers have no namespace")
    without_separator(namespace, f"{where}.namespace")
    if nobody := why_nobody(kind, value):
        return Clear(kind, namespace, value.strip().casefold()), nobody
    try:
        return Clear(kind, namespace, canonical_value(kind, value, region)), None
    except Refused as refused:
        raise Refused(refused.reason, f"{where}: {refused.detail}") from None


def _personal(value: Any, region: str) -> tuple[dict[str, str], tuple[Clear, ...]]:
    """The personal fields, and those of them by which somebody can be reached.

    People read them, so an address that is none is kept as written: it may be all there is.
    """
    if value is None:
        return {}, ()
    personal: dict[str, str] = {}
    contacts: list[Clear] = []
    for name, given in table(value, "personal", _PERSONAL_KEYS).items():
        if given is None:
            continue
        personal[name] = text(given, f"personal.{name}")
        if name in NO_NAMESPACE and not why_nobody(name, personal[name]):
            with suppress(Refused):
                personal[name] = canonical_value(name, personal[name], region)
                contacts.append(Clear(name, "", personal[name]))
    return dict(sorted(personal.items())), tuple(sorted(contacts))
