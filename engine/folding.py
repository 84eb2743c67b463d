"""Fold histories under a rule set: the one way from facts to states, visits and funnels."""

import numpy as np
from numpy.typing import NDArray

from engine.fold import fold_all
from engine.folded import Folded
from engine.funnels import TouchItems, match, table
from engine.history import Histories
from engine.ruleset import RuleSet
from engine.signals import lookups_of
from engine.tables import tables_of


def fold(histories: Histories, rules: RuleSet, as_of: int) -> Folded:
    """What these histories come to at an instant (microseconds, UTC)."""
    lookups = lookups_of(histories, rules)
    states, entries, runs, signals = fold_all(histories, lookups, tables_of(rules), as_of)
    at = np.ascontiguousarray(histories.touches["occurred_at"])
    items = TouchItems(histories.starts, at, signals.view(np.uint64))
    return Folded(
        histories=histories,
        rules=rules,
        as_of=as_of,
        signals=signals,
        states=states,
        entries=entries,
        visits=_by(entries, "track"),
        clock_runs=_by(runs, "clock"),
        hits=tuple(match(table(rules, f), items, entries, as_of) for f in rules.funnels),
    )


def _by(records: NDArray[np.void], field: str) -> NDArray[np.void]:
    """Per lead by track or clock; what came about first stays first."""
    return records[np.lexsort((records[field], records["lead"]))]
