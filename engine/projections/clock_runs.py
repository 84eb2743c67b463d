"""Promises kept and broken: the runs of every clock."""

import polars as pl
from sqlalchemy import BigInteger, Column, Integer, MetaData, Table

from engine.folded import OUTCOMES, Folded
from engine.projections.columns import NUMBER, TEXT, counted, instants, picked, rows_of

table = Table(
    "clock_runs",
    MetaData(),
    Column("lead", NUMBER, primary_key=True),
    Column("clock", TEXT, primary_key=True),
    Column("number", Integer, primary_key=True, comment="from 1, by start"),
    Column("started_at", BigInteger, nullable=False, comment="microseconds, UTC"),
    Column("due_at", BigInteger, nullable=False, comment="an open run is breached after it"),
    Column("ended_at", BigInteger, comment="when it was stopped or cancelled; null while open"),
    Column("outcome", TEXT, nullable=False, comment="open, met, late, cancelled, breached"),
    sqlite_with_rowid=False,
)


def derive(folded: Folded) -> pl.DataFrame:
    """One row per run of a clock; `lead` is the index among the histories."""
    runs = folded.clock_runs
    return rows_of(
        table,
        {
            "lead": pl.Series(runs["lead"]),
            "clock": picked([clock.name for clock in folded.rules.clocks], runs["clock"]),
            "number": pl.Series(counted(runs["lead"], runs["clock"])),
            "started_at": pl.Series(runs["started"]),
            "due_at": pl.Series(runs["due"]),
            "ended_at": instants(runs["ended"]),
            "outcome": picked(OUTCOMES, runs["outcome"]),
        },
    )
