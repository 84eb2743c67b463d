"""Reading TOML tables without stopping at the first fault.

A reader is a function from a `Node` (a value and where it stands) to what it
means; it raises `Wrong` for a value that it cannot take. `Table` asks readers
for its keys, notes each fault and goes on with a stand-in, so that one pass
finds them all. What was read counts only when no fault was noted.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from engine.nearest import did_you_mean

INT64 = range(-(2**63), 2**63)
Path = tuple[str | int, ...]
T = TypeVar("T")
D = TypeVar("D")


class Wrong(Exception):
    """A value that cannot be taken: where, and why not."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


@dataclass(frozen=True)
class Names:
    """What a file defines, by name, so that a reference may come before what it names."""

    zone: str
    signals: tuple[str, ...]
    scores: tuple[str, ...]
    calendars: tuple[str, ...]
    tracks: tuple[tuple[str, tuple[str, ...]], ...]  # with their stages, as listed


@dataclass
class Reading:
    """One pass over a file: the names it defines and the faults found so far."""

    names: Names
    faults: list[tuple[Path, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Node:
    """A value of the file and where it stands."""

    data: Any
    path: Path
    reading: Reading

    def child(self, key: str | int) -> "Node":
        """The value under a key or at an index."""
        return Node(self.data[key], (*self.path, key), self.reading)

    def wrong(self, message: str) -> Wrong:
        """The fault of this value, to be raised."""
        return Wrong(self.path, message)

    def attempt(self, read: "Reader[T]", default: D) -> T | D:
        """What the value means; a fault is noted and gives the default."""
        try:
            return read(self)
        except Wrong as wrong:
            self.reading.faults.append((wrong.path, wrong.message))
            return default


Reader = Callable[[Node], T]


class Table:
    """A table whose keys are taken one by one; `close` notes those that nobody asked for."""

    def __init__(self, node: Node) -> None:
        if not isinstance(node.data, dict):
            raise node.wrong(f"must be a table, not {described(node.data)}")
        self.node = node
        self.asked: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self.node.data

    def fault(self, message: str, *key: str | int) -> None:
        """Note a fault of the table, or of what stands under a key of it."""
        self.node.reading.faults.append(((*self.node.path, *key), message))

    def take(self, key: str, read: Reader[T], default: D) -> T | D:
        """What stands under an optional key; the default where it is absent or faulty."""
        self.asked.append(key)
        return self.node.child(key).attempt(read, default) if key in self else default

    def need(self, key: str, read: Reader[T], default: D) -> T | D:
        """What stands under a key that must be there; the default only where a fault was noted."""
        if key not in self:
            self.fault("is missing", key)
        return self.take(key, read, default)

    def only_with(self, key: str, other: str) -> None:
        """Note a fault where a key stands without the other that gives it a meaning."""
        if key in self and other not in self:
            self.fault(f"has a meaning only with `{other}`", key)

    def close(self) -> None:
        """Note every unknown key, with the nearest known one."""
        for key in self.node.data:
            if key not in self.asked:
                self.fault(f"unknown key; {did_you_mean(key, self.asked)}", key)


def table(read: Callable[[Table], T]) -> Reader[T]:
    """The reader of a table that is not empty and has no keys but those that `read` asks for."""

    def reader(node: Node) -> T:
        opened = Table(node)
        if not node.data:
            opened.fault("must not be empty")
            opened = Table(replace(node, reading=Reading(node.reading.names)))  # says it all
        value = read(opened)
        opened.close()
        return value

    return reader


def many(read: Reader[T]) -> Reader[tuple[T, ...]]:
    """The reader of a list that is not empty."""

    def reader(node: Node) -> tuple[T, ...]:
        if not isinstance(node.data, list):
            raise node.wrong(f"must be a list, not {described(node.data)}")
        if not node.data:
            raise node.wrong("must not be an empty list")
        items = (node.child(index).attempt(read, None) for index in range(len(node.data)))
        return tuple(item for item in items if item is not None)

    return reader


def some(read: Reader[T]) -> Reader[tuple[T, ...]]:
    """The reader of one value, or of a list of them that is not empty."""

    def reader(node: Node) -> tuple[T, ...]:
        return many(read)(node) if isinstance(node.data, list) else (read(node),)

    return reader


def tables(read: Callable[[Table], T], limit: int | None = None) -> Reader[tuple[T, ...]]:
    """The reader of an array of tables; a name, where they have one, may occur once."""

    def reader(node: Node) -> tuple[T, ...]:
        if isinstance(node.data, dict):
            raise node.wrong(f"must be an array of tables: write [[{_header(node.path)}]]")
        items = many(table(read))(node)
        if limit is not None and len(node.data) > limit:
            raise Wrong((*node.path, limit), f"{len(node.data)} are too many, at most {limit} go")
        _note_twins(node)
        return items

    return reader


def _note_twins(node: Node) -> None:
    first: dict[str, int] = {}
    for index, item in enumerate(node.data):
        name = item.get("name") if isinstance(item, dict) else None
        if isinstance(name, str) and first.setdefault(name, index) != index:
            twin = shown_path((*node.path, first[name]))
            fault = f"{shown(name)} is the name of {twin} already"
            node.reading.faults.append(((*node.path, index, "name"), fault))


def shown(value: object) -> str:
    """A value as it may appear in a message: short, on one line."""
    if isinstance(value, int) and value not in INT64:
        return "beyond 64 bits"  # str() refuses some of these
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def described(value: object) -> str:
    """What kind of value stands there, in words."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, str):
        return f"the text {shown(value)}"
    if hasattr(value, "isoformat"):
        return "a date or time of TOML (write it as a string)"
    return f"the number {shown(value)}"


def shown_path(path: Path) -> str:
    """A path as it is written in messages: `track[0].move[2].when`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _is_bare(part) else shown(part))
    return text


def _is_bare(key: str) -> bool:
    return bool(key) and key.isascii() and key.replace("_", "").replace("-", "").isalnum()


def _header(path: Path) -> str:
    return ".".join(part for part in path if isinstance(part, str))
