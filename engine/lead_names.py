"""Which lead is meant by what people call it."""

import re

import numpy as np
from numpy.typing import NDArray

from engine.errors import NoSuchLead, SeveralLeads
from engine.fields import text
from engine.identifiers import SOURCE_IS_NAMESPACE, canonical_value
from engine.nearest import guess
from engine.privacy import IdentifierKey
from engine.store.facts import Facts
from engine.touchpoint import KINDS, Identifier

_BEGINNING = re.compile(r"[0-9a-f]{6,32}")  # of a lead's id, or all of it


def find(facts: Facts, named: str, key: IdentifierKey, region: str) -> int:
    """The number of a lead named by its id or the beginning of it, or by an identifier in clear.

    Identifiers are `email:an@example.vn`, `phone:+84…`, `user_id:…`, and with their
    namespace `crm_id:hubspot:991`.

    Raises:
        NoSuchLead: Nobody is called so.
        SeveralLeads: More than one lead is.
        Refused: It is no text, e-mail address or phone number.
    """
    kind, separator, value = named.partition(":")
    if separator and kind in KINDS:
        return _one(facts, kind, _by_identifier(facts, kind, value, key, region))
    beginning = named.lower()
    if _BEGINNING.fullmatch(beginning):
        return _one(facts, "id", facts.leads_beginning(beginning))
    guessed = guess(kind, KINDS) if separator else ""  # of the kind alone: the rest is personal
    raise NoSuchLead("id", guessed)


def _by_identifier(
    facts: Facts, kind: str, rest: str, key: IdentifierKey, region: str
) -> NDArray[np.int64]:
    """The lead whose stream an identifier names; else those that it was told of among others."""
    rest = text(rest, kind)
    namespace, _, value = rest.partition(":") if kind in SOURCE_IS_NAMESPACE else ("", "", rest)
    digest = key.digest(kind, namespace, canonical_value(kind, value, region))
    return facts.leads_of(Identifier(kind, digest))


def _one(facts: Facts, kind: str, found: NDArray[np.int64]) -> int:
    if not len(found):
        raise NoSuchLead(kind)
    if len(found) > 1:
        raise SeveralLeads(kind, sorted(facts.lead_ids(found)))
    return int(found[0])
