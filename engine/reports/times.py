"""Statistics of how long things took, in microseconds and in whole calendar days."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

Figure = int | float | None


@dataclass(frozen=True)
class Spans:
    """How long each of n things took."""

    us: NDArray[np.int64]
    days: NDArray[np.int64]  # midnights passed in the zone that the rule set counts days in

    def __getitem__(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> "Spans":
        """Those that a mask, or indexes, name."""
        return Spans(self.us[which], self.days[which])


def spans(begun: pl.Series, ended: pl.Series, zone: str) -> Spans:
    """From one instant to another, both without nulls."""
    days = local(ended, zone).dt.date().cast(pl.Int64) - local(begun, zone).dt.date().cast(pl.Int64)
    return Spans((ended - begun).to_numpy(), days.to_numpy())


def local(instants: pl.Series, zone: str) -> pl.Series:
    """Microseconds since 1970 UTC as the time that clocks in a zone show."""
    return instants.cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(zone)


def statistics(taken: Spans) -> dict[str, Figure]:
    """How many, mean, median and 90th percentile (linear); null where there are none."""
    document: dict[str, Figure] = {"n": len(taken.us)}
    for unit, values in (("us", taken.us), ("days", taken.days)):
        ordered = np.sort(values)
        document |= {
            f"mean_{unit}": mean(ordered),
            f"median_{unit}": quantile(ordered, 0.5),
            f"p90_{unit}": quantile(ordered, 0.9),
        }
    return document


def mean(values: NDArray[np.int64]) -> float | None:
    """The mean of integers, rounded once; their sum may be larger than 64 bits hold."""
    return sum(values.tolist()) / len(values) if len(values) else None


def quantile(ordered: NDArray[np.int64], share: float) -> float | None:
    """The value that a share of sorted integers is at or below, linear between neighbours."""
    if not len(ordered):
        return None
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    low, high = int(ordered[below]), int(ordered[above])
    return low + (high - low) * (place - below)
