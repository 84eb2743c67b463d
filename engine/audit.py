"""Looking at one lead: its state, its history, and, for a reason that is kept, who it is."""

from typing import Any

import numpy as np

from engine.codec import decode
from engine.folded import Folded
from engine.folding import fold
from engine.instants import format_instant
from engine.privacy import WorkspaceKey, context_of, unseal
from engine.reading import View
from engine.states import state_documents
from engine.store.facts import Facts
from engine.touchpoint import Touchpoint

Document = dict[str, Any]


def state(facts: Facts, lead: int, view: View) -> Document | None:
    """A lead's state; None where nothing had happened yet, as far as was known."""
    return next(iter(state_documents(_folded(facts, lead, view))), None)


def history(facts: Facts, lead: int, view: View) -> list[Document]:
    """All touchpoints up to an instant, in happening order, with the stages they led to.

    Void ones (retracted, or of a type that is never folded) are there as well, and say so.
    """
    stored = [(item, decode(item.data)) for item in facts.touchpoints_of(lead, view.known_at)]
    known = [(item, touch) for item, touch in stored if touch.occurred_at <= view.as_of]
    known.sort(key=lambda pair: _happening(pair[1]))
    entered = _entered_after(_folded(facts, lead, view))
    lines: list[Document] = []
    for item, touch in known:
        lines.append({**_line(touch), "position": item.position})
        lines[-1]["recorded_at"] = format_instant(item.recorded_at)
        lines[-1]["counts"] = item.void is None
        lines += entered.get(item.position, [])
    return lines


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


def _happening(touch: Touchpoint) -> tuple[int, int, bytes, bytes]:
    return touch.occurred_at, touch.sequence, touch.source.encode(), touch.event_id.encode()


def _line(touch: Touchpoint) -> Document:
    actor = touch.actor
    return {
        "what": "touchpoint",
        "at": format_instant(touch.occurred_at),
        "source": touch.source,
        "event_id": touch.event_id,
        "type": touch.type,
        "channel": touch.channel,
        "actor": {"kind": actor.kind, "id": actor.id} if actor else None,
        "attributes": dict(touch.attributes),
    }


def _entered_after(folded: Folded) -> dict[int, list[Document]]:
    """Stage entries, by the position of the touchpoint that they come after."""
    found: dict[int, list[Document]] = {}
    for entry in folded.entries:
        track = folded.rules.tracks[entry["track"]]
        timer = folded.timer(entry)
        line = {
            "what": "stage",
            "at": format_instant(int(entry["entered"])),
            "track": track.name,
            "stage": track.stages[entry["stage"]].name,
            "timer": timer.kind if timer else None,
        }
        found.setdefault(int(folded.histories.positions[entry["after"]]), []).append(line)
    return found
