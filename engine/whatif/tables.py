"""What funnels and pipelines are reported from, of many leads in little memory.

The read models have more columns, for breakdowns and for looking into a single lead; and
visits are boiled down here to how each lead fared on a track. Of each set of leads there are
plain columns, since many small frames cost more than what is in them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.folded import FUNNEL_HIT, Folded
from engine.history import NEVER, Strings
from engine.projections.columns import instants, picked
from engine.ruleset import RuleSet, Stage

_KINDS = ("open", "won", "lost", "parked")  # of stages
_WON, _LOST, _PARKED = 1, 2, 3
Columns = Mapping[str, NDArray[Any]]


class Brief(NamedTuple):
    """Some leads, in brief: words as numbers, and NEVER where an instant never came."""

    leads: Columns  # lead, first_at, value_minor, value_currency (dictionary id; 0: no value)
    funnel: Columns  # as the read model has it, but for funnel: index; reached_at: the last
    journeys: Sequence[Columns]  # by track: its leads; stage, since, visited, outcome, won_at, ...


class Whole(NamedTuple):
    """All leads, as reports take them."""

    leads: pl.DataFrame  # lead, first_at, value_minor, value_currency
    funnel: pl.DataFrame  # as the read model has it, but for reached_at: the last instant
    journeys: dict[str, pl.DataFrame]  # by track, as engine/reports/pipeline.py takes them


def brief(folded: Folded) -> Brief:
    """What reports are made from, where nothing is broken down."""
    none = np.zeros(0, FUNNEL_HIT)  # so that there are columns where there is no funnel
    return Brief(
        _leads(folded, np.flatnonzero(folded.states["touchpoints"])),
        _joined([_attempts(at, hits, folded) for at, hits in enumerate((*folded.hits, none))]),
        [
            _journeys(folded, number, track.stages)
            for number, track in enumerate(folded.rules.tracks)
        ],
    )


def whole(parts: Sequence[Brief], rules: RuleSet, strings: Strings) -> Whole:
    """Several sets of leads as one, in words.

    Args:
        rules: Those in force when they were folded.
        strings: The dictionary of all of them.
    """
    names = [funnel.name for funnel in rules.funnels]
    attempts = _joined([part.funnel for part in parts])
    open_until = pl.Series(attempts["open_until"])
    journeys = {
        track.name: _joined([part.journeys[number] for part in parts])
        for number, track in enumerate(rules.tracks)
    }
    return Whole(
        pl.DataFrame(_in_words(_joined([part.leads for part in parts]), strings)),
        pl.DataFrame(
            {
                **attempts,
                "funnel": pl.Series(names, dtype=pl.Enum(names)).gather(attempts["funnel"]),
                "reached_at": instants(attempts["reached_at"]),
                "open_until": open_until.set(open_until == 0, None),
            }
        ),
        {
            name: pl.DataFrame(
                {
                    **_in_words(columns, strings),
                    "outcome": picked(_KINDS, columns["outcome"]),
                    "won_at": instants(columns["won_at"]),
                    "lost_at": instants(columns["lost_at"]),
                }
            )
            for name, columns in journeys.items()
        },
    )


def _joined(parts: Sequence[Columns]) -> dict[str, NDArray[Any]]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _in_words(columns: Columns, strings: Strings) -> dict[str, Any]:
    """Columns with values and currencies as read models have them; null for none."""
    distinct, at = np.unique(columns["value_currency"], return_inverse=True)
    words = [text or None for text in strings.texts(distinct.tolist())]
    value = pl.Series(columns["value_minor"])
    return {
        **columns,
        "value_minor": value.set(pl.Series(columns["value_currency"] == 0), None),
        "value_currency": pl.Series(words, dtype=pl.Categorical).gather(at),
    }


def _leads(folded: Folded, leads: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """What pipelines ask of some leads."""
    states = folded.states
    return {
        "lead": folded.histories.numbers[leads],
        "first_at": states["first_at"][leads],
        "value_minor": states["value_minor"][leads],
        "value_currency": states["value_currency"][leads],
    }


def _journeys(folded: Folded, track: int, stages: Sequence[Stage]) -> Columns:
    """Where each lead that ever was in a track stands, where it was and how it ended."""
    own = np.flatnonzero(folded.visits["track"] == track)
    lead, stage, entered = (folded.visits[name][own] for name in ("lead", "stage", "entered"))
    begins = np.flatnonzero(np.diff(lead, prepend=-1))
    ends = np.append(begins, len(own))[1:] - 1
    kind = np.array([_KINDS.index(stage.kind) for stage in stages], np.int8)[stage]
    last = _reduced(np.maximum, np.where(kind != _PARKED, np.arange(len(own)), -1), begins)
    return {
        **_leads(folded, lead[ends]),
        "stage": stage[ends].astype(np.int64),
        "since": entered[ends],
        "visited": _reduced(np.bitwise_or, np.int64(1) << stage.astype(np.int64), begins),
        "outcome": np.where(last < 0, -1, kind[last]),
        "won_at": _first(entered, kind == _WON, begins),
        "lost_at": _first(entered, kind == _LOST, begins),
    }


def _reduced(
    how: np.ufunc, values: NDArray[np.int64], begins: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Each group as one value; no group is empty."""
    reduced: NDArray[np.int64] = how.reduceat(values, begins) if len(begins) else values
    return reduced


def _first(
    entered: NDArray[np.int64], which: NDArray[np.bool_], begins: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The first instant of those meant in each group."""
    return _reduced(np.minimum, np.where(which, entered, NEVER), begins)


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
