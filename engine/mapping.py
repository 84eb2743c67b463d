"""Mappings: how the rows of somebody's file become touchpoints.

Pure: a row comes in as flat fields (`lead.email` for what is nested), touchpoints
go out in the interchange form, for an edge to accept. A row that cannot be read
raises `Unmappable`, which names columns and never a value.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from engine.cells import (
    Amount,
    Cell,
    Fields,
    Notation,
    instant,
    money,
    named,
    read,
    text_of,
)
from engine.errors import Unmappable
from engine.touchpoint import Scalar

Table = Mapping[str, Fields]  # a second file: its rows by their key


class Requirement(Struct, frozen=True):
    """What a column must be like for an outline to apply."""

    column: str
    operator: Literal["in", "not", "exists"]
    operands: tuple[str, ...] = ()  # in, not
    there: bool = True  # exists


class Outline(Struct, frozen=True, kw_only=True):
    """How a row becomes one touchpoint, if all of `when` holds for it."""

    fields: Mapping[str, Cell]  # by field, dotted within campaign, actor, attributes, personal
    occurred_at: Cell
    missing_time: Cell | None = None
    when: tuple[Requirement, ...] = ()
    identifiers: tuple[Mapping[str, Cell], ...] = ()
    mentions: tuple[Mapping[str, Cell], ...] = ()
    amount: Amount | None = None


class Lookup(Struct, frozen=True, kw_only=True):
    """A second file beside the imported one; its columns join a row as NAME.COLUMN."""

    name: str
    file: str
    key: str  # its column that a row is looked up by
    by: Cell  # what of the row is looked up there
    refuse: bool = False  # a row that finds nothing
    delimiter: str = ","
    encoding: str = "utf-8"


class RowMapping(Struct, frozen=True, kw_only=True):
    """How to read a file, and the touchpoints that a row of it stands for."""

    name: str
    id: str  # SHA-256 of what it says
    origin: str  # the shipped name, or the path, that finds it again
    outlines: tuple[Outline, ...]
    lookups: tuple[Lookup, ...] = ()
    notation: Notation = Notation()
    format: Literal["csv", "jsonl"] = "csv"
    delimiter: str = ","
    quote: str = '"'
    encoding: str = "utf-8"
    columns: tuple[str, ...] = ()  # names, where the file has no heading line

    @property
    def counts_equal_rows(self) -> bool:
        """Whether an event id rests on how many equal rows came before."""
        return any("event_id" not in outline.fields for outline in self.outlines)

    @property
    def columns_used(self) -> list[str]:
        """The columns of the file itself that the mapping names, sorted."""
        joined = tuple(f"{lookup.name}." for lookup in self.lookups)
        return sorted(column for column in _named(self) if not column.startswith(joined))

    def columns_of(self, lookup: Lookup) -> list[str]:
        """The columns of a second file that the mapping names, sorted."""
        prefix = f"{lookup.name}."
        found = {name.removeprefix(prefix) for name in _named(self) if name.startswith(prefix)}
        return sorted(found | {lookup.key})


def flatten(value: Any, path: str = "") -> dict[str, Scalar]:
    """A JSON value as flat fields: `items.0.sku`; null and what is empty give none."""
    if isinstance(value, Mapping):
        parts: Iterator[tuple[str, Any]] = ((str(key), value[key]) for key in value)
    elif isinstance(value, list):
        parts = ((str(index), item) for index, item in enumerate(value))
    else:
        return {} if value is None else {path: value}
    fields: dict[str, Scalar] = {}
    for key, item in parts:
        fields |= flatten(item, f"{path}.{key}" if path else key)
    return fields


def canonical_row(fields: Fields) -> str:
    """One text for equal rows, whatever the order of their columns."""
    return json.dumps(sorted(fields.items()))


def join(mapping: RowMapping, fields: Fields, tables: Mapping[str, Table]) -> Fields:
    """The row with what its lookups found beside it."""
    if not mapping.lookups:
        return fields
    joined = dict(fields)
    for lookup in mapping.lookups:
        key = read(lookup.by, joined)
        found = tables[lookup.name].get(text_of(key)) if key is not None else None
        if found is None and lookup.refuse:
            raise Unmappable(
                f"the row finds nothing in {lookup.file} by {named(lookup.by)}; "
                f'add it there, or let the lookup say unmatched = "keep"'
            )
        for column, value in (found or {}).items():
            joined[f"{lookup.name}.{column}"] = value
    return joined


def applies(outline: Outline, fields: Fields, missing: Sequence[str]) -> bool:
    """Whether a row stands for this touchpoint."""
    return all(_holds(test, fields, missing) for test in outline.when)


def build(outline: Outline, fields: Fields) -> dict[str, Any]:
    """One touchpoint of a row, in the interchange form; without `event_id` where none is mapped.

    Raises:
        Unmappable: A value is missing, not in its list, or not what it must be.
    """
    touchpoint: dict[str, Any] = {}
    for path, cell in outline.fields.items():
        value = read(cell, fields)
        if value is not None:
            head, _, tail = path.partition(".")
            if tail:
                touchpoint.setdefault(head, {})[tail] = value
            else:
                touchpoint[head] = value
    occurred_at, quality = _when(outline, fields)
    touchpoint["occurred_at"] = occurred_at
    touchpoint.setdefault("time_quality", quality)
    for name, entries in (("identifiers", outline.identifiers), ("mentions", outline.mentions)):
        if entries:
            touchpoint[name] = [entry for cells in entries if (entry := _entry(cells, fields))]
    if outline.amount and (amount := money(outline.amount, fields)):
        touchpoint["amount"] = amount
    return touchpoint


def _when(outline: Outline, fields: Fields) -> tuple[int, str]:
    cell = outline.occurred_at
    value = read(cell, fields)
    if value is not None:
        return instant(cell, value)
    if outline.missing_time is None:
        raise Unmappable(f"{named(cell)} is missing, and the mapping has no missing_time")
    value = read(outline.missing_time, fields)
    if value is None:
        raise Unmappable(f"{named(cell)} is missing, and so is {named(outline.missing_time)}")
    return instant(outline.missing_time, value)[0], "received"


def _entry(cells: Mapping[str, Cell], fields: Fields) -> dict[str, Scalar]:
    """An identifier or a mention; empty where the row does not have its value."""
    entry = {name: read(cell, fields) for name, cell in cells.items()}
    if entry.get("value") is None:
        return {}
    return {name: value for name, value in entry.items() if value is not None}


def _holds(test: Requirement, fields: Fields, missing: Sequence[str]) -> bool:
    value = fields.get(test.column)
    there = value is not None and value not in missing
    if test.operator == "exists":
        return there == test.there
    listed = there and value is not None and text_of(value) in test.operands
    return listed if test.operator == "in" else not listed


def _named(mapping: RowMapping) -> set[str]:
    """Every column that a mapping names, with the prefix of its lookup."""
    tested = {test.column for outline in mapping.outlines for test in outline.when}
    return tested.union(*(cell.columns for cell in _cells(mapping)))


def _cells(mapping: RowMapping) -> Iterator[Cell]:
    yield from (lookup.by for lookup in mapping.lookups)
    for outline in mapping.outlines:
        yield from outline.fields.values()
        yield outline.occurred_at
        if outline.missing_time:
            yield outline.missing_time
        for entry in (*outline.identifiers, *outline.mentions):
            yield from entry.values()
        if outline.amount:
            yield from (outline.amount.number, outline.amount.currency)
