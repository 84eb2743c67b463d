"""Looking at one lead: its state, its history, and, for a reason that is kept, who it is."""

from typing import Any

import numpy as np

from engine.chronicle import Known, chronicle, happening
from engine.codec import decode
from engine.folded import Folded
from engine.folding import fold
from engine.identity import is_strong
from engine.instants import format_instant
from engine.kinship import Told, look, told_at
from engine.privacy import WorkspaceKey, context_of, unseal
from engine.reading import View
from engine.states import state_documents
from engine.store import announcements
from engine.store.facts import Facts
from engine.store.recorder import last_position

Document = dict[str, Any]


def state(facts: Facts, lead: int, view: View) -> Document | None:
    """A lead's state; None where nothing had happened yet, as far as was known."""
    return next(iter(state_documents(_folded(facts, lead, view))), None)


def history(facts: Facts, lead: int, view: View) -> list[Document]:
    """All touchpoints up to an instant, in happening order, and in line what they led to.

    Those that do not count say why: retracted, or of a type that is never folded. In line are
    stage entries, what clocks did, where other rules begin to judge, and each identifier with
    the touchpoint by which it came to belong, and what was announced of the lead.
    """
    with facts.snapshot() as connection:
        upto = last_position(connection) if view.known_at is None else view.known_at
        stored = facts.touchpoints_of(lead, upto)
        counted = any(item.void is None for item in stored)
        kin = look(facts, lead, upto) if counted and is_strong(lead) else None
        for cookie in kin.weak if kin else ():
            if not cookie.other_leads:  # what it says and does not count is of nobody else
                stored += facts.touchpoints_of(cookie.number, upto)
        void = {item.position: item.void for item in stored if item.void is not None}
        voiding = told_at(connection, {by for by in void.values() if by}, upto)
        touches = [Told(item.position, item.recorded_at, decode(item.data)) for item in stored]
        told = announcements.about(connection, [one.position for one in touches])
        known = Known(
            touches=sorted(touches, key=lambda one: happening(one.touchpoint)),
            void={position: voiding.get(by) for position, by in void.items()},
            kin=kin,
            announced=[one for one in told if one.position <= upto],
        )
        return chronicle(known, _folded(facts, lead, view))


def reveal(
    facts: Facts,
    lead: int,
    workspace_key: WorkspaceKey,
    who: str,
    reason: str,
    known_at: int | None = None,
) -> dict[str, list[str]]:
    """The personal fields of a lead in clear, every value it ever had; the look is kept first."""
    facts.log_access(who, _id(facts, lead), reason)
    touches = [decode(item.data) for item in facts.touchpoints_of(lead, known_at)]
    sealed = [(touch, touch.sealed) for touch in touches if touch.sealed]
    keys = facts.keyring(workspace_key).stored([seal.key_id for _, seal in sealed])
    found: dict[str, list[str]] = {}
    for touch, seal in sealed:
        if seal.key_id in keys:
            for name, value in unseal(seal, keys[seal.key_id], context_of(touch)).items():
                if value not in found.setdefault(name, []):
                    found[name].append(value)
    return found


def accesses(facts: Facts, lead: int | None = None) -> list[Document]:
    """Who looked at the personal data of a lead, or of any, in the order in which they did."""
    asked = None if lead is None else _id(facts, lead)
    return [
        {"at": format_instant(look.at), "who": look.who, "lead": look.lead, "reason": look.reason}
        for look in facts.accesses()
        if asked in (None, look.lead)
    ]


def _id(facts: Facts, lead: int) -> str:
    return facts.lead_ids(np.array([lead], np.int64))[0]


def _folded(facts: Facts, lead: int, view: View) -> Folded:
    histories = facts.histories(np.array([lead], np.int64), view.known_at)
    return fold(histories, view.book, view.as_of)
