"""Checks of single values, as they come from outside: nothing is believed of them."""

import re
import unicodedata
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from math import isfinite
from typing import Any

from engine.errors import BadInstant, Refused
from engine.instants import parse_instant
from engine.nearest import did_you_mean
from engine.touchpoint import Scalar

MAX_TEXT = 1 << 16  # bytes of one text
_SURELY_SHORT = MAX_TEXT // 4  # characters: UTF-8 takes at most 4 bytes of each
MAX_MARKS = 30  # combining marks in a row, as Unicode's stream-safe format has it
SEPARATOR = "\x1f"  # joins the parts of a digest, so it may be in none but the last
_INT64 = range(-(1 << 63), 1 << 63)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,47}")


def text(value: Any, where: str) -> str:
    """Text in NFC.

    Raises:
        Refused: No text, too long, or with a NUL or half a surrogate pair.
    """
    if type(value) is not str:
        raise Refused("not_canonical", f"{where} must be a text")
    given: str = value
    if not given.isascii():
        given = _composed(given, where)
    if "\0" in given:
        raise Refused("not_canonical", f"{where} has a NUL")
    if len(given) > _SURELY_SHORT or not given.isascii():  # a surrogate shows when encoding
        _check_encoded(given, where)
    return given


def _composed(given: str, where: str) -> str:
    """The text in NFC; making it takes the square of a run of marks, so runs are short."""
    if unicodedata.is_normalized("NFC", given):
        return given
    if len(given) > MAX_TEXT:
        raise Refused("not_canonical", f"{where} has more than {MAX_TEXT} bytes")
    run = 0
    for letter in given:
        run = run + 1 if unicodedata.combining(letter) else 0
        if run > MAX_MARKS:
            raise Refused("not_canonical", f"{where} has over {MAX_MARKS} combining marks in a row")
    return unicodedata.normalize("NFC", given)


def _check_encoded(given: str, where: str) -> None:
    try:
        size = len(given.encode())
    except UnicodeEncodeError:
        raise Refused("not_canonical", f"{where} has half a surrogate pair") from None
    if size > MAX_TEXT:
        raise Refused("not_canonical", f"{where} has {size} bytes, more than {MAX_TEXT}")


def optional_text(value: Any, where: str) -> str | None:
    """Text in NFC, or None where there is none."""
    return None if value is None else text(value, where)


def short_text(value: Any, where: str, longest: int) -> str:
    """Text of 1 to `longest` characters."""
    short = text(value, where)
    if not 1 <= len(short) <= longest:
        raise Refused("not_canonical", f"{where} must have 1 to {longest} characters")
    return short


def without_separator(value: str, where: str) -> str:
    """The text, if it may be followed by others in a digest."""
    if SEPARATOR in value:
        raise Refused("not_canonical", f"{where} has the control character U+001F")
    return value


def integer(value: Any, where: str) -> int:
    """A whole number within int64; a boolean is none."""
    if type(value) is not int:
        raise Refused("not_canonical", f"{where} must be a whole number")
    if value not in _INT64:
        raise Refused("not_canonical", f"{where} is beyond int64")
    return value


def instant(value: Any, where: str) -> int:
    """Microseconds of an RFC 3339 text with an offset, or of a whole number."""
    if type(value) is not str:
        return integer(value, where)
    try:
        return parse_instant(value)
    except BadInstant as error:
        raise Refused("not_canonical", f"{where}: {error}") from None


def scalar(value: Any, where: str) -> Scalar:
    """A text, whole number, finite number or boolean."""
    if type(value) is str:
        return text(value, where)
    if type(value) is bool:
        return value
    if type(value) is float:
        if not isfinite(value):
            raise Refused("not_canonical", f"{where} is not a finite number")
        return value + 0.0  # there is one zero
    if type(value) is int:
        return integer(value, where)
    raise Refused("not_canonical", f"{where} must be a text, a number or a boolean")


def table(value: Any, where: str, known: AbstractSet[str]) -> Mapping[str, Any]:
    """An object with no keys but known ones.

    Raises:
        Refused: No object, or an unknown key: told with its name and the nearest known.
    """
    if type(value) is not dict:
        raise Refused("not_canonical", f"{where} must be an object")
    if not value.keys() <= known:
        raise Refused("not_canonical", _unknown(value.keys() - known, where, known))
    return value


def listed(value: Any, where: str, longest: int) -> list[Any]:
    """A list; none is an empty one."""
    if value is None:
        return []
    if type(value) is not list:
        raise Refused("not_canonical", f"{where} must be a list")
    if len(value) > longest:
        raise Refused("not_canonical", f"{where} has {len(value)} entries, more than {longest}")
    return value


def one_of(value: Any, where: str, known: Collection[str]) -> str:
    """One of the words that are known."""
    if type(value) is not str or value not in known:
        raise Refused("not_canonical", f"{where} must be one of {', '.join(known)}")
    return value


def shown(name: Any, where: str) -> str:
    """A name for people to read; only what looks like one, anything else might be personal."""
    if type(name) is str and _NAME.fullmatch(name):
        return f"{where}.{name}"
    return f"a key of {where} that is no name"


def _unknown(keys: AbstractSet[Any], where: str, known: AbstractSet[str]) -> str:
    key = min(keys, key=str)
    return f"{shown(key, where)} is not known; {did_you_mean(str(key), sorted(known))}"
