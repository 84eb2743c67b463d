"""Rows in words: what a packed touchpoint says, and where two rows differ."""

from typing import Any

import numpy as np

from engine.history import ATTRIBUTE, OTHER, TOUCH, Packed, Strings

Row = dict[str, Any]  # by column
_TEXTS = frozenset(name for name in TOUCH.names or () if TOUCH[name] == np.dtype("<i4"))


def fields_of(row: Row | None, strings: Strings) -> Row | None:
    """A row with what is packed in it taken apart; None stays so."""
    if row is None or "packed" not in row:
        return row
    rest = {column: value for column, value in row.items() if column != "packed"}
    return rest | _unpacked(row["packed"], strings)


def differing(one: Row, other: Row) -> tuple[Row, Row]:
    """What two rows say in those columns in which they differ."""
    columns = [name for name in (one | other) if one.get(name) != other.get(name)]
    return {name: one.get(name) for name in columns}, {name: other.get(name) for name in columns}


def _unpacked(data: Any, strings: Strings) -> Row:
    """The fields of a packed touchpoint; where it is none, its bytes."""
    try:
        packed = Packed([data])
        touch = {name: packed.column(name)[0].item() for name in TOUCH.names or ()}
        texts = {name: _text(number, strings) for name, number in touch.items() if name in _TEXTS}
        at = TOUCH.itemsize
        attributes = np.frombuffer(data, ATTRIBUTE, touch["attributes"], at)
        at += attributes.nbytes
        others = np.frombuffer(data, OTHER, touch["others"], at).tolist()
        event_id = data[at + OTHER.itemsize * len(others) :].decode()
    except (TypeError, ValueError, IndexError):
        return {"packed": data.hex() if isinstance(data, bytes) else repr(data)}
    values = {
        _text(one["name"].item(), strings): [one["tag"].item(), one["bits"].item()]
        for one in attributes
    }
    return {**touch, **texts, "attributes": values, "others": others, "event_id": event_id}


def _text(number: int, strings: Strings) -> str | None:
    """The text of a number; where the dictionary has none, the number."""
    if not number:
        return None
    try:
        return strings.texts([number])[0]
    except KeyError:
        return f"#{number}"
