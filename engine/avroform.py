"""Whether bytes are the one form in which a record is encoded, told without decoding them.

Avro lets the same value be written in several ways, and readers differ in how much damage
they let pass. What is recorded is written in one way only: whole numbers as short as they
can be, arrays and maps in one piece, the names in a map sorted, text in UTF-8, nothing
to spare. Two readers cannot differ over such bytes, and the memory that a reader needs is
bounded by their length.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.compiled import compiled, compiled_with_arrays

# Verdicts: no record; one, but written otherwise; as it must be; and all text in it short, in
# ASCII and without NUL, so that nothing more need be asked about it.
DAMAGED, LOOSE, SOUND, PLAIN = 0, 1, 2, 3


_END, _LONG, _BYTES, _DOUBLE, _BOOLEAN, _ENUM, _CHOICE, _GO, _MANY, _NAME, _AGAIN = range(11)
_SIMPLE = {"long": _LONG, "int": _LONG, "string": _BYTES, "double": _DOUBLE, "boolean": _BOOLEAN}
_MAX_NESTED = 8  # arrays and maps within one another
_LONGEST = 10  # bytes of a whole number
_SHORT = 1 << 14  # bytes of a text

Program = NDArray[np.int64]


class NoProgram(Exception):
    """A schema with types that nothing of ours is written with."""


def program(schema: str) -> Program:
    """The steps that follow a record of a schema (JSON) from its first byte to its last.

    Raises:
        NoProgram: It has bytes, fixed, float, or a type that holds itself.
    """
    steps: list[int] = []
    _lay(msgspec.json.decode(schema), steps, {}, ())
    steps.append(_END)
    return np.array(steps, np.int64)


def verdicts(steps: Program, records: Sequence[bytes]) -> list[int]:
    """DAMAGED, LOOSE, SOUND or PLAIN, for each record."""
    ends = np.cumsum([0, *map(len, records)], dtype=np.int64)
    data = np.frombuffer(b"".join(records), np.uint8)
    out = np.empty(len(records), np.int64)
    _follow_all(steps, data, ends, out)
    return [int(verdict) for verdict in out]


def _lay(schema: Any, steps: list[int], named: dict[str, Any], inside: tuple[str, ...]) -> None:
    """Add the steps of a type; `named` has the types met so far, `inside` those not done yet."""
    if isinstance(schema, str):
        if schema in _SIMPLE:
            steps.append(_SIMPLE[schema])
        elif schema in named and schema not in inside:
            _lay(named[schema], steps, named, inside)
        elif schema != "null":
            raise NoProgram(schema)
    elif isinstance(schema, list):
        _lay_choice(schema, steps, named, inside)
    elif schema["type"] in ("array", "map"):
        _lay_many(schema, steps, named, inside)
    elif schema["type"] in ("record", "enum"):
        named[schema["name"]] = schema
        if schema["type"] == "enum":
            steps += [_ENUM, len(schema["symbols"])]
            return
        for field in schema["fields"]:
            _lay(field["type"], steps, named, (*inside, schema["name"]))
    else:
        _lay(schema["type"], steps, named, inside)


def _lay_choice(
    branches: Sequence[Any], steps: list[int], named: dict[str, Any], inside: tuple[str, ...]
) -> None:
    steps += [_CHOICE, len(branches)]
    table = len(steps)
    steps += [0] * len(branches)
    exits = []
    for number, branch in enumerate(branches):
        steps[table + number] = len(steps)
        _lay(branch, steps, named, inside)
        steps += [_GO, 0]
        exits.append(len(steps) - 1)
    for place in exits:
        steps[place] = len(steps)


def _lay_many(
    schema: Mapping[str, Any], steps: list[int], named: dict[str, Any], inside: tuple[str, ...]
) -> None:
    steps += [_MANY, 0]
    begin = len(steps)
    if schema["type"] == "map":
        steps.append(_NAME)
    _lay(schema["items" if schema["type"] == "array" else "values"], steps, named, inside)
    steps += [_AGAIN, begin]
    steps[begin - 1] = len(steps)


@compiled_with_arrays
def _follow_all(steps, data, ends, out):
    """Judge each record; compiled in one piece with what follows it."""
    left = np.zeros(_MAX_NESTED, np.int64)
    names = np.zeros((_MAX_NESTED, 2), np.int64)
    for index in range(out.size):
        out[index] = _follow(steps, data, ends[index], ends[index + 1], left, names)


@compiled
def _follow(steps, data, at, end, left, names):
    """Go through one record.

    `left` has how many items of the open arrays and maps are still to come, `names` where
    the last name in each lies.
    """
    step, depth, told = 0, 0, PLAIN
    while steps[step] != _END:
        kind = steps[step]
        step += 1
        if kind == _GO:
            step = steps[step]
        elif kind == _BOOLEAN:
            if at >= end or data[at] > 1:
                return DAMAGED
            at += 1
        elif kind == _DOUBLE:
            at += 8
        elif kind == _AGAIN:
            left[depth - 1] -= 1
            if left[depth - 1] > 0:
                step = steps[step]
                continue
            if at >= end:
                return DAMAGED
            if data[at] != 0:
                return LOOSE
            at, depth, step = at + 1, depth - 1, step + 1
        else:
            number, at, verdict = _number(data, at, end)
            if verdict != SOUND:
                return verdict
            if kind in (_BYTES, _NAME):
                if number < 0 or number > end - at:
                    return DAMAGED
                told = min(told, _text(data, at, at + number))
                if told == DAMAGED:
                    return DAMAGED
                if kind == _NAME and not _comes_later(data, names[depth - 1], at, number):
                    return LOOSE
                at += number
            elif kind in (_ENUM, _CHOICE):
                if number < 0 or number >= steps[step]:
                    return DAMAGED
                step = step + 1 if kind == _ENUM else steps[step + 1 + number]
            elif kind == _MANY and number == 0:
                step = steps[step]
            elif kind == _MANY:
                if number < 0 or depth == _MAX_NESTED:
                    return LOOSE
                left[depth] = number
                names[depth, 1] = -1
                depth, step = depth + 1, step + 1
        if at > end:
            return DAMAGED
    return told if at == end else DAMAGED


@compiled
def _number(data, at, end):
    """A whole number, where it ends, and whether it is there and as short as can be."""
    bits, shift = 0, 0
    while True:
        if at >= end:
            return 0, at, DAMAGED
        byte = int(data[at])
        at += 1
        last = byte < 128
        if shift == 7 * (_LONGEST - 1) and byte > 1:
            return 0, at, LOOSE
        if last and byte == 0 and shift > 0:
            return 0, at, LOOSE
        bits |= (byte & 127) << shift
        shift += 7
        if last:
            return ((bits >> 1) & 0x7FFF_FFFF_FFFF_FFFF) ^ -(bits & 1), at, SOUND


@compiled
def _comes_later(data, before, at, size):
    """Whether a name comes after the one before it, which it then takes the place of."""
    start, length = before[0], before[1]
    before[0], before[1] = at, size
    if length < 0:
        return True
    for offset in range(min(length, size)):
        if data[start + offset] != data[at + offset]:
            return data[start + offset] < data[at + offset]
    return length < size


@compiled
def _text(data, at, end):
    """Whether bytes are UTF-8, as Unicode has it: nothing too long, no half of a pair."""
    told = PLAIN if end - at <= _SHORT else SOUND
    while at < end:
        byte = int(data[at])
        at += 1
        if 0 < byte < 0x80:
            continue
        told = SOUND
        if byte == 0:
            continue
        if byte < 0xC2 or byte > 0xF4:
            return DAMAGED
        more = 1 + (byte >= 0xE0) + (byte >= 0xF0)
        if more > end - at:
            return DAMAGED
        second = int(data[at])
        low = 0xA0 if byte == 0xE0 else 0x90 if byte == 0xF0 else 0x80
        high = 0x9F if byte == 0xED else 0x8F if byte == 0xF4 else 0xBF
        if not low <= second <= high:
            return DAMAGED
        for offset in range(1, more):
            if data[at + offset] & 0xC0 != 0x80:
                return DAMAGED
        at += more
    return told
