"""Instants, durations and points between the forms people write and integers."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

SECOND = 1_000_000  # microseconds
DAY = 86_400 * SECOND
END_OF_TIME = (date(2100, 1, 1).toordinal() - date(1970, 1, 1).toordinal()) * DAY

UNITS = {"s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND, "d": DAY, "w": 7 * DAY}
INSTANT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:([Zz])|([+-])(\d\d):(\d\d))"
)


def duration_us(text: str) -> int:
    """`90m` as microseconds."""
    return int(text[:-1]) * UNITS[text[-1]]


def micro_points(points: int | Decimal) -> int:
    """Points as written, exactly, as micro-points."""
    micro = Decimal(points) * 1_000_000
    assert micro == int(micro), f"{points} has more than six decimals"
    return int(micro)


def instant_us(written: str | int) -> int:
    """An instant as microseconds since 1970 UTC; digits beyond micros are cut off."""
    if isinstance(written, int) and not isinstance(written, bool):
        return written
    found = INSTANT.fullmatch(written) if isinstance(written, str) else None
    if found is None:
        raise ValueError("an instant needs a date, a time and an offset")
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    fraction, _, sign, off_hours, off_minutes = found.groups()[6:]
    days = date(year, month, day).toordinal() - date(1970, 1, 1).toordinal()
    seconds = (days * 24 + hour) * 3600 + minute * 60 + second
    if sign is not None:
        offset = int(off_hours) * 3600 + int(off_minutes) * 60
        seconds -= offset if sign == "+" else -offset
    return seconds * SECOND + int(((fraction or "") + "000000")[:6])


def instant_text(us: int) -> str:
    """An instant as every command prints it: UTC, six decimals."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
