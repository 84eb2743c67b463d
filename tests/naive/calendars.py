"""Open time: when a promise made in a calendar falls due."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import holidays

from tests.naive.units import DAY, SECOND, instant_us

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EPOCH = date(1970, 1, 1).toordinal()


@lru_cache
def country_holidays(country: str) -> frozenset[str]:
    """The dates that a country stands for, 2000 to 2049."""
    return frozenset(
        day.isoformat() for day in holidays.country_holidays(country, years=range(2000, 2050))
    )


def wall_clock_us(day: date, hhmm: str, zone: ZoneInfo) -> int:
    """The instant at which a wall clock shows a time; `24:00` is the next midnight."""
    hour, minute = (int(part) for part in hhmm.split(":"))
    if hour == 24:
        day, hour = day + timedelta(days=1), 0
    return instant_us(datetime.combine(day, time(hour, minute), tzinfo=zone).isoformat())


@dataclass
class Calendar:
    """The hours of a week in a zone, less the holidays."""

    zone: ZoneInfo
    hours: dict[str, list[str]]
    closed: frozenset[str]

    @classmethod
    def of(cls, table: dict[str, Any]) -> "Calendar":
        closed = table.get("holidays", [])
        days = country_holidays(closed) if isinstance(closed, str) else frozenset(closed)
        return cls(ZoneInfo(table["zone"]), table["hours"], days)

    def spans(self, day: date) -> list[tuple[int, int]]:
        """From when to when it is open on a local day."""
        if day.isoformat() in self.closed:
            return []
        spans = []
        for hours in self.hours.get(WEEKDAYS[day.weekday()], []):
            opens, closes = hours.split("-")
            spans.append(
                (wall_clock_us(day, opens, self.zone), wall_clock_us(day, closes, self.zone))
            )
        return spans

    def due(self, start: int, within: int) -> int:
        """The smallest instant by which `within` of open time has passed since `start`."""
        day = date.fromordinal(EPOCH + start // DAY - 1)
        left = within
        while True:
            for opens, closes in self.spans(day):
                opens = max(opens, start)
                if closes - opens >= left:
                    return opens + left
                left -= max(0, closes - opens)
            day += timedelta(days=1)

    def holiday_between(self, start: int, end: int) -> bool:
        """Whether hours of the week fell away between two instants."""
        first, last = (date.fromordinal(EPOCH + at // DAY).isoformat() for at in (start, end))
        return any(
            first <= day <= last and WEEKDAYS[date.fromisoformat(day).weekday()] in self.hours
            for day in self.closed
        )

    def offset_us(self, at: int) -> int:
        """How far local time is ahead of UTC at an instant."""
        moment = datetime.fromtimestamp(at // SECOND, tz=self.zone)
        offset = moment.utcoffset()
        assert offset is not None
        return offset // timedelta(microseconds=1)


def due_instant(calendar: Calendar | None, start: int, within: int) -> int:
    """When a run started at `start` falls due; without a calendar all time is open."""
    return start + within if calendar is None else calendar.due(start, within)
