"""Instants: RFC 3339 outside, int64 microseconds since 1970 UTC inside."""

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from engine.errors import BadInstant

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
DAY_US = 86_400 * SECOND_US
END_OF_TIME = 4_102_444_800 * SECOND_US  # 2100-01-01: what occurs lies before it

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = -62_135_596_800_000_000  # of the year 1
_MICROSECOND = timedelta(microseconds=1)
_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-6][0-9](?:\.[0-9]+)?"
    r"(?P<offset>[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])?"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LEAP_SECOND = slice(17, 19)


def parse_instant(text: str) -> int:
    """Microseconds of an RFC 3339 text; digits beyond the sixth decimal are cut off.

    A leap second is the first second of the next minute, as on every POSIX clock.

    Raises:
        BadInstant: No RFC 3339, no offset, or no such day or time.
    """
    match = _RFC_3339.fullmatch(text)
    if match is None:
        raise BadInstant("this is no RFC 3339 date and time")
    if match["offset"] is None:
        raise BadInstant("this time has no offset from UTC")
    leap = text[_LEAP_SECOND] == "60"
    if leap:
        text = text[:17] + "59" + text[19:]
    try:
        at = microseconds(datetime.fromisoformat(text.upper()))
    except ValueError as error:
        raise BadInstant("there is no such day or time") from error
    if not leap:
        return at
    if (at // SECOND_US + 1) % 86_400:
        raise BadInstant("a leap second ends a day of UTC, and this one does not")
    return at + SECOND_US


def parse_date(text: str) -> date | None:
    """The day that a text such as 2026-03-01 names; None where it has another form.

    Raises:
        BadInstant: There is no such day.
    """
    if _DATE.fullmatch(text) is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise BadInstant("there is no such day") from error


def start_of(day: date, zone: str) -> int:
    """The first instant of a day in an IANA zone, even where clocks skip its midnight.

    Raises:
        BadInstant: East of Greenwich the first day begins before the year 1 does in UTC.
    """
    at = microseconds(datetime.combine(day, time.min, ZoneInfo(zone)))
    if at < _FIRST:
        raise BadInstant(f"{day.isoformat()} begins in {zone} before the year 1 does in UTC")
    return at


def on_clocks(at: int, zone: str) -> datetime | None:
    """What clocks in a zone show at an instant; None outside the years 1 to 9999 there."""
    try:
        return (_EPOCH + at * _MICROSECOND).astimezone(ZoneInfo(zone))
    except OverflowError:
        return None


def microseconds(moment: datetime) -> int:
    """The instant of a moment that has an offset, in whole microseconds."""
    return (moment - _EPOCH) // _MICROSECOND


def format_instant(at: int) -> str:
    """RFC 3339 in UTC, always with six decimals and Z.

    Raises:
        BadInstant: It lies outside the years 1 to 9999.
    """
    try:
        moment = _EPOCH + timedelta(microseconds=at)
    except OverflowError as error:
        raise BadInstant(f"{at} microseconds lie outside the years 1 to 9999") from error
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
