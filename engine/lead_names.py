"""Which lead is meant by what people call it."""

import re

import numpy as np
from numpy.typing import NDArray

from engine.errors import NoSuchLead, SeveralLeads
from engine.fields import text
from engine.identifiers import SOURCE_IS_NAMESPACE, canonical_value
from engine.identity import originator_of
from engine.nearest import guess
from engine.privacy import IdentifierKey
from engine.store.facts import Facts
from engine.touchpoint import KINDS, Identifier

_BEGINNING = re.compile(r"[0-9a-f]{6,32}")  # of a lead's id, or all of it


def find(
    facts: Facts, named: str, key: IdentifierKey, region: str, known_at: int | None = None
) -> int:
    """The number of a lead named by its id or the beginning of it, or by an identifier in clear.

    Identifiers are `email:an@example.vn`, `phone:+84…`, `user_id:…`, and with their
    namespace `crm_id:hubspot:991`. Whose they are is as known at a position; None: as it is.

    Raises:
        NoSuchLead: Nobody is called so.
        SeveralLeads: More than one lead is.
        Refused: It is no text, e-mail address or phone number.
    """
    kind, beginning = _beginning(named, key, region)
    return _one(facts, kind, facts.leads_beginning(beginning, known_at))


def find_identifier(facts: Facts, named: str, key: IdentifierKey, region: str) -> int:
    """The number of the identifier that names a lead, whosever it is: of an id the one it is of.

    Raises:
        NoSuchLead: No such identifier was ever recorded.
        SeveralLeads: The ids of several begin so.
        Refused: It is no text, e-mail address or phone number.
    """
    kind, beginning = _beginning(named, key, region)
    return _one(facts, kind, facts.identifiers_beginning(beginning))


def _beginning(named: str, key: IdentifierKey, region: str) -> tuple[str, str]:
    """The kind of a name, and the id that it means, or the beginning of that."""
    kind, separator, value = named.partition(":")
    if separator and kind in KINDS:
        return kind, originator_of(_identifier(kind, value, key, region))
    if _BEGINNING.fullmatch(named.lower()):
        return "id", named.lower()
    guessed = guess(kind, KINDS) if separator else ""  # of the kind alone: the rest is personal
    raise NoSuchLead("id", guessed)


def _identifier(kind: str, rest: str, key: IdentifierKey, region: str) -> Identifier:
    rest = text(rest, kind)
    namespace, _, value = rest.partition(":") if kind in SOURCE_IS_NAMESPACE else ("", "", rest)
    return Identifier(kind, key.digest(kind, namespace, canonical_value(kind, value, region)))


def _one(facts: Facts, kind: str, found: NDArray[np.int64]) -> int:
    if not len(found):
        raise NoSuchLead(kind)
    if len(found) > 1:
        raise SeveralLeads(kind, sorted(facts.lead_ids(found)))
    return int(found[0])
