"""Readers of single values: names, durations, points, references."""

import functools
import math
import re
from decimal import Decimal
from importlib import resources

import re2

from engine.nearest import did_you_mean
from engine.rulelang.reader import INT64, Node, Reader, Table, described, shown, table
from engine.touchpoint import Scalar

NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
DURATION = re.compile(r"([1-9][0-9]{0,14})([smhdw])")
UNIT_US = {
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}
MAX_DURATION_US = 1_000_000 * UNIT_US["w"]  # beyond all time, and sums stay far within int64
MAX_POINTS = 10**6
MAX_MICRO_POINTS = MAX_POINTS * 10**6
MICRO = Decimal("0.000001")
MAX_COUNT = 10**9
LANGUAGES = ("en", "vi", "th")


def text(node: Node) -> str:
    """A text that is not empty."""
    if not words(node):
        raise node.wrong("must not be an empty text")
    return words(node)


def name(node: Node) -> str:
    """A name that the file defines."""
    if not NAME.fullmatch(text(node)):
        raise node.wrong(
            f"{shown(node.data)} is no name: a small letter, then at most 47 of a-z, 0-9 and _"
        )
    return text(node)


def duration(node: Node) -> int:
    """A duration, in microseconds."""
    match = DURATION.fullmatch(text(node))
    if not match:
        raise node.wrong(
            f"{shown(node.data)} is no duration: "
            "write a positive integer and one of s, m, h, d, w, such as 30d"
        )
    duration_us = int(match[1]) * UNIT_US[match[2]]
    if duration_us > MAX_DURATION_US:
        raise node.wrong(f"{shown(node.data)} is too long, at most 1000000w go")
    return duration_us


def half_life(node: Node) -> int:
    """A half-life, in microseconds."""
    if duration(node) < UNIT_US["h"]:
        raise node.wrong(f"{shown(node.data)} is too short, a half-life is at least 1h")
    return duration(node)


def number(node: Node) -> int | Decimal:
    """A finite number; a boolean is none."""
    if isinstance(node.data, bool) or not isinstance(node.data, int | Decimal):
        raise node.wrong(f"must be a number, not {described(node.data)}")
    if isinstance(node.data, Decimal) and not math.isfinite(float(node.data)):
        raise node.wrong(f"{shown(node.data)} is not a finite number")
    if isinstance(node.data, int) and node.data not in INT64:
        raise node.wrong("is an integer beyond 64 bits")
    return node.data


def points(node: Node) -> int:
    """Points, as micro-points."""
    value = Decimal(number(node))
    if not -MAX_POINTS <= value <= MAX_POINTS:
        raise node.wrong(f"{shown(value)} is too far from 0, at most {MAX_POINTS} points go")
    exact = value.quantize(MICRO)
    if exact != value:
        raise node.wrong(f"{shown(value)} has more than 6 decimals")
    return int(exact.scaleb(6))


def integer(low: int, high: int) -> Reader[int]:
    """The reader of an integer between two bounds, both included."""

    def reader(node: Node) -> int:
        value = node.data
        if isinstance(value, bool) or not isinstance(value, int):
            raise node.wrong(f"must be an integer, not {described(value)}")
        if not low <= value <= high:
            raise node.wrong(f"must be an integer from {low} to {high}")
        return value

    return reader


count = integer(1, MAX_COUNT)


def probability(node: Node) -> float:
    """A share between 0 and 1."""
    if not 0 <= number(node) <= 1:
        raise node.wrong(f"{shown(node.data)} is no probability: write a number from 0 to 1")
    return float(node.data)


def boolean(node: Node) -> bool:
    """True or false."""
    if not isinstance(node.data, bool):
        raise node.wrong(f"must be true or false, not {described(node.data)}")
    return node.data


def scalar(node: Node) -> Scalar:
    """What an attribute can be: a text, a number or a boolean."""
    if isinstance(node.data, str | bool):
        return node.data
    if isinstance(node.data, list | dict) or hasattr(node.data, "isoformat"):
        raise node.wrong(f"must be a text, a number or a boolean, not {described(node.data)}")
    return plain(node)


def plain(node: Node) -> int | float:
    """A number to compare with: an integer, or the double that it stands for."""
    value = number(node)
    return value if isinstance(value, int) else float(value)


def choice(*options: str) -> Reader[str]:
    """The reader of one of a few words."""

    def reader(node: Node) -> str:
        if text(node) not in options:
            raise node.wrong(f"{shown(node.data)} is none of {', '.join(options)}")
        return text(node)

    return reader


def currency(node: Node) -> str:
    """An ISO 4217 code."""
    if not re.fullmatch("[A-Z]{3}", text(node)):
        raise node.wrong(f"{shown(node.data)} is no currency: write three capitals, such as VND")
    return text(node)


def words(node: Node) -> str:
    """A text, which may be empty."""
    if not isinstance(node.data, str):
        raise node.wrong(f"must be one text, not {described(node.data)}")
    return node.data


def pattern(node: Node) -> str:
    """An RE2 expression."""
    options = re2.Options()
    options.log_errors = False  # the fault says it; re2 would write to standard error, too
    try:
        re2.compile(words(node), options)
    except re2.error as error:
        reason = error.args[0]
        told = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise node.wrong(f"{shown(node.data)} is no RE2 expression: {told}") from error
    return words(node)


@functools.cache
def zones() -> tuple[str, ...]:
    """The IANA zones, from the packaged table: the same on every machine."""
    return tuple(resources.files("tzdata").joinpath("zones").read_text("utf-8").split())


def zone(node: Node) -> str:
    """An IANA time zone."""
    if text(node) not in zones():
        hint = did_you_mean(node.data, zones())
        raise node.wrong(f"no time zone is called {shown(node.data)}; {hint}")
    return text(node)


def _read_label(opened: Table) -> dict[str, str]:
    given = {language: opened.take(language, text, "") for language in LANGUAGES}
    return {language: words for language, words in given.items() if words}


label: Reader[dict[str, str]] = table(_read_label)
