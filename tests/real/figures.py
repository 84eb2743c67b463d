"""Figures: numbers of a data set's file of expectations, and where a command prints each."""

import json
import math
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

DAY_US = 86_400_000_000
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
HERE = Path(__file__).resolve().parent
TOLERANCE = 1e-6  # of the file of expectations, which is rounded to six decimals

Document = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """All numbers below a key, from the JSON documents of one or several commands."""

    expected: str  # keys, joined by /
    commands: tuple[str, ...]
    pick: Callable[..., Any]  # of as many documents as there are commands


def figure(expected: str, *commands: str) -> Callable[[Callable[..., Any]], Figure]:
    """Make a figure of the function that picks it out of the documents."""
    return lambda pick: Figure(expected, commands, pick)


class Engine:
    """A database of its own, asked through the command line; each question once."""

    def __init__(self, folder: Path) -> None:
        self.environment = {
            "LEADLEDGER_DATABASE_URL": f"sqlite:///{folder / 'real.db'}",
            "LEADLEDGER_IDENTIFIER_KEY": bytes(range(32)).hex(),
        }
        self.answers: dict[str, Document] = {}

    def run(self, command: str) -> str:
        """What a command prints on standard output; it must end well."""
        from engine.cli.main import cli

        result = CliRunner().invoke(cli, shlex.split(command), env=self.environment)
        assert result.exit_code == 0, f"leadledger {command}: {result.output}{result.exception}"
        return result.stdout

    def ask(self, command: str) -> Document:
        """The JSON document of a command."""
        if command not in self.answers:
            self.answers[command] = json.loads(self.run(f"{command} --json"))
        return self.answers[command]


def quoted(path: Path) -> str:
    """A path as a word of a command."""
    return shlex.quote(str(path))


def data_set(name: str) -> Path:
    """The folder of a data set; the test is skipped where it is not there."""
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is not there")
    return folder


def expectations(name: str) -> Document:
    """The numbers that somebody else computed for a data set."""
    path = DATA / "expected" / f"{name}.json"
    if not path.is_file():
        return {}
    document: Document = json.loads(path.read_text(encoding="utf-8"))
    return dict(document["numbers"])


def at(numbers: Any, keys: str) -> Any:
    """What stands under keys joined by /."""
    for key in keys.split("/"):
        numbers = numbers[key]
    return numbers


def differences(expected: Any, found: Any, keys: str = "") -> list[str]:
    """Every place where two documents differ; integers exactly, others by the tolerance."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        names = sorted(expected.keys() | found.keys())
        gone = object()
        return [
            difference
            for name in names
            for difference in differences(
                expected.get(name, gone), found.get(name, gone), f"{keys}/{name}"
            )
        ]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        return [d for at, (one, other) in pairs for d in differences(one, other, f"{keys}/{at}")]
    return [] if same(expected, found) else [f"{keys}: expected {expected}, found {found}"]


def same(expected: Any, found: Any) -> bool:
    """Whether two numbers are one."""
    if isinstance(expected, float) and isinstance(found, int | float):
        return math.isclose(expected, found, rel_tol=0, abs_tol=TOLERANCE)
    return type(expected) is type(found) and bool(expected == found)


def leaves(numbers: Any, keys: str = "") -> Iterator[str]:
    """The keys of every single number."""
    children: Iterator[tuple[Any, Any]]
    if isinstance(numbers, Mapping):
        children = iter(numbers.items())
    elif isinstance(numbers, list):
        children = iter(enumerate(numbers))
    else:
        yield keys
        return
    for key, value in children:
        yield from leaves(value, f"{keys}/{key}" if keys else str(key))


def below(keys: str, prefix: str) -> bool:
    """Whether keys lie at or below a prefix."""
    return keys == prefix or keys.startswith(f"{prefix}/")


def left_over(numbers: Document, figures: list[Figure], unmatched: Mapping[str, str]) -> list[str]:
    """Numbers that are neither compared nor unmatched, or both; and keys that no number has."""
    compared = [one.expected for one in figures]
    found = list(leaves(numbers))
    doubtful = [
        keys
        for keys in found
        if any(below(keys, one) for one in compared) == any(below(keys, one) for one in unmatched)
    ]
    return doubtful + [
        prefix
        for prefix in (*compared, *unmatched)
        if not any(below(keys, prefix) for keys in found)
    ]


def untold(name: str, figures: list[Figure], unmatched: Mapping[str, str]) -> list[str]:
    """What is left over of a data set's numbers; prints what is unmatched, and why."""
    data_set(name)
    for keys, reason in unmatched.items():
        print(f"unmatched: {name} {keys}: {reason}")
    return left_over(expectations(name), figures, unmatched)


def buckets(document: Document, read: Callable[[Document], Any]) -> dict[str, Any]:
    """What is read of every bucket of a breakdown by one thing."""
    return {next(iter(bucket["by"].values())): read(bucket) for bucket in document["buckets"]}


def reached(document: Document, step: int) -> int:
    """How many reached a step, counted from 1."""
    return int(document["steps"][step - 1]["reached"])


def top(counts: Mapping[str, int], size: int = 5) -> dict[str, int]:
    """The largest counts, ties by name."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return dict(ordered[:size])
