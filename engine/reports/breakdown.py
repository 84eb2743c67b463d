"""Breakdowns: which bucket each lead falls into, by one or two things known of it.

Leads are matched first and bucketed after, so buckets of one value a lead add
up to the total. What is missing is `(none)`; what is beyond the largest
buckets of a dimension is `(other)`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.errors import BadBreakdown
from engine.nearest import guess
from engine.reports.times import local
from engine.touchpoint import CAMPAIGN_FIELDS

NONE, OTHER = "(none)", "(other)"
TOP = 50
_COLUMNS = {"source": "first_source", "channel": "first_channel", "owner": "owner"}
_KNOWN = (*_COLUMNS, "month", *(f"campaign.{name}" for name in CAMPAIGN_FIELDS))


@dataclass(frozen=True)
class By:
    """What to break a report down by: one or two dimensions, and how many values of each."""

    dimensions: Sequence[str] = ()  # source, channel, owner, month, campaign.X, attributes.X
    top: int = TOP

    def __post_init__(self) -> None:
        if len(set(self.dimensions)) < len(self.dimensions) or len(self.dimensions) > 2:
            raise BadBreakdown(f"a report cannot be broken down by {', '.join(self.dimensions)}")
        if self.top < 1:
            raise BadBreakdown(f"a breakdown into {self.top} values shows nothing")
        for dimension in self.dimensions:
            _check(dimension)


@dataclass(frozen=True)
class Bucket:
    """Rows that agree in all dimensions."""

    by: Mapping[str, str]
    rows: NDArray[np.int64]  # indexes


def buckets(of: pl.Series, leads: pl.DataFrame, by: By, zone: str) -> list[Bucket]:
    """Rows, of which `of` has the lead, by bucket: the largest values first, the rest at the end.

    No dimension gives no bucket.
    """
    if not by.dimensions:
        return []
    chosen = leads.join(of.unique().to_frame("lead"), on="lead", how="semi")
    ranks = {
        dimension: _ranked(_values(chosen, dimension, zone), by.top) for dimension in by.dimensions
    }
    named = pl.DataFrame({"lead": chosen["lead"], **{d: ranks[d][0] for d in by.dimensions}})
    rows = of.to_frame("lead").join(named, on="lead", how="left", maintain_order="left")
    groups = rows.with_row_index("row").group_by(by.dimensions).agg("row").sort(by.dimensions)
    return [
        Bucket(
            {d: ranks[d][1][rank] for d, rank in zip(by.dimensions, key, strict=True)},
            np.array(indexes, np.int64),
        )
        for *key, indexes in groups.iter_rows()
    ]


def _check(dimension: str) -> None:
    kind, _, name = dimension.partition(".")
    if dimension not in _KNOWN and not (kind == "attributes" and name):
        raise BadBreakdown(f"leads are not known by {dimension!r}", guess(dimension, _KNOWN))


def _values(leads: pl.DataFrame, dimension: str, zone: str) -> pl.Series:
    """What each lead is known by; null where it is not."""
    if dimension == "month":
        return local(leads["first_at"], zone).dt.strftime("%Y-%m")
    if dimension in _COLUMNS:
        return leads[_COLUMNS[dimension]]
    said = leads["first_values"].str.json_decode(pl.Struct({dimension: pl.String}))
    return said.struct.field(dimension)


def _ranked(values: pl.Series, top: int) -> tuple[pl.Series, list[str]]:
    """The rank of each value and the words of the ranks; `(other)` and `(none)` come last.

    A value that is itself called so goes with its namesakes.
    """
    values = values.replace(NONE, None).rename("value")
    sizes = values.filter(values != OTHER).value_counts(name="n")
    largest = (
        sizes.sort(["n", "value"], descending=[True, False])["value"]
        .head(min(top, len(sizes)))
        .to_list()
    )
    other, none = len(largest), len(largest) + 1
    ranks = values.fill_null(NONE).replace_strict(
        [*largest, NONE], [*range(len(largest)), none], default=other, return_dtype=pl.Int64
    )
    return ranks, [*largest, OTHER, NONE]
