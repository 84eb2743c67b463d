"""How far leads got in every funnel, attempt by attempt where attempts are counted."""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sqlalchemy import BigInteger, Boolean, Column, Integer, MetaData, Table

from engine.folded import Folded
from engine.projections.columns import NUMBER, TEXT, counted, rows_of, schema

table = Table(
    "funnel",
    MetaData(),
    Column("lead", NUMBER, primary_key=True),
    Column("funnel", TEXT, primary_key=True),
    Column("attempt", Integer, primary_key=True, comment="from 1; more only where each counts"),
    Column("entered_at", BigInteger, nullable=False, comment="microseconds, UTC"),
    Column("depth", Integer, nullable=False, comment="steps reached; 0 where excluded"),
    Column("reached_at", TEXT, nullable=False, comment="JSON: instants of the steps reached"),
    Column("excluded", Boolean, nullable=False),
    Column("open_until", BigInteger, comment="open before this instant; null: not open at all"),
    sqlite_with_rowid=False,
)


def derive(folded: Folded) -> pl.DataFrame:
    """One row per attempt that counts; `lead` is the index among the histories."""
    nothing = rows_of(table, {name: pl.Series() for name in schema(table)})
    attempts = [
        _attempts(funnel.name, hits)
        for funnel, hits in zip(folded.rules.funnels, folded.hits, strict=True)
    ]
    return pl.concat([nothing, *attempts])


def _attempts(name: str, hits: NDArray[np.void]) -> pl.DataFrame:
    open_until = pl.Series(hits["open_until"])
    return rows_of(
        table,
        {
            "lead": pl.Series(hits["lead"]),
            "funnel": pl.repeat(name, len(hits), eager=True),
            "attempt": pl.Series(counted(hits["lead"])),
            "entered_at": pl.Series(hits["entered"]),
            "depth": pl.Series(hits["depth"]),
            "reached_at": _reached(hits),
            "excluded": pl.Series(hits["excluded"]),
            "open_until": open_until.set(open_until == 0, None),
        },
    )


def _reached(hits: NDArray[np.void]) -> pl.Series:
    """The instants of the steps reached, as JSON arrays."""
    depth = pl.Series(hits["depth"])
    instants = pl.DataFrame({"reached": np.ascontiguousarray(hits["reached"]), "depth": depth})
    listed = pl.col("reached").arr.to_list().list.head(pl.col("depth")).cast(pl.List(pl.String))
    return instants.select(pl.format("[{}]", listed.list.join(","))).to_series()
