"""A read model: a table, and how its rows come from folded histories."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sqlalchemy import Table

from engine.book import Book
from engine.folded import Folded
from engine.projections import clock_runs, due, funnel, leads, stage_visits
from engine.ruleset import RuleSet


@dataclass(frozen=True)
class Projection:
    """A table whose first column is the lead, and the pure function that derives its rows."""

    table: Table
    derive: Callable[[Folded], pl.DataFrame]

    @property
    def name(self) -> str:
        """What the read model is called."""
        return self.table.name


LEADS = Projection(leads.table, leads.derive)
STAGE_VISITS = Projection(stage_visits.table, stage_visits.derive)
CLOCK_RUNS = Projection(clock_runs.table, clock_runs.derive)
FUNNEL = Projection(funnel.table, funnel.derive)
DUE = Projection(due.table, due.derive)
READ_MODELS = (LEADS, STAGE_VISITS, CLOCK_RUNS, FUNNEL)
PROJECTIONS = (*READ_MODELS, DUE)  # what is stored
Tables = Mapping[str, pl.DataFrame]  # by name of the projection


@dataclass(frozen=True)
class Frames:
    """Read models as frames, all of one instant: what reports are made from."""

    book: Book
    as_of: int  # microseconds, UTC
    tables: Tables

    @property
    def rules(self) -> RuleSet:
        """The rule set in force then, which says what is asked."""
        return self.book.at(self.as_of)

    def __getitem__(self, projection: Projection) -> pl.DataFrame:
        """The rows of one read model."""
        return self.tables[projection.name]


def derived(
    folded: Folded, numbers: NDArray[np.int64], projections: tuple[Projection, ...] = PROJECTIONS
) -> Tables:
    """The rows of some projections; `numbers` are those of the leads of the histories."""
    return {
        projection.name: _numbered(projection.derive(folded), numbers) for projection in projections
    }


def _numbered(rows: pl.DataFrame, numbers: NDArray[np.int64]) -> pl.DataFrame:
    return rows.with_columns(lead=pl.Series(numbers[rows["lead"].to_numpy()], dtype=pl.Int64))
