"""What funnels and pipelines are reported from, of many leads in little memory.

The read models have more columns, for breakdowns and for looking into a single lead; and
visits are boiled down here to how each lead fared on a track. Sets of leads are put together
as they come, since many small pieces of memory cost more than what is in them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.folded import FUNNEL_HIT, Folded
from engine.history import NEVER, Strings
from engine.journeys import journeys
from engine.projections.columns import instants, texts
from engine.ruleset import RuleSet

Columns = Mapping[str, NDArray[Any]]


class Brief(NamedTuple):
    """Some leads, in brief: words as numbers, and NEVER where an instant never came."""

    leads: NDArray[np.int64]  # numbers
    funnel: Columns  # as the read model has it, but for funnel: index; reached_at: the last
    journeys: Sequence[Columns]  # by track; value_currency: dictionary id, 0 for no value


class Whole(NamedTuple):
    """All leads, as reports take them."""

    leads: pl.DataFrame  # lead
    funnel: pl.DataFrame  # as the read model has it, but for reached_at: the last instant
    journeys: dict[str, pl.DataFrame]  # by track, as engine/reports/pipeline.py takes them


def brief(folded: Folded) -> Brief:
    """What reports are made from, where nothing is broken down."""
    none = np.zeros(0, FUNNEL_HIT)  # so that there are columns where there is no funnel
    return Brief(
        folded.histories.numbers[folded.states["touchpoints"] > 0],
        _joined([_attempts(at, hits, folded) for at, hits in enumerate((*folded.hits, none))]),
        [_journeys(folded, track) for track in range(len(folded.rules.tracks))],
    )


class Pile:
    """Columns of many sets of rows, each in one piece with room for more; `rows` are expected."""

    def __init__(self, rows: int) -> None:
        self._room = rows
        self._columns: dict[str, NDArray[Any]] = {}
        self.rows = 0

    def add(self, part: Columns) -> None:
        """Put rows behind those that are there."""
        end = self.rows + len(next(iter(part.values())))
        for name, added in part.items():
            column = self._columns.setdefault(name, added[:0])
            if end > len(column):
                larger = np.empty(max(self._room, 2 * end), added.dtype)
                larger[: self.rows] = column[: self.rows]
                column = self._columns[name] = larger
            column[self.rows : end] = added
        self.rows = end

    def columns(self) -> dict[str, NDArray[Any]]:
        """All rows so far."""
        return {name: column[: self.rows] for name, column in self._columns.items()}


class Gathered:
    """Several sets of leads as one.

    Args:
        rules: Those in force when they were folded.
        leads: How many to expect; memory that is asked for at once comes in larger pages.
    """

    def __init__(self, rules: RuleSet, leads: int) -> None:
        self._rules = rules
        self._leads, self._funnel = Pile(leads), Pile(leads)
        self._journeys = [Pile(leads) for _ in rules.tracks]

    @property
    def leads(self) -> int:
        """How many there are."""
        return self._leads.rows

    def add(self, part: Brief) -> None:
        """Put leads behind those that are there."""
        self._leads.add({"lead": part.leads})
        self._funnel.add(part.funnel)
        for pile, columns in zip(self._journeys, part.journeys, strict=True):
            pile.add(columns)

    def whole(self, strings: Strings) -> Whole:
        """All of them, in words; `strings` is the dictionary of all of them."""
        names = [funnel.name for funnel in self._rules.funnels]
        attempts = self._funnel.columns()
        open_until = pl.Series(attempts["open_until"])
        return Whole(
            pl.DataFrame(self._leads.columns()),
            pl.DataFrame(
                {
                    **attempts,
                    "funnel": pl.Series(names, dtype=pl.Enum(names)).gather(attempts["funnel"]),
                    "reached_at": instants(attempts["reached_at"]),
                    "open_until": open_until.set(open_until == 0, None),
                }
            ),
            {
                track.name: _in_words(pile.columns(), strings)
                for track, pile in zip(self._rules.tracks, self._journeys, strict=True)
            },
        )


def _joined(parts: Sequence[Columns]) -> dict[str, NDArray[Any]]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _in_words(columns: Columns, strings: Strings) -> pl.DataFrame:
    """Journeys with currencies as read models have them; null for none."""
    currency = texts(strings, columns["value_currency"], pl.Categorical)
    return pl.DataFrame({**columns, "value_currency": currency})


def _journeys(folded: Folded, track: int) -> Columns:
    """What pipelines ask of each lead that ever was in a track."""
    rows = journeys(folded, track)
    states = folded.states.take(rows["lead"])
    return {
        **{name: rows[name] for name in ("stage", "visited", "since", "won", "lost", "ended_at")},
        "lead": folded.histories.numbers[rows["lead"]],
        "first_at": states["first_at"],
        "value_minor": states["value_minor"],
        "value_currency": states["value_currency"],
    }


def _attempts(funnel: int, hits: NDArray[np.void], folded: Folded) -> Columns:
    """A row per attempt; of the steps reached the last alone says when."""
    depth = hits["depth"].astype(np.int64)
    last = hits["reached"][np.arange(len(hits)), np.maximum(depth, 1) - 1]
    return {
        "lead": folded.histories.numbers[hits["lead"]],
        "funnel": np.full(len(hits), funnel),
        "entered_at": hits["entered"].copy(),
        "depth": depth,
        "reached_at": np.where(depth == 0, NEVER, last),
        "excluded": hits["excluded"] != 0,
        "open_until": hits["open_until"].copy(),
    }
