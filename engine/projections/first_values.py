"""What a lead said first: the first value of every campaign field and attribute.

Breakdowns go by these. Values are texts, so that a bucket has one spelling:
whole numbers without a point, truth as true and false.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.folded import Folded
from engine.history import DOUBLE, LONG, STRING, Histories, Strings, ranges
from engine.projections.columns import picked
from engine.touchpoint import CAMPAIGN_FIELDS

EXACT_WHOLE = 2.0**53  # beyond it a double no longer tells neighbours apart


def first_values(folded: Folded) -> pl.Series:
    """For every lead of the histories a JSON object of texts by name, as in `campaign.source`."""
    histories = folded.histories
    touches, leads = _folded_touches(folded)
    found = [_campaign_values(histories, touches, leads, field) for field in CAMPAIGN_FIELDS]
    found.append(_attribute_values(histories, touches, leads))
    objects = (
        pl.concat(found)
        .sort("lead", "name")
        .select("lead", said=pl.concat_str("name", pl.lit(":"), "value"))
        .group_by("lead", maintain_order=True)
        .agg("said")
        .with_columns(pl.col("said").list.join(","))
    )
    everyone = pl.DataFrame({"lead": np.arange(len(histories.leads))})
    joined = everyone.join(objects, on="lead", how="left", maintain_order="left")
    return pl.select(pl.format("{{{}}}", joined["said"].fill_null(""))).to_series()


def _folded_touches(folded: Folded) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indexes of the touches that were folded, and the lead of each."""
    starts, counts = folded.histories.starts[:-1], folded.states["touchpoints"]
    leads = np.repeat(np.arange(len(counts)), counts)
    return ranges(starts, counts), leads


def _campaign_values(
    histories: Histories, touches: NDArray[np.int64], leads: NDArray[np.int64], field: str
) -> pl.DataFrame:
    ids = histories.touches[f"campaign_{field}"][touches]
    there = np.flatnonzero(ids)
    first = there[np.diff(leads[there], prepend=-1) != 0]
    name = msgspec.json.encode(f"campaign.{field}").decode()
    return pl.DataFrame(
        {
            "lead": leads[first],
            "name": pl.repeat(name, len(first), dtype=pl.String, eager=True),
            "value": _quoted(histories.strings, ids[first]),
        }
    )


def _attribute_values(
    histories: Histories, touches: NDArray[np.int64], leads: NDArray[np.int64]
) -> pl.DataFrame:
    counts = histories.touches["attributes"][touches].astype(np.int64)
    attributes = histories.attributes[ranges(histories.attribute_at[touches], counts)]
    first = pl.DataFrame(
        {
            "lead": np.repeat(leads, counts),
            "name": np.ascontiguousarray(attributes["name"]),
            "tag": np.ascontiguousarray(attributes["tag"]),
            "bits": np.ascontiguousarray(attributes["bits"]),
        }
    ).unique(["lead", "name"], keep="first", maintain_order=True)
    names = _quoted(histories.strings, first["name"].to_numpy(), "attributes.")
    return first.select("lead", name=names, value=_values(histories.strings, first))


def _values(strings: Strings, attributes: pl.DataFrame) -> pl.Series:
    """Attribute values as JSON texts, by what their tags say."""
    bits = attributes["bits"].to_numpy()
    tag = attributes["tag"]
    words = _quoted(strings, np.where(tag.to_numpy() == STRING, bits, 0))
    whole, real = pl.Series(bits), pl.Series(bits.view(np.float64))
    exact = (real == real.floor()) & (real.abs() < EXACT_WHOLE)
    number = pl.select(
        pl.when((tag == DOUBLE) & exact)
        .then(real.cast(pl.Int64, strict=False).cast(pl.String))
        .when(tag == DOUBLE)
        .then(real.cast(pl.String))
        .when(tag == LONG)
        .then(whole.cast(pl.String))
        .otherwise(picked(("false", "true"), bits & 1)),
    ).to_series()
    return words.zip_with(tag == STRING, pl.select(pl.format('"{}"', number)).to_series())


def _quoted(strings: Strings, ids: NDArray[np.integer], prefix: str = "") -> pl.Series:
    """The texts of dictionary ids as JSON texts; each distinct one is quoted once."""
    distinct, at = np.unique(ids, return_inverse=True)
    words: Sequence[str] = strings.texts(distinct.tolist())
    quoted = [msgspec.json.encode(prefix + word).decode() for word in words]
    return pl.Series(quoted, dtype=pl.String).gather(at)
