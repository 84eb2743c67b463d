"""Leads one by one: those that match, the latest heard of first."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.decay import scores_at
from engine.errors import UnknownName
from engine.instants import format_instant
from engine.projections.leads import SCORES, STAGES
from engine.projections.projection import LEADS, Frames
from engine.ruleset import RuleSet
from engine.segments import Standing, members

NEEDS = (LEADS,)
NO_STAGE = "none"


@dataclass(frozen=True)
class Filters:
    """Which leads to list; what is None does not ask."""

    stage: str | None = None  # track.stage or track.none
    owner: str | None = None
    segment: str | None = None
    search: str | None = None  # how a lead id begins, or a whole event id at either end


def report(
    frames: Frames, filters: Filters | None = None, limit: int | None = 50
) -> dict[str, Any]:
    """How many leads match, and the first of them, as a document.

    Raises:
        UnknownName: The rule set has no such stage or segment.
    """
    rules, leads = frames.rules, frames[LEADS]
    wanted = _chosen(leads, filters or Filters(), rules)
    if filters and filters.segment:
        wanted &= pl.Series(_in_segment(leads, frames, filters.segment))
    matching = leads.filter(wanted).sort(["last_at", "id"], descending=[True, False])
    listed = matching if limit is None else matching.head(min(limit, matching.height))
    return {
        "as_of": format_instant(frames.as_of),
        "count": len(matching),
        "leads": _documents(listed, frames),
    }


def _chosen(leads: pl.DataFrame, filters: Filters, rules: RuleSet) -> pl.Series:
    conditions = [pl.lit(True)]
    if filters.stage is not None:
        conditions.append(_in_stage(filters.stage, rules))
    if filters.owner is not None:
        conditions.append(pl.col("owner").eq_missing(pl.lit(filters.owner)))
    if filters.search is not None:
        conditions.append(
            pl.col("id").str.starts_with(filters.search)
            | (pl.col("first_event_id") == filters.search)
            | (pl.col("last_event_id") == filters.search)
        )
    matches = pl.all_horizontal(conditions)
    return leads.select(pl.repeat(True, pl.len()) & matches).to_series()


def _in_stage(wanted: str, rules: RuleSet) -> pl.Expr:
    known = {
        f"{track.name}.{stage}": (index, stage)
        for index, track in enumerate(rules.tracks)
        for stage in (*(stage.name for stage in track.stages), NO_STAGE)
    }
    if wanted not in known:
        raise UnknownName("stage", wanted, known)
    track, stage = known[wanted]
    column = pl.col(STAGES[track])
    return column.is_null() if stage == NO_STAGE else column.eq_missing(pl.lit(stage))


def _in_segment(leads: pl.DataFrame, frames: Frames, wanted: str) -> NDArray[np.bool_]:
    names = [segment.name for segment in frames.rules.segments]
    if wanted not in names:
        raise UnknownName("segment", wanted, names)
    standing = _standing(leads, frames)
    return members(standing, frames.rules, frames.as_of)[:, names.index(wanted)]


def _standing(leads: pl.DataFrame, frames: Frames) -> Standing:
    """What segments ask of leads, from their rows."""
    rules, last_at = frames.rules, leads["last_at"].to_numpy()
    scored_at = np.maximum(last_at, frames.book.boundary(frames.as_of))
    scores = np.zeros((len(leads), len(rules.scores)), np.int64)
    for index in range(len(rules.scores)):
        scores[:, index] = leads[SCORES[index]].to_numpy()
    return Standing(
        seen=leads["seen"].to_numpy(),
        scores=scores_at(scores, scored_at, rules, frames.as_of),
        stages=_stages(leads, rules),
        last_at=last_at,
        first_channel=_texts(leads["first_channel"]),
        last_channel=_texts(leads["last_channel"]),
        has_owner=leads["owner"].is_not_null().to_numpy(),
        value_minor=leads["value_minor"].fill_null(0).to_numpy(),
        value_currency=_texts(leads["value_currency"].fill_null("")),
    )


def _stages(leads: pl.DataFrame, rules: RuleSet) -> NDArray[np.int32]:
    """By lead and track, the index of the stage; -1 for none."""
    stages = np.full((len(leads), max(len(rules.tracks), 1)), -1, np.int32)
    for index, track in enumerate(rules.tracks):
        order = pl.Enum([stage.name for stage in track.stages])
        at = leads[STAGES[index]].cast(order).to_physical().cast(pl.Int32)
        stages[:, index] = at.fill_null(-1).to_numpy()
    return stages


def _texts(column: pl.Series) -> NDArray[np.object_]:
    return np.array(column.to_list(), np.object_)


def _documents(leads: pl.DataFrame, frames: Frames) -> list[dict[str, Any]]:
    rules = frames.rules
    standing = _standing(leads, frames)
    segments = members(standing, rules, frames.as_of)
    names = [segment.name for segment in rules.segments]
    return [
        {
            "lead": row["id"],
            "first": {"source": row["first_source"], "event_id": row["first_event_id"]},
            "last": {"source": row["last_source"], "event_id": row["last_event_id"]},
            "first_at": format_instant(row["first_at"]),
            "last_at": format_instant(row["last_at"]),
            "touchpoints": row["touchpoints"],
            "channel": row["first_channel"],
            "scores": {
                score.name: int(points)
                for score, points in zip(rules.scores, standing.scores[at], strict=False)
            },
            "stages": {t.name: row[s] for t, s in zip(rules.tracks, STAGES, strict=False)},
            "owner": row["owner"],
            "value": _money(row),
            "segments": sorted(n for n, inside in zip(names, segments[at], strict=False) if inside),
        }
        for at, row in enumerate(leads.iter_rows(named=True))
    ]


def _money(row: dict[str, Any]) -> dict[str, Any] | None:
    if row["value_currency"] is None:
        return None
    return {"minor": row["value_minor"], "currency": row["value_currency"]}
