"""JSON objects, read so that nothing is guessed: of two equal keys none wins in silence."""

import json
import re
from typing import Any

import msgspec

from engine.errors import Refused

MAX_LINE = 1 << 20  # bytes of one touchpoint as JSON
BEYOND_INT64 = 1 << 63
_LONGEST_INT64 = 20  # characters, the sign included
_SPACE_BEFORE_COLON = re.compile(rb'"[ \t\n\r]')  # or after the last text of an object


def parse_object(data: bytes) -> dict[str, Any]:
    """One JSON object.

    Numbers that no int64 or double holds come out as such (too large an int, an
    infinity, a NaN), texts with lone surrogates too: whoever takes a field refuses it.

    Raises:
        Refused: `undecodable` where it is no JSON object in UTF-8, `not_canonical`
            where it is too long or a key is there twice.
    """
    if len(data) > MAX_LINE:
        raise Refused("not_canonical", f"it has {len(data)} bytes, more than {MAX_LINE}")
    try:
        value = msgspec.json.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _parse_slowly(data)
    if type(value) is dict and _surely_without_duplicates(value, data):
        return value
    return _parse_slowly(data)


def _surely_without_duplicates(value: dict[str, Any], data: bytes) -> bool:
    """Whether the text has no more keys than the objects read from it.

    With no space before a colon, `":` stands once after every key, and perhaps in
    a string too: so as many of them as keys means that none was there twice.
    """
    keys = len(value)
    for inner in value.values():
        if type(inner) is dict:
            keys += len(inner)
        elif type(inner) is list:
            for item in inner:
                if type(item) is dict:
                    keys += len(item)
    return data.count(b'":') == keys and _SPACE_BEFORE_COLON.search(data) is None


def _parse_slowly(data: bytes) -> dict[str, Any]:
    duplicated = False

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal duplicated
        found = dict(pairs)
        duplicated |= len(found) < len(pairs)
        return found

    try:
        value = json.loads(data.decode(), object_pairs_hook=unique, parse_int=_parse_int)
    except UnicodeDecodeError as error:
        raise Refused("undecodable", f"byte {error.start} is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise Refused("undecodable", f"no JSON at character {error.pos}: {error.msg}") from None
    except RecursionError:
        raise Refused("undecodable", "it is nested too deeply") from None
    if type(value) is not dict:
        raise Refused("undecodable", "it is not a JSON object")
    if duplicated:
        raise Refused("not_canonical", "a key is there twice in one object")
    return value


def _parse_int(digits: str) -> int:
    return int(digits) if len(digits) <= _LONGEST_INT64 else BEYOND_INT64
