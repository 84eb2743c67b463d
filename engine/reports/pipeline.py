"""A pipeline: how many leads and how much money stand in each stage, and how it ends.

A lead is won (lost) where the last stage that it entered, parked ones aside, is
a won (lost) one; back in an open stage it is neither. Money of different
currencies is never added.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.instants import format_instant
from engine.projections.projection import LEADS, STAGE_VISITS, Frames
from engine.reports.breakdown import By, buckets
from engine.reports.times import Spans, spans, statistics
from engine.ruleset import Stage, Track

NEEDS = (LEADS, STAGE_VISITS)
OF_LEAD = ("lead", "first_at", "value_minor", "value_currency")  # columns that journeys go with
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Cases:
    """Leads that ever were in a track, one each."""

    track: Track
    leads: pl.Series  # numbers
    stage: NDArray[np.integer]  # where they stand: index
    visited: NDArray[np.integer]  # bit i: was in stage i
    age: Spans  # in the stage where they stand
    won: Flags
    lost: Flags
    cycle: Spans  # first touch to the first won (lost) stage; of no meaning where neither
    value: NDArray[np.int64]  # minor units
    currency: pl.Series  # null: no value

    def of(self, rows: NDArray[np.int64]) -> "Cases":
        """Some of them."""
        return Cases(
            self.track,
            self.leads.gather(rows),
            self.stage[rows],
            self.visited[rows],
            self.age[rows],
            self.won[rows],
            self.lost[rows],
            self.cycle[rows],
            self.value[rows],
            self.currency.gather(rows),
        )


def report(
    frames: Frames, by: By | None = None, known: Mapping[str, pl.DataFrame] | None = None
) -> dict[str, Any]:
    """Every track, stage by stage, as a document; with buckets if it is to be broken down.

    Args:
        known: The journeys by track, where they are known: then no visits are looked at.
    """
    known = known or {
        track.name: journeys(frames[STAGE_VISITS], track).join(
            frames[LEADS].select(OF_LEAD), "lead"
        )
        for track in frames.rules.tracks
    }
    return {
        "as_of": format_instant(frames.as_of),
        "leads": len(frames[LEADS]),
        "tracks": [
            _track(_cases(known[track.name], frames, track), frames, by or By())
            for track in frames.rules.tracks
        ],
    }


def _track(cases: Cases, frames: Frames, by: By) -> dict[str, Any]:
    found = buckets(cases.leads, frames[LEADS], by, frames.rules.zone)
    return {
        "track": cases.track.name,
        "label": dict(cases.track.label),
        **_figures(cases),
        "buckets": [{"by": dict(b.by), **_figures(cases.of(b.rows))} for b in found],
    }


def _figures(cases: Cases) -> dict[str, Any]:
    everyone = np.ones(len(cases.leads), np.bool_)
    return {
        "stages": [_stage(cases, at, value) for at, value in enumerate(_values(cases))],
        **_ends(cases, everyone),
        "time_to_lost": statistics(cases.cycle[cases.lost]),
    }


def _stage(cases: Cases, at: int, value: dict[str, int]) -> dict[str, Any]:
    """Who stands in a stage, with what value, and how it ended for all who ever were in it."""
    stage = cases.track.stages[at]
    here = cases.stage == at
    return {
        "stage": stage.name,
        "label": dict(stage.label),
        "kind": stage.kind,
        "count": int(np.count_nonzero(here)),
        "value": value,
        "weighted": _weighted(value, stage),
        "age": statistics(cases.age[here]),
        **_ends(cases, (cases.visited >> at & 1).astype(np.bool_)),
    }


def _ends(cases: Cases, which: Flags) -> dict[str, Any]:
    winners = cases.won & which
    won, lost = (int(np.count_nonzero(some)) for some in (winners, cases.lost & which))
    return {
        "won": won,
        "lost": lost,
        "win_rate": won / (won + lost) if won + lost else None,
        "time_to_won": statistics(cases.cycle[winners]),
    }


def _values(cases: Cases) -> list[dict[str, int]]:
    """By stage: what the leads that stand there are worth, in minor units by currency."""
    amounts = pl.DataFrame({"at": cases.stage, "currency": cases.currency, "minor": cases.value})
    sums = (
        amounts.drop_nulls("currency")
        .group_by("at", "currency")
        .agg(pl.col("minor").cast(pl.Int128).sum())
        .cast({"currency": pl.String})
        .sort("currency")
    )
    values: list[dict[str, int]] = [{} for _ in cases.track.stages]
    for at, currency, minor in sums.iter_rows():
        values[at][currency] = minor
    return values


def _weighted(value: dict[str, int], stage: Stage) -> dict[str, int] | None:
    """Value times the chance to win it, in whole minor units; null where no chance is given.

    Unless it is, what is won counts in full and what is lost not at all.
    """
    chance = stage.probability
    if chance is None:
        chance = {"won": 1.0, "lost": 0.0}.get(stage.kind)
    if chance is None:
        return None
    return {currency: round(minor * Decimal(str(chance))) for currency, minor in value.items()}


def _cases(rows: pl.DataFrame, frames: Frames, track: Track) -> Cases:
    zone, won, lost = frames.rules.zone, rows["won"].to_numpy(), rows["lost"].to_numpy()
    return Cases(
        track=track,
        leads=rows["lead"],
        stage=rows["stage"].to_numpy(),
        visited=rows["visited"].to_numpy(),
        age=spans(rows["since"], pl.Series([frames.as_of]), zone, np.ones(len(rows), np.bool_)),
        won=won,
        lost=lost,
        cycle=spans(rows["first_at"], rows["ended_at"], zone, won | lost),
        value=rows["value_minor"].fill_null(0).to_numpy(),
        currency=rows["value_currency"],
    )


def journeys(visits: pl.DataFrame, track: Track) -> pl.DataFrame:
    """Per lead that ever was in a track: where it stands, where it was and how it ended.

    Columns: lead, stage (index), since, visited (bits), won, lost, ended_at (when it first was
    in a stage of the kind that it ended in; null where it did not).
    """
    names = [stage.name for stage in track.stages]
    stay = pl.col("entered_at")
    return (
        visits.lazy()
        .filter(pl.col("track") == track.name)
        .sort("lead", "number")
        .with_columns(
            stage=pl.col("stage").replace_strict(names, range(len(names)), return_dtype=pl.Int64),
            kind=pl.col("stage").replace_strict(names, [stage.kind for stage in track.stages]),
            bit=pl.col("stage").replace_strict(names, [1 << i for i in range(len(names))]),
        )
        .group_by("lead", maintain_order=True)
        .agg(
            stage=pl.col("stage").last(),
            since=stay.last(),
            visited=pl.col("bit").bitwise_or(),
            outcome=pl.col("kind").filter(pl.col("kind") != "parked").last().fill_null(""),
            won_at=stay.filter(pl.col("kind") == "won").first(),
            lost_at=stay.filter(pl.col("kind") == "lost").first(),
        )
        .with_columns(won=pl.col("outcome") == "won", lost=pl.col("outcome") == "lost")
        .with_columns(ended_at=pl.when("won").then("won_at").when("lost").then("lost_at"))
        .drop("outcome", "won_at", "lost_at")
        .collect()
    )
