"""Values of rule files in words: durations, conditions, what a move asks."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from engine.ruleid import canonical
from engine.rulelang.clocks import DAYS
from engine.rulelang.signals import FIELDS, GROUPS
from engine.rulelang.values import DURATION

DURATIONS = {
    *("half_life", "every", "time_limit", "window", "within"),
    *("after_silence", "after_stay", "silent_for"),
}
BOUNDS = ("at_least", "below")  # of a score, among others
MANY = 8  # entries of two lists, of which only those that differ are told
TOLD = 5  # entries of a list, where only those that differ are told

_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week"}
_WORDS = {"half_life": "half-life", "enters": "entering", "in": "one of"}
_LEFT_OUT = dict.fromkeys(("zone", "from", "kind", "order", "entry"), "the default")
_LEFT_OUT |= dict.fromkeys(DAYS, "closed")
_JOINTS = {"": "; ", "when": " and ", "where": " and "}
_APART = re.compile(r"[\s,;()→\"]")  # what a text is put between quotes for


def name(key: str) -> str:
    """A key as people read it."""
    return _WORDS.get(key) or key.replace("_", " ")


def subject(key: str, inside: str, older: Mapping[str, Any], newer: Mapping[str, Any]) -> str:
    """What is told of a key: of a table that stands under the key `inside`, or of a larger one."""
    about = {part: older.get(part) for part in ("score", "signal") if _agree(part, older, newer)}
    if inside in GROUPS:
        return f"{inside}.{key}"
    if inside == "label":
        return f"label in {key}"
    if inside == "hours":
        return f"hours on {key}"
    if inside == "count":
        return f"count of {about['signal']} {name(key)}" if about else f"count: {name(key)}"
    if key in BOUNDS and "score" in about:
        return f"{about['score']} {name(key)}"
    return f"{name(inside)}, {name(key)}" if inside == "value_at_least" else name(key)


def change(key: str, inside: str, before: Any, after: Any) -> str:
    """How a value changes."""
    if isinstance(before, list) and isinstance(after, list) and len(before) + len(after) > MANY:
        return _lists(before, after)
    asks = key in FIELDS or inside in GROUPS
    was, now = (_asked(one) if asks else said(key, one) for one in (before, after))
    if was == now:  # two ways to write one thing
        was, now = (canonical(one).decode() for one in (before, after))
    return f"{was} → {now}"


def said(key: str, value: Any) -> str:
    """A value, or what holds where there is none."""
    if value is None:
        return _LEFT_OUT.get(key, "none")
    if isinstance(value, dict):
        return _JOINTS.get(key, ", ").join(_parts(value))
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    if key in DURATIONS and (found := DURATION.fullmatch(value)):
        return f"{found[1]} {_UNITS[found[2]]}{'s' * (found[1] != '1')}"
    return _plain(value)


def _parts(table: Mapping[str, Any]) -> Iterator[str]:
    """What the keys of a table say; the bounds of a score are said with it."""
    bounds = [f"{name(key)} {_plain(table[key])}" for key in BOUNDS if key in table]
    for key, value in table.items():
        if key == "score" and bounds:
            yield f"{value} {' and '.join(bounds)}"
        elif key in FIELDS:
            yield f"{key} {_asked(value)}"
        elif key in GROUPS:
            yield from (f"{key}.{part} {_asked(one)}" for part, one in value.items())
        elif key not in BOUNDS or "score" not in table:
            yield f"{name(key)} {said(key, value)}"


def _asked(condition: Any) -> str:
    """What a field must be."""
    if condition is None:
        return "anything"
    if isinstance(condition, list):
        return f"one of {said('', condition)}"
    if isinstance(condition, dict):
        return " and ".join(_operator(key, value) for key, value in condition.items())
    return _plain(condition)


def _operator(key: str, value: Any) -> str:
    if key == "exists":
        return "there" if value else "absent"
    if key == "not" and isinstance(value, list):
        return f"none of {said('', value)}"
    return f"{name(key)} {said('', value)}"


def _lists(before: Sequence[Any], after: Sequence[Any]) -> str:
    """How a long list changes."""
    was, now = ({canonical(one): one for one in some} for some in (before, after))
    new = [one for key, one in now.items() if key not in was]
    gone = [one for key, one in was.items() if key not in now]
    told = [f"{word} {_few(some)}" for word, some in (("with", new), ("without", gone)) if some]
    return f"{len(before)} → {len(after)}, {'; '.join(told) or 'the same in another order'}"


def _few(some: Sequence[Any]) -> str:
    more = f" and {len(some) - TOLD} more" if len(some) > TOLD else ""
    return said("", list(some[:TOLD])) + more


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, str):
        plain = value.isprintable() and value and not _APART.search(value)
        return value if plain else json.dumps(value, ensure_ascii=False)
    return str(value)


def _agree(key: str, older: Mapping[str, Any], newer: Mapping[str, Any]) -> bool:
    return key in older and older[key] == newer.get(key)
