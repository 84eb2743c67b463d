"""Small worlds for tests of read models and reports: rules, a few leads, and their rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.book import Book
from engine.folded import Folded
from engine.folding import fold
from engine.history import Histories, Packed, pack, unpack
from engine.projections.projection import READ_MODELS, Frames, derived
from engine.rulefile import parse
from engine.touchpoint import Touchpoint
from engine.warm import Words

SECOND, MINUTE, HOUR = 10**6, 60 * 10**6, 3600 * 10**6
DAY = 24 * HOUR


def touch(at: int, **fields: Any) -> Touchpoint:
    """One touchpoint of the source web; its event id is its instant unless given."""
    base = {"source": "web", "event_id": f"e{at}", "type": "page_viewed", "content": "0" * 32}
    return Touchpoint(**{**base, "occurred_at": at, "received_at": at, **fields})


def histories(leads: Mapping[str, Sequence[Touchpoint]]) -> Histories:
    """Histories of leads by id, each with touchpoints in any order."""
    words = Words()
    rows = [pack(one, words) for touches in leads.values() for one in touches]
    starts = np.cumsum([0, *map(len, leads.values())])
    return unpack(list(leads), starts, Packed(rows), np.arange(1, len(rows) + 1), words)


def folded(rules: str, leads: Mapping[str, Sequence[Touchpoint]], as_of: int) -> Folded:
    """Leads folded under a rule set in TOML."""
    return fold(histories(leads), Book.always(parse(rules)), as_of)


def frames(rules: str, leads: Mapping[str, Sequence[Touchpoint]], as_of: int) -> Frames:
    """The read models of leads, numbered from 1."""
    result = folded(rules, leads, as_of)
    numbers = np.arange(1, len(leads) + 1)
    return Frames(Book.always(result.rules), as_of, derived(result, numbers, READ_MODELS))


RULES = """
name = "small"
zone = "Asia/Ho_Chi_Minh"
value = "deal"
[[signal]]
name = "view"
type = "page_viewed"
label = { en = "Viewed a page" }
[[signal]]
name = "ask"
type = "price_asked"
[[signal]]
name = "deal"
type = ["opportunity_opened", "won"]
[[signal]]
name = "buy"
type = "won"
[[signal]]
name = "lose"
type = "lost"
[[signal]]
name = "reopen"
type = "reopened"
[[signal]]
name = "complain"
type = "ticket_opened"
[[score]]
name = "interest"
half_life = "30d"
[[score.earn]]
signal = "view"
points = 8
[[track]]
name = "life"
[[track.stage]]
name = "visitor"
[[track.stage]]
name = "mql"
probability = 0.25
label = { en = "Qualified" }
[[track.stage]]
name = "customer"
kind = "won"
[[track.stage]]
name = "gone"
kind = "lost"
[[track.stage]]
name = "cold"
kind = "parked"
[[track.move]]
to = "customer"
from = ["*"]
when = { signal = "buy" }
[[track.move]]
to = "gone"
from = ["*"]
when = { signal = "lose" }
[[track.move]]
to = "mql"
from = ["*"]
when = { signal = ["ask", "reopen"] }
[[track.move]]
to = "visitor"
when = { signal = "view" }
[[track.move]]
to = "cold"
from = ["visitor", "customer"]
after_silence = "30d"
[[funnel]]
name = "sale"
window = "60d"
[[funnel.step]]
signal = "view"
[[funnel.step]]
enters = "life.mql"
[[funnel.step]]
signal = "buy"
label = { en = "Bought" }
[[funnel.exclude]]
signal = "complain"
after = 1
before = 3
[[funnel]]
name = "ever"
[[funnel.step]]
signal = "view"
[[funnel.step]]
signal = "buy"
[[funnel]]
name = "each"
entry = "every"
window = "10d"
[[funnel.step]]
signal = "view"
[[funnel.step]]
signal = "ask"
[[funnel]]
name = "both"
order = "unordered"
window = "10d"
[[funnel.step]]
signal = "ask"
[[funnel.step]]
signal = "view"
[[clock]]
name = "answer"
start = { enters = "life.mql" }
stop = { signal = "buy" }
within = "1d"
[[segment]]
name = "keen"
where = { score = "interest", at_least = 6 }
[[segment]]
name = "silent"
where = { silent_for = "20d" }
"""
