"""The engine without a store: deliveries in, what every export prints out."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.book import Book
from engine.canonical import canonicalise
from engine.errors import Refused
from engine.folding import fold
from engine.history import Histories, Packed, pack, unpack
from engine.privacy import IdentifierKey
from engine.rulefile import parse
from engine.states import funnel_documents, state_documents
from engine.touchpoint import NEVER_FOLDED, Touchpoint
from engine.warm import Words

KEY = IdentifierKey(bytes(range(32)))
RECEIVED_AT = 4_102_444_800_000_000  # 2100: nothing lies in the future

Line = dict[str, Any]


@dataclass
class Taken:
    """What became of deliveries, line by line from 1."""

    accepted: list[Touchpoint] = field(default_factory=list)
    duplicates: list[int] = field(default_factory=list)
    aside: list[Line] = field(default_factory=list)


def take(deliveries: Iterable[Line]) -> Taken:
    """Accept deliveries as the edge and the store do."""
    taken, contents = Taken(), {}
    for line, delivery in enumerate(deliveries, start=1):
        try:
            touchpoint = canonicalise(delivery, RECEIVED_AT, KEY).touchpoint
        except Refused as refused:
            taken.aside.append({"line": line, "reason": refused.reason})
            continue
        name = (touchpoint.source, touchpoint.event_id)
        known = contents.setdefault(name, touchpoint.content)
        if name not in {(t.source, t.event_id) for t in taken.accepted}:
            taken.accepted.append(touchpoint)
        elif known == touchpoint.content:
            taken.duplicates.append(line)
        else:
            taken.aside.append({"line": line, "reason": "id_reused"})
    return taken


def histories(accepted: Sequence[Touchpoint]) -> Histories:
    """The columns of accepted touchpoints, one stream a lead."""
    words, rows = Words(), defaultdict(list)
    voided = {
        (t.attributes["source"], t.attributes["event_id"])
        for t in accepted
        if t.type == "touchpoint_retracted"
    }
    for touchpoint in accepted:
        name = (touchpoint.source, touchpoint.event_id)
        if touchpoint.type not in NEVER_FOLDED and name not in voided:
            rows[touchpoint.stream.digest].append(pack(touchpoint, words))
    starts = np.cumsum([0, *map(len, rows.values())])
    flat = [row for some in rows.values() for row in some]
    return unpack(list(rows), starts, Packed(flat), np.arange(len(flat)), words)


def exports(rules: str, accepted: Sequence[Touchpoint], instants: Iterable[int]) -> list[Line]:
    """States and funnels as of each instant, without the ids of leads."""
    return exports_by(Book.always(parse(rules)), accepted, instants)


def exports_by(book: Book, accepted: Sequence[Touchpoint], instants: Iterable[int]) -> list[Line]:
    """The same by a rule book."""
    found = histories(accepted)
    reads = []
    for at in instants:
        folded = fold(found, book, at)
        states = [{k: v for k, v in d.items() if k != "lead"} for d in state_documents(folded)]
        funnels = {f.name: list(funnel_documents(folded, f.name)) for f in folded.rules.funnels}
        reads.append({"states": states, "funnels": funnels})
    return reads
