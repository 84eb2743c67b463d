"""Cells: where a value of a touchpoint comes from in a row, and what becomes of it.

Pure, and without a word of the row in any complaint: `Unmappable` names columns only.
"""

import functools
import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal
from zoneinfo import ZoneInfo

import re2
from msgspec import Struct

from engine.catalogue import currencies
from engine.errors import Unmappable
from engine.instants import microseconds
from engine.touchpoint import Scalar

Fields = Mapping[str, Scalar]  # one row: by column, or by dotted path; what is null is left out

UNIX = {"unix": 6, "unix_ms": 3, "unix_us": 0}  # decimal places that make microseconds of it
TRUE, FALSE = frozenset(("true", "yes", "1")), frozenset(("false", "no", "0"))
ALONE = ("", "")  # the texts around a column that stands alone
LARGEST = 24  # digits before the point of a number: beyond int64, and no danger to memory


class Notation(Struct, frozen=True):
    """How a file writes what is not there, times and numbers."""

    missing: tuple[str, ...] = ("",)
    times: tuple[str, ...] = ("iso",)  # strptime formats, "iso", or a key of UNIX; tried in order
    zone: str | None = None  # of times without an offset
    decimal: str = "."
    thousands: str = ""


class Cell(Struct, frozen=True, kw_only=True):
    """Where a value comes from, and what becomes of it, in the order of these fields.

    Either a constant, or texts and columns in turn: a text that `columns` follow one by one.
    """

    constant: Scalar | None = None
    texts: tuple[str, ...] = ()  # one more than columns
    columns: tuple[str, ...] = ()
    notation: Notation = Notation()
    extract: str | None = None  # RE2: its first group, or all that it matches; missing if it fails
    values: Mapping[str, Scalar] | None = None
    unlisted: Literal["refuse", "keep", "drop"] = "refuse"  # a value that `values` does not list
    default: Scalar | None = None  # instead of what is missing
    required: bool = False
    kind: Literal["text", "integer", "number", "boolean"] | None = None  # None: as it stands


class Amount(Struct, frozen=True):
    """A decimal number as minor units; `exponent` None: as many places as the currency has."""

    number: Cell
    currency: Cell
    exponent: int | None = None


def read(cell: Cell, fields: Fields) -> Scalar | None:
    """The value of a cell for a row; None where there is none."""
    value = _converted(cell, _found(cell, fields))
    if value is None:
        value = cell.default
    if value is None and cell.required:
        raise Unmappable(f"{named(cell)} is missing; give the cell a default, or mend the row")
    return value


def _found(cell: Cell, fields: Fields) -> Scalar | None:
    """The value as it stands in the row, cut out and looked up in its list."""
    value = _raw(cell, fields)
    if value is not None and cell.extract is not None:
        match = _pattern(cell.extract).search(text_of(value))
        value = match.group(1 if match.re.groups else 0) if match else None
    if value is None or cell.values is None:
        return value
    if (text := text_of(value)) in cell.values:
        return cell.values[text]
    if cell.unlisted == "refuse":
        raise Unmappable(f"{named(cell)} is none of the {len(cell.values)} values listed for it")
    return value if cell.unlisted == "keep" else None


def _raw(cell: Cell, fields: Fields) -> Scalar | None:
    missing = cell.notation.missing
    if cell.texts == ALONE:
        value = fields.get(cell.columns[0])
        return None if value in missing else value
    if not cell.columns:
        return cell.constant
    text = cell.texts[0]
    for column, after in zip(cell.columns, cell.texts[1:], strict=True):
        value = fields.get(column)
        if value is None or value in missing:
            return None
        text += text_of(value) + after
    return text


def _converted(cell: Cell, value: Scalar | None) -> Scalar | None:
    if value is None or cell.kind is None:
        return value
    if cell.kind == "text":
        return value if isinstance(value, str) else text_of(value)
    if cell.kind == "boolean":
        word = text_of(value).strip().casefold()
        if word not in TRUE | FALSE:
            raise Unmappable(f"{named(cell)} is neither true nor false; list its values")
        return word in TRUE
    number = _decimal(cell, value)
    if cell.kind == "number":
        return float(number)
    if number != number.to_integral_value():
        raise Unmappable(f"{named(cell)} is not a whole number")
    return int(number)


def _decimal(cell: Cell, value: Scalar) -> Decimal:
    text, notation = text_of(value).strip(), cell.notation
    if isinstance(value, str) and notation.thousands:
        text = text.replace(notation.thousands, "")
    if isinstance(value, str) and notation.decimal != ".":
        text = text.replace(notation.decimal, ".")
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise Unmappable(f"{named(cell)} is not a number") from None
    if not number.is_finite() or number.adjusted() > LARGEST or len(text) > 64:
        raise Unmappable(f"{named(cell)} is not a number of at most 64 bits")
    return number


def money(amount: Amount, fields: Fields) -> dict[str, Any] | None:
    """Minor units, exactly: a fraction of a minor unit is refused, not rounded."""
    value, currency = read(amount.number, fields), read(amount.currency, fields)
    if value is None:
        return None
    if currency is None:
        raise Unmappable(f"an amount has no currency: {named(amount.currency)} is missing")
    exponent = amount.exponent
    if exponent is None:
        exponent = currencies().get(text_of(currency).upper())
    if exponent is None:
        raise Unmappable(f"{named(amount.currency)} is no currency of ISO 4217; set exponent")
    minor = _decimal(amount.number, value).scaleb(exponent)
    if minor != minor.to_integral_value():
        raise Unmappable(
            f"{named(amount.number)} has more than the {exponent} decimals of its currency; "
            "set exponent where it is counted in smaller units"
        )
    return {"minor": int(minor), "currency": currency}


def instant(cell: Cell, value: Scalar) -> tuple[int, str]:
    """Microseconds and quality of a time, by the first of the mapping's forms that it has.

    Raises:
        Unmappable: It has none of them.
    """
    for form in cell.notation.times:
        if form in UNIX:
            found = _since_1970(cell, value, UNIX[form])
        else:
            found = _clock(form, text_of(value).strip(), cell.notation.zone)
        if found is not None:
            return found
    raise Unmappable(
        f"{named(cell)} is no time in any of the forms {', '.join(cell.notation.times)}, "
        "or has no offset where the mapping has no zone"
    )


def _since_1970(cell: Cell, value: Scalar, places: int) -> tuple[int, str] | None:
    try:
        return int(_decimal(cell, value).scaleb(places)), "exact"
    except Unmappable:
        return None


def is_instant(value: object) -> bool:
    """Whether a constant says when: an ISO 8601 text with an offset."""
    return isinstance(value, str) and _clock("iso", value, None) is not None


@functools.lru_cache(maxsize=65536)
def _clock(form: str, text: str, zone: str | None) -> tuple[int, str] | None:
    """Microseconds and quality of a time as written; None where it is not of this form."""
    try:
        at = datetime.fromisoformat(text) if form == "iso" else datetime.strptime(text, form)
    except ValueError:
        return None
    if at.tzinfo is None:
        if zone is None:
            return None
        at = at.replace(tzinfo=ZoneInfo(zone))
    is_date = _is_date(text) if form == "iso" else not _CLOCK.search(form)
    return microseconds(at), "date" if is_date else "exact"


_CLOCK = re.compile("%[HIMSfXcsT]")


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def text_of(value: Scalar) -> str:
    """A value as a CSV file would write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)


def named(cell: Cell) -> str:
    """What a cell is called in complaints: by its columns."""
    return " and ".join(f"column {column}" for column in cell.columns) or "a constant"


@functools.cache
def _pattern(pattern: str) -> Any:
    return re2.compile(pattern)
