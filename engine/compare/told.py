"""Causes in words that JSON has: a touchpoint, a retraction, a join, or a rule set."""

from collections.abc import Collection, Mapping
from typing import Any

from engine.instants import format_instant
from engine.kinship import Told, told, told_at
from engine.store.connection import Connection
from engine.store.rulebook import Publication, rule_book, written_rules

Document = dict[str, Any]

JOIN, PARTING, RULES = "join", "parting", "rule set"
LATE, TOUCHPOINT = "late touchpoint", "touchpoint"
BY_TYPE = {
    "touchpoint_retracted": "retraction",
    "identity_linked": "link",
    "identity_unlinked": "unlink",
}


def tell(
    connection: Connection,
    named: Mapping[int, Collection[str]],
    moved: Mapping[int, str],
    last_at: Mapping[str, int],
) -> list[Document]:
    """What was recorded at some positions.

    Args:
        connection: To the facts.
        named: The leads that it changed, by position.
        moved: JOIN or PARTING, where it changed whose touchpoints are; by position.
        last_at: When the last touchpoint of each lead happened that was known before; what
            happened before that is late.
    """
    upto = max(named, default=0)
    touchpoints = told_at(connection, named.keys(), upto)
    published = {one.position: one for one in rule_book(connection, upto)}
    found = []
    for position, leads in sorted(named.items()):
        if position in touchpoints:
            known = [last_at[lead] for lead in leads if lead in last_at]
            is_late = touchpoints[position].touchpoint.occurred_at < max(known, default=0)
            kind = moved.get(position, LATE if is_late else TOUCHPOINT)
            document = _touchpoint(touchpoints[position], kind)
        else:
            rules_id = published[position].rules_id
            name = written_rules(connection, rules_id).name
            document = _publication(published[position], name)
        found.append({**document, "leads": len(leads)})
    return found


def _publication(one: Publication, name: str) -> Document:
    since = one.effective_at
    return {
        "position": one.position,
        "kind": RULES,
        "name": name,
        "id": one.rules_id,
        "effective_at": None if since is None else format_instant(since),
        "recorded_at": format_instant(one.published_at),
    }


def _touchpoint(one: Told, otherwise: str) -> Document:
    touchpoint = one.touchpoint
    kind = BY_TYPE.get(touchpoint.type, otherwise)
    line = {"position": one.position, "kind": kind, **told(one)}
    if touchpoint.type == "touchpoint_retracted":
        line["voids"] = {name: touchpoint.attributes[name] for name in ("source", "event_id")}
    return line
