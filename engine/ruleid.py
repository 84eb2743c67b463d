"""What a rule set is called by machines: the SHA-256 of its canonical JSON (RFC 8785).

The JSON is that of the file as it is written: defaults that it leaves out are
left out, and writing one out gives another id. How TOML puts it (comments,
order of keys, inline or not, 5 or 5.0) makes no difference. A number of TOML
with a fraction or exponent is the double nearest to it; an integer that no
double holds for sure stands as {"integer": "its digits"}, which no valid rule
set can hold otherwise.
"""

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import rfc8785

from engine.rulelang.clocks import holidays_of

FOLD_PART = ("value", "signal", "score", "track", "clock", "calendar")
SAFE_INTEGER = 2**53 - 1


def rule_id(document: Mapping[str, Any]) -> str:
    """The id of a valid rule set, from what TOML made of its file."""
    return _digest(with_dates(document))


def fold_id(document: Mapping[str, Any]) -> str:
    """The id of what judges touchpoints: two sets with the same one fold everything alike."""
    part = {key: value for key, value in with_dates(document).items() if key in FOLD_PART}
    if "calendar" in part:
        zone = document.get("zone", "UTC")
        part["calendar"] = [{"zone": zone, **calendar} for calendar in part["calendar"]]
    return _digest(part)


def canonical(value: Any) -> bytes:
    """Canonical JSON of a value of TOML: equal bytes exactly for equal values."""
    return rfc8785.dumps(_plain(value))


def with_dates(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document with every country of holidays as the dates that it stands for."""
    calendars = [_calendar_with_dates(calendar) for calendar in document.get("calendar", ())]
    return {**document, "calendar": calendars} if calendars else dict(document)


def _digest(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(document)).hexdigest()


def _calendar_with_dates(calendar: Mapping[str, Any]) -> dict[str, Any]:
    holidays = calendar.get("holidays")
    dated = {"holidays": list(holidays_of(holidays))} if isinstance(holidays, str) else {}
    return {**calendar, **dated}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, int) and abs(value) > SAFE_INTEGER:
        return {"integer": str(value)}
    return value
