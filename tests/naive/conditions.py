"""Signals: what a touchpoint must be like."""

import re
from decimal import Decimal
from typing import Any

from tests.naive.touchpoints import Touch

TEXT_FIELDS = ("type", "channel", "source")
RECORDS = ("campaign", "actor", "amount", "attributes")


def number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(value: Any, wanted: Any) -> bool:
    """Equal and of one type, where integers and floats are one: numbers."""
    if number(value) and number(wanted):
        return bool(value == wanted)
    return type(value) is type(wanted) and bool(value == wanted)


def one_of(value: Any, wanted: Any) -> bool:
    choices = wanted if isinstance(wanted, list) else [wanted]
    return any(same(value, choice) for choice in choices)


def operator_holds(operator: str, wanted: Any, value: Any) -> bool:
    """One operator on one field; `value` is None where the field is absent."""
    if operator == "exists":
        return bool(wanted) == (value is not None)
    if operator == "not":
        return value is None or not one_of(value, wanted)
    if value is None:
        return False
    if operator in ("is", "in"):
        return one_of(value, wanted)
    if operator == "at_least":
        return number(value) and value >= wanted
    if operator == "at_most":
        return number(value) and value <= wanted
    if not isinstance(value, str):
        return False
    if operator == "starts_with":
        return value.startswith(wanted)
    if operator == "contains":
        return wanted in value
    assert operator == "matches", operator
    return re.search(wanted, value) is not None


def condition_holds(condition: Any, value: Any) -> bool:
    """A scalar means `is`, a list means `in`, a table holds operators."""
    if not isinstance(condition, dict):
        return one_of(value, condition) if value is not None else False
    return all(operator_holds(name, wanted, value) for name, wanted in condition.items())


def table_holds(table: dict[str, Any], touch: Touch) -> bool:
    """Whether all conditions of one table hold, `any` left to the caller."""
    for name, condition in table.items():
        if name in TEXT_FIELDS and not condition_holds(condition, getattr(touch, name)):
            return False
        if name in RECORDS:
            record = getattr(touch, name) or {}
            if not all(condition_holds(part, record.get(key)) for key, part in condition.items()):
                return False
    return True


def carries(signal: dict[str, Any], touch: Touch) -> bool:
    """Whether a touchpoint carries a signal, as the rule set words it."""
    if not table_holds(signal, touch):
        return False
    return "any" not in signal or any(table_holds(table, touch) for table in signal["any"])


def as_doubles(value: Any) -> Any:
    """A TOML value with its decimals as doubles, which is what touchpoints hold."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {name: as_doubles(part) for name, part in value.items()}
    if isinstance(value, list):
        return [as_doubles(part) for part in value]
    return value
