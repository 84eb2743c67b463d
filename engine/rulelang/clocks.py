"""Reading clocks and the calendars that they run by."""

import datetime as dt
import functools
import re

from engine.rulelang import references, values
from engine.rulelang.questions import read_trigger
from engine.rulelang.reader import Node, Table, shown, some, table
from engine.ruleset import Calendar, Clock, Trigger

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SPAN = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-(?:([01][0-9]|2[0-3]):([0-5][0-9])|24:00)")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
HOLIDAY_YEARS = range(2000, 2050)
DAY_MINUTES = 24 * 60
Span = tuple[int, int]  # minutes of the local day


def read_clock(opened: Table) -> Clock:
    """A clock: what starts, stops and cancels it, and how long it may run."""
    trigger = table(read_trigger)
    return Clock(
        name=opened.need("name", values.name, ""),
        label=opened.take("label", values.label, {}),
        start=opened.need("start", trigger, Trigger()),
        stop=opened.need("stop", trigger, Trigger()),
        cancel=opened.take("cancel", trigger, None),
        within_us=opened.need("within", values.duration, 1),
        calendar=opened.take("calendar", references.calendar, None),
    )


def read_calendar(opened: Table) -> Calendar:
    """A calendar: when a business is open."""
    return Calendar(
        name=opened.need("name", values.name, ""),
        label=opened.take("label", values.label, {}),
        zone=opened.take("zone", values.zone, opened.node.reading.names.zone),
        hours=opened.need("hours", table(_read_hours), ()),
        holidays=opened.take("holidays", _read_holidays, ()),
    )


def _read_hours(opened: Table) -> tuple[tuple[Span, ...], ...]:
    return tuple(opened.take(day, _day, ()) for day in DAYS)


def _day(node: Node) -> tuple[Span, ...]:
    """The spans of a day in order; two that touch are one."""
    joined: list[Span] = []
    for start, end in sorted(some(_span)(node)):
        if joined and start < joined[-1][1]:
            raise node.wrong("two spans overlap")
        if joined and start == joined[-1][1]:
            start, _ = joined.pop()
        joined.append((start, end))
    return tuple(joined)


def _span(node: Node) -> Span:
    match = SPAN.fullmatch(values.text(node))
    if not match:
        raise node.wrong(f"{shown(node.data)} is no span of hours: write it as 08:30-17:30")
    start = int(match[1]) * 60 + int(match[2])
    end = int(match[3]) * 60 + int(match[4]) if match[3] else DAY_MINUTES
    if end <= start:
        raise node.wrong(f"{shown(node.data)} ends before it has begun")
    return start, end


def _read_holidays(node: Node) -> tuple[str, ...]:
    if isinstance(node.data, str):
        return holidays_of(_country(node))
    return tuple(sorted(set(some(_date)(node))))


def _country(node: Node) -> str:
    if values.text(node) not in _countries():
        raise node.wrong(f"no country is called {shown(node.data)}: write its code, such as VN")
    return values.text(node)


@functools.cache
def _countries() -> tuple[str, ...]:
    from holidays.registry import EntityLoader  # few rule sets ask for it

    return tuple(EntityLoader.get_country_codes())  # list_supported_countries loads each of them


@functools.cache
def holidays_of(country: str) -> tuple[str, ...]:
    """The public holidays of a country from 2000 to 2049, as ISO dates, sorted."""
    import holidays

    days = holidays.country_holidays(country, years=HOLIDAY_YEARS)
    return tuple(sorted(day.isoformat() for day in days if day.year in HOLIDAY_YEARS))


def _date(node: Node) -> str:
    try:
        if DATE.fullmatch(values.text(node)):
            return dt.date.fromisoformat(node.data).isoformat()
    except ValueError:
        pass
    raise node.wrong(f"{shown(node.data)} is no date: write it as 2026-02-17")
