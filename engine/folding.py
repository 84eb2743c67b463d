"""Fold histories under a rule book: the one way from facts to states, visits and funnels."""

import numpy as np

from engine.book import Book
from engine.fold_eras import fold_all
from engine.folded import Folded
from engine.funnels import TouchItems, match, table
from engine.history import Histories
from engine.signals import signals_of


def fold(histories: Histories, book: Book, as_of: int) -> Folded:
    """What these histories come to at an instant (microseconds, UTC)."""
    eras = book.folded_by(as_of)
    work, rules = fold_all(histories, eras, as_of), eras[-1].rules
    signals = signals_of(histories, rules)
    items = TouchItems(histories.starts, histories.occurred_at, signals.view(np.uint64))
    return Folded(
        histories=histories,
        eras=eras,
        as_of=as_of,
        signals=signals,
        states=work.states,
        entries=work.entries,
        runs=work.runs,
        hits=tuple(match(table(rules, f), items, work.entries, as_of) for f in rules.funnels),
    )
