"""Statistics of how long things took, in microseconds and in whole calendar days."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

_QUARTER_US = 900_000_000
_SHARES = (0.5, 0.9)

Figure = int | float | None


@dataclass(frozen=True)
class Spans:
    """How long each of n things took."""

    us: NDArray[np.int64]
    days: NDArray[np.int64]  # midnights passed in the zone that the rule set counts days in

    def __getitem__(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> "Spans":
        """Those that a mask, or indexes, name."""
        rows = np.flatnonzero(which) if which.dtype == np.bool_ else which
        return Spans(self.us.take(rows), self.days.take(rows))


def spans(begun: pl.Series, ended: pl.Series, zone: str, which: NDArray[np.bool_]) -> Spans:
    """From one instant to another, where a mask says so and there are no nulls; elsewhere 0.

    An end alone is that of all.
    """
    found = Spans(np.zeros(len(begun), np.int64), np.zeros(len(begun), np.int64))
    begun, ended = begun.filter(which), ended.filter(which) if len(ended) == len(which) else ended
    found.us[which] = ended.to_numpy() - begun.to_numpy()
    found.days[which] = _day(ended, zone) - _day(begun, zone)
    return found


def _day(instants: pl.Series, zone: str) -> NDArray[np.int64]:
    """The day of each instant in a zone.

    Days of quarters of an hour are asked for once each, where there are fewer of these; a
    quarter in which a day ends, as once in some zones, is asked for instant by instant.
    """
    quarters = instants.to_numpy() // _QUARTER_US
    if not len(quarters) or np.ptp(quarters) >= len(quarters):
        return _days(instants, zone)
    first, last = quarters.min(), quarters.max()
    begins = np.arange(first, last + 1) * _QUARTER_US
    days, at = _days(pl.Series(begins), zone), quarters - first
    found: NDArray[np.int64] = days[at]
    uneven = np.flatnonzero((_days(pl.Series(begins + _QUARTER_US - 1), zone) != days)[at])
    found[uneven] = _days(instants.gather(uneven), zone)
    return found


def _days(instants: pl.Series, zone: str) -> NDArray[np.int64]:
    return local(instants, zone).dt.date().cast(pl.Int64).to_numpy()


def local(instants: pl.Series, zone: str) -> pl.Series:
    """Microseconds since 1970 UTC as the time that clocks in a zone show."""
    return instants.cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(zone)


def statistics(taken: Spans) -> dict[str, Figure]:
    """How many, mean, median and 90th percentile (linear); null where there are none."""
    document: dict[str, Figure] = {"n": len(taken.us)}
    for unit, values in (("us", taken.us), ("days", taken.days)):
        document |= {
            f"mean_{unit}": mean(values),
            **dict(zip((f"median_{unit}", f"p90_{unit}"), quantiles(values, _SHARES), strict=True)),
        }
    return document


def mean(values: NDArray[np.int64]) -> float | None:
    """The mean of integers, rounded once; their sum may be larger than 64 bits hold."""
    if not len(values):
        return None
    return ((int((values >> 32).sum()) << 32) + int((values & 0xFFFFFFFF).sum())) / len(values)


def quantiles(values: NDArray[np.int64], shares: Sequence[float]) -> list[float | None]:
    """The values that some shares of integers are at or below, linear between neighbours."""
    if not len(values):
        return [None for _ in shares]
    last = len(values) - 1
    places = [share * last for share in shares]
    pairs = [(int(place), min(int(place) + 1, last)) for place in places]
    ordered: NDArray[np.int64] = np.partition(values, [at for pair in pairs for at in pair])
    bounds = [(int(ordered[below]), int(ordered[above])) for below, above in pairs]
    return [
        low + (high - low) * (place - below)
        for (low, high), place, (below, _) in zip(bounds, places, pairs, strict=True)
    ]
