"""What funnels and pipelines are reported from, of many leads in little memory.

The read models have more columns, for breakdowns and for looking into a single lead; and
visits are boiled down here to how each lead fared on a track.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.folded import FUNNEL_HIT, Folded
from engine.history import Strings
from engine.projections.columns import picked
from engine.ruleset import Stage

_KINDS = ("open", "won", "lost", "parked")  # of stages
_WON, _LOST, _PARKED = 1, 2, 3
_LATE = np.iinfo(np.int64).max


class Brief(NamedTuple):
    """Some leads, in brief."""

    leads: pl.DataFrame  # lead, first_at, value_minor, value_currency
    funnel: pl.DataFrame  # as the read model has it, but for reached_at: the last instant
    journeys: dict[str, pl.DataFrame]  # by track, as engine/reports/pipeline.py takes them


def brief(folded: Folded) -> Brief:
    """What reports are made from, where nothing is broken down."""
    journeys = {
        track.name: _journeys(folded, number, track.stages)
        for number, track in enumerate(folded.rules.tracks)
    }
    leads = _leads(folded, np.flatnonzero(folded.states["touchpoints"]))
    return Brief(leads, _funnels(folded), journeys)


def joined(parts: Sequence[Brief]) -> Brief:
    """Several sets of leads as one."""
    return Brief(
        pl.concat([one.leads for one in parts]),
        pl.concat([one.funnel for one in parts]),
        {track: pl.concat([one.journeys[track] for one in parts]) for track in parts[0].journeys},
    )


def _leads(folded: Folded, leads: NDArray[np.int64]) -> pl.DataFrame:
    """What pipelines ask of some leads."""
    states = folded.states.take(leads)
    currency = states["value_currency"]
    return pl.DataFrame(
        {
            "lead": folded.histories.numbers[leads],
            "first_at": np.ascontiguousarray(states["first_at"]),
            "value_minor": pl.Series(states["value_minor"]).set(pl.Series(currency == 0), None),
            "value_currency": _texts(folded.histories.strings, currency),
        }
    )


def _texts(strings: Strings, ids: NDArray[np.int32]) -> pl.Series:
    """Texts that are few; null for 0."""
    distinct = np.unique(ids)
    words = [text or None for text in strings.texts(distinct.tolist())]
    return pl.Series(words, dtype=pl.Categorical).gather(np.searchsorted(distinct, ids))


def _journeys(folded: Folded, track: int, stages: Sequence[Stage]) -> pl.DataFrame:
    """Where each lead that ever was in a track stands, where it was and how it ended."""
    visits = folded.visits.take(np.flatnonzero(folded.visits["track"] == track))
    entered, rows = np.ascontiguousarray(visits["entered"]), np.arange(len(visits))
    begins = np.flatnonzero(np.diff(visits["lead"], prepend=-1))
    ends = np.append(begins, len(visits))[1:] - 1
    kinds = np.array([_KINDS.index(stage.kind) for stage in stages], np.int64)
    kind = kinds[visits["stage"]]
    last = _reduced(np.maximum, np.where(kind != _PARKED, rows, -1), begins)
    return _leads(folded, visits["lead"][ends]).hstack(
        pl.DataFrame(
            {
                "stage": visits["stage"][ends].astype(np.int64),
                "since": entered[ends],
                "visited": _reduced(np.bitwise_or, np.int64(1) << visits["stage"], begins),
                "outcome": picked(_KINDS, np.where(last < 0, -1, kind[last])),
                "won_at": _first(entered, kind == _WON, begins),
                "lost_at": _first(entered, kind == _LOST, begins),
            }
        )
    )


def _reduced(
    how: np.ufunc, values: NDArray[np.int64], begins: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Each group as one value; no group is empty."""
    reduced: NDArray[np.int64] = how.reduceat(values, begins) if len(begins) else values
    return reduced


def _first(
    entered: NDArray[np.int64], which: NDArray[np.bool_], begins: NDArray[np.int64]
) -> pl.Series:
    """The first instant of those meant in each group; null where there is none."""
    first = pl.Series(_reduced(np.minimum, np.where(which, entered, _LATE), begins))
    return first.set(first == _LATE, None)


def _funnels(folded: Folded) -> pl.DataFrame:
    """A row per attempt; of the steps reached the last alone says when."""
    names = [funnel.name for funnel in folded.rules.funnels]
    none = _attempts(0, np.zeros(0, FUNNEL_HIT), names, folded)
    attempts = (_attempts(at, hits, names, folded) for at, hits in enumerate(folded.hits))
    return pl.concat([none, *attempts])


def _attempts(
    funnel: int, hits: NDArray[np.void], names: list[str], folded: Folded
) -> pl.DataFrame:
    depth, rows = hits["depth"], np.arange(len(hits))
    last = pl.Series(hits["reached"][rows, np.maximum(depth, 1) - 1], dtype=pl.Int64)
    open_until = pl.Series(hits["open_until"], dtype=pl.Int64)
    return pl.DataFrame(
        {
            "lead": folded.histories.numbers[hits["lead"]],
            "funnel": pl.Series(names, dtype=pl.Enum(names)).gather(np.full(len(hits), funnel)),
            "entered_at": np.ascontiguousarray(hits["entered"]),
            "depth": np.ascontiguousarray(depth),
            "reached_at": last.set(pl.Series(depth == 0), None),
            "excluded": hits["excluded"] != 0,
            "open_until": open_until.set(open_until == 0, None),
        }
    )
