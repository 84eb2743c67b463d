"""Stays of leads in stages: the base of everything that is said about a pipeline."""

import numpy as np
import polars as pl
from sqlalchemy import BigInteger, Column, Integer, MetaData, Table

from engine.folded import DIRECTIONS, Folded
from engine.projections.columns import (
    NUMBER,
    TEXT,
    counted,
    event_ids,
    instants,
    picked,
    rows_of,
    texts,
)

table = Table(
    "stage_visits",
    MetaData(),
    Column("lead", NUMBER, primary_key=True),
    Column("track", TEXT, primary_key=True),
    Column("number", Integer, primary_key=True, comment="from 1, over all stages of the track"),
    Column("stage", TEXT, nullable=False),
    Column("visit", Integer, nullable=False, comment="from 1, in this stage"),
    Column("entered_at", BigInteger, nullable=False, comment="microseconds, UTC"),
    Column("left_at", BigInteger, comment="null while open"),
    Column("cause_source", TEXT, comment="of the touchpoint; null if a timed move did it"),
    Column("cause_event_id", TEXT),
    Column("move", Integer, comment="the timed move that did it, from 1 in the track; else null"),
    Column("direction", TEXT, nullable=False, comment="enter, advance or fall"),
    Column("skipped", Integer, nullable=False, comment="open stages passed over in advancing"),
    sqlite_with_rowid=False,
)


def derive(folded: Folded) -> pl.DataFrame:
    """One row per stay of a lead in a stage; `lead` is the index among the histories."""
    visits = folded.visits
    timed = pl.Series(visits["move"] > 0)
    source, event_id = _causes(folded)
    return rows_of(
        table,
        {
            "lead": pl.Series(visits["lead"]),
            "track": picked([track.name for track in folded.rules.tracks], visits["track"]),
            "number": pl.Series(counted(visits["lead"], visits["track"])),
            "stage": _stages(folded),
            "visit": pl.Series(visits["visit"]),
            "entered_at": pl.Series(visits["entered"]),
            "left_at": instants(visits["left"]),
            "cause_source": source.set(timed, None),
            "cause_event_id": event_id.set(timed, None),
            "move": pl.Series(visits["move"]).set(~timed, None),
            "direction": picked(DIRECTIONS, visits["direction"]),
            "skipped": pl.Series(visits["skipped"]),
        },
    )


def _stages(folded: Folded) -> pl.Series:
    tracks = folded.rules.tracks
    names = [stage.name for track in tracks for stage in track.stages]
    offsets = np.cumsum([0, *(len(track.stages) for track in tracks)])
    return picked(names, offsets[folded.visits["track"]] + folded.visits["stage"])


def _causes(folded: Folded) -> tuple[pl.Series, pl.Series]:
    """Source and event id of the touch applied last when the stage was entered."""
    histories, after = folded.histories, folded.visits["after"]
    return (
        texts(histories.strings, histories.touches["source"][after]),
        event_ids(histories, after),
    )
