"""What one condition says of a value: exact for numbers, false where types do not match."""

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import re2
from numpy.typing import NDArray

from engine.touchpoint import Scalar

Operators = Mapping[str, Scalar | tuple[Scalar, ...]]
INT64 = np.iinfo(np.int64)


def holds(operators: Operators, value: Scalar | None) -> bool:
    """Whether all operators hold for a value; None stands for an absent field."""
    return all(_holds(name, operand, value) for name, operand in operators.items())


def _holds(name: str, operand: Any, value: Scalar | None) -> bool:
    if name == "exists":
        return (value is not None) is bool(operand)
    if name == "not":
        return value is None or not _one_of(operand, value)
    return value is not None and bool(_PRESENT[name](operand, value))


def _one_of(operands: tuple[Scalar, ...], value: Scalar) -> bool:
    return any(_kind(operand) is _kind(value) and operand == value for operand in operands)


def _kind(value: Scalar) -> type:
    return type(value) if isinstance(value, bool | str) else float


def _is_number(value: Scalar) -> bool:
    return bool(_kind(value) is float)


@lru_cache(maxsize=1024)
def _pattern(text: str) -> Any:
    return re2.compile(text)


_PRESENT: Mapping[str, Callable[[Any, Any], bool]] = {
    "is": _one_of,
    "in": _one_of,
    "at_least": lambda operand, value: _is_number(value) and value >= operand,
    "at_most": lambda operand, value: _is_number(value) and value <= operand,
    "starts_with": lambda operand, value: isinstance(value, str) and value.startswith(operand),
    "contains": lambda operand, value: isinstance(value, str) and operand in value,
    "matches": lambda operand, value: (
        isinstance(value, str) and _pattern(operand).search(value) is not None
    ),
}


def holds_for_numbers(operators: Operators, values: NDArray[Any]) -> NDArray[np.bool_]:
    """The same for many present numbers at once, int64 or float64, compared exactly."""
    result = np.ones(len(values), dtype=np.bool_)
    for name, operand in operators.items():
        result &= _number_verdict(name, operand, values)
    return result


def _number_verdict(name: str, operand: Any, values: NDArray[Any]) -> NDArray[np.bool_]:
    if name == "exists":
        return np.full(len(values), bool(operand))
    if name in ("is", "in", "not"):
        found = np.isin(values, _same_numbers(operand, values.dtype))
        return ~found if name == "not" else found
    if name == "at_least":
        return _at_least(operand, values)
    if name == "at_most":
        return _at_most(operand, values)
    return np.zeros(len(values), dtype=np.bool_)


def _same_numbers(operands: tuple[Scalar, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The operands that a column of this type can hold exactly."""
    numbers = [number for number in operands if _is_number(number)]
    if dtype.kind == "f":
        return np.array([float(n) for n in numbers if float(n) == n], dtype=dtype)
    whole = [int(n) for n in numbers if int(n) == n]
    return np.array([n for n in whole if INT64.min <= n <= INT64.max], dtype=dtype)


def _at_least(operand: int | float, values: NDArray[Any]) -> NDArray[np.bool_]:
    if values.dtype.kind == "f":
        bound = float(operand)
        return values >= (math.nextafter(bound, math.inf) if bound < operand else bound)
    whole = math.ceil(operand)
    if whole > INT64.max:
        return np.zeros(len(values), dtype=np.bool_)
    return values >= max(whole, INT64.min)


def _at_most(operand: int | float, values: NDArray[Any]) -> NDArray[np.bool_]:
    if values.dtype.kind == "f":
        bound = float(operand)
        return values <= (math.nextafter(bound, -math.inf) if bound > operand else bound)
    whole = math.floor(operand)
    if whole < INT64.min:
        return np.zeros(len(values), dtype=np.bool_)
    return values <= min(whole, INT64.max)
