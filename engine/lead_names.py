"""Which lead is meant by what people call it."""

from engine.errors import NoSuchLead
from engine.identifiers import SOURCE_IS_NAMESPACE, canonical_value
from engine.privacy import IdentifierKey
from engine.store.facts import Facts
from engine.touchpoint import KINDS


def find(facts: Facts, named: str, key: IdentifierKey, region: str) -> int:
    """The number of a lead named by its id, or by an identifier in clear.

    Identifiers are `email:an@example.vn`, `phone:+84…`, `user_id:…`, and with their
    namespace `crm_id:hubspot:991`.

    Raises:
        NoSuchLead: Nobody is called so.
        Refused: It is no e-mail address or phone number.
    """
    kind, separator, rest = named.partition(":")
    if separator and kind in KINDS:
        namespace, _, value = rest.partition(":") if kind in SOURCE_IS_NAMESPACE else ("", "", rest)
        digest = key.digest(kind, namespace, canonical_value(kind, value, region))
        number = facts.find_lead_by(kind, digest)
    else:
        number = facts.find_lead(named)
    if number is None:
        raise NoSuchLead(kind if separator and kind in KINDS else "id")
    return number
