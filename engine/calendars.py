"""Calendars as spans of open time, in UTC microseconds."""

from bisect import bisect_left
from datetime import date, datetime, timedelta
from functools import lru_cache, partial
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from engine.instants import DAY_US, MINUTE_US, microseconds
from engine.ruleset import Calendar

DAY_MINUTES = 24 * 60
DAYS = (date(2150, 1, 1) - date(1970, 1, 1)).days  # touchpoints end at 2100; clocks may run on


class _Zone(NamedTuple):
    """How far a zone is from UTC, by day; offsets in microseconds."""

    before: NDArray[np.int64]
    after: NDArray[np.int64]
    since: NDArray[np.int64]  # minute of the day from which on it is `after`; mostly 0


def open_spans(calendar: Calendar) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the spans of open time start and end, in order, from 1970 to 2150."""
    days, zone = np.arange(DAYS, dtype=np.int64), _zone(calendar.zone)
    working = ~np.isin(days, [_day_number(text) for text in calendar.holidays])
    starts, ends = [], []
    for weekday, hours in enumerate(calendar.hours):
        first = (weekday - 3) % 7  # 1970-01-01: a Thursday
        chosen = days[first::7][working[first::7]]
        for opens, closes in hours:
            starts.append(_instants(zone, chosen, opens))
            ends.append(_instants(zone, chosen, closes))
    start, end = np.concatenate(starts), np.concatenate(ends)
    order = np.argsort(start, kind="stable")
    start, end = start[order], end[order]
    some = end > start  # a span may vanish where clocks go forward
    return start[some], end[some]


def _instants(zone: _Zone, days: NDArray[np.int64], minute: int) -> NDArray[np.int64]:
    """When the local clock shows a minute of these days; the first time, where it does twice."""
    offsets = np.where(minute < zone.since[days], zone.before[days], zone.after[days])
    instants: NDArray[np.int64] = days * DAY_US + minute * MINUTE_US - offsets
    return instants


@lru_cache(maxsize=16)
def _zone(name: str) -> _Zone:
    """The offsets of a zone, which changes them once a day at most."""
    offsets = np.empty(DAYS + 1, dtype=np.int64)
    for week in range(0, DAYS + 1, 7):  # no zone changes and changes back within a week
        end = min(week + 7, DAYS)
        offsets[week : end + 1] = offset = _offset(name, week)
        if _offset(name, end) != offset:
            offsets[week : end + 1] = [_offset(name, day) for day in range(week, end + 1)]
    before, after, since = offsets[:-1], offsets[1:], np.zeros(DAYS, dtype=np.int64)
    for day in np.flatnonzero(before != after).tolist():
        minutes = range(day * DAY_MINUTES, (day + 1) * DAY_MINUTES)
        changed = partial(_has_offset, name, int(after[day]))
        since[day] = bisect_left(minutes, True, key=changed)
    return _Zone(before, after, since)


def _has_offset(zone: str, offset: int, minute: int) -> bool:
    return minute * MINUTE_US - _instant(zone, minute) == offset


def _offset(zone: str, day: int) -> int:
    return day * DAY_US - _instant(zone, day * DAY_MINUTES)


def _instant(zone: str, minute: int) -> int:
    """When the local clock shows a minute since 1970 for the first time."""
    return microseconds(datetime(1970, 1, 1, tzinfo=ZoneInfo(zone)) + timedelta(minutes=minute))


def _day_number(text: str) -> int:
    return (date.fromisoformat(text) - date(1970, 1, 1)).days
