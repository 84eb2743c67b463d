"""Calendars as spans of open time, in UTC microseconds."""

from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from engine.instants import DAY_US, MINUTE_US, microseconds
from engine.ruleset import Calendar

DAYS = (date(2150, 1, 1) - date(1970, 1, 1)).days  # touchpoints end at 2100; clocks may run on


def open_spans(calendar: Calendar) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the spans of open time start and end, in order, from 1970 to 2150."""
    days = np.arange(DAYS, dtype=np.int64)
    holidays = np.isin(days, [_day_number(text) for text in calendar.holidays])
    offsets, ragged = _offsets(calendar.zone)
    starts, ends = [], []
    for weekday, hours in enumerate(calendar.hours):
        chosen = days[(days % 7 == (weekday - 3) % 7) & ~holidays]  # 1970-01-01: a Thursday
        for opens, closes in hours:
            starts.append(_instants(calendar.zone, chosen, opens, offsets, ragged))
            ends.append(_instants(calendar.zone, chosen, closes, offsets, ragged))
    start, end = np.concatenate(starts), np.concatenate(ends)
    order = np.argsort(start, kind="stable")
    start, end = start[order], end[order]
    some = end > start  # a span may vanish where clocks go forward
    return start[some], end[some]


def _instants(
    zone: str,
    days: NDArray[np.int64],
    minute: int,
    offsets: NDArray[np.int64],
    ragged: frozenset[int],
) -> NDArray[np.int64]:
    """When the local clock shows a minute of these days; the first time, where it does twice."""
    instants = days * DAY_US + minute * MINUTE_US - offsets[days]
    for index in np.flatnonzero(np.isin(days, list(ragged))):
        instants[index] = _instant(zone, int(days[index]), minute)
    return instants


@lru_cache(maxsize=16)
def _offsets(zone: str) -> tuple[NDArray[np.int64], frozenset[int]]:
    """The offset from UTC at each day's start, and the days in which it changes."""
    offsets = np.empty(DAYS + 1, dtype=np.int64)
    for week in range(0, DAYS + 1, 7):  # no zone changes and changes back within a week
        end = min(week + 7, DAYS)
        offsets[week : end + 1] = offset = _offset(zone, week)
        if _offset(zone, end) != offset:
            offsets[week : end + 1] = [_offset(zone, day) for day in range(week, end + 1)]
    ragged = np.flatnonzero(offsets[1:] != offsets[:-1])
    return offsets[:-1], frozenset(int(day) for day in ragged)


def _offset(zone: str, day: int) -> int:
    return day * DAY_US - _instant(zone, day, 0)


def _instant(zone: str, day: int, minute: int) -> int:
    local = datetime(1970, 1, 1, tzinfo=ZoneInfo(zone)) + timedelta(days=day, minutes=minute)
    return microseconds(local)


def _day_number(text: str) -> int:
    return (date.fromisoformat(text) - date(1970, 1, 1)).days
