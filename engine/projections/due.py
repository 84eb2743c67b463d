"""When a lead must be derived again though nothing new is known of it."""

import numpy as np
import polars as pl
from sqlalchemy import BigInteger, Column, Index, MetaData, Table

from engine.folded import Folded
from engine.history import NEVER
from engine.projections.columns import NUMBER, rows_of

table = Table(
    "due",
    MetaData(),
    Column("lead", NUMBER, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False, comment="microseconds, UTC"),
    Index("due_at", "at"),
)


def derive(folded: Folded) -> pl.DataFrame:
    """One row per lead that time alone will change, one without touchpoints yet included."""
    due = folded.states["next_due"]
    leads = np.flatnonzero(due != NEVER)
    return rows_of(table, {"lead": pl.Series(leads), "at": pl.Series(due[leads])})
