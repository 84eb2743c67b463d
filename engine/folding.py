"""Fold histories under a rule book: the one way from facts to states, visits and funnels."""

import numpy as np
from numpy.typing import NDArray

from engine.book import Book
from engine.fold_eras import fold_all
from engine.folded import Folded
from engine.funnels import TouchItems, match, table
from engine.history import Histories
from engine.signals import keep_signals


def fold(histories: Histories, book: Book, as_of: int) -> Folded:
    """What these histories come to at an instant (microseconds, UTC)."""
    eras = book.folded_by(as_of)
    work, rules = fold_all(histories, eras, as_of), eras[-1].rules
    keep_signals(histories, rules, work.signals)
    at = np.ascontiguousarray(histories.touches["occurred_at"])
    items = TouchItems(histories.starts, at, work.signals.view(np.uint64))
    return Folded(
        histories=histories,
        eras=eras,
        as_of=as_of,
        signals=work.signals,
        states=work.states,
        entries=work.entries,
        visits=_by(work.entries, "track"),
        clock_runs=_by(work.runs, "clock"),
        hits=tuple(match(table(rules, f), items, work.entries, as_of) for f in rules.funnels),
    )


def _by(records: NDArray[np.void], field: str) -> NDArray[np.void]:
    """Per lead by track or clock; what came about first stays first."""
    places = records["lead"].astype(np.int64) * int(records[field].max(initial=0) + 1)
    return records.take(np.argsort(places + records[field], kind="stable"))
