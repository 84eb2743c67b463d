"""From raw rows of a file to rows for an edge, through a mapping; and once more, later.

What cannot be mapped is kept as JSON that says all it takes to try again: the
mapping, the file (second files lie beside it), the row, and which of the row's
touchpoints it was.
"""

import base64
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from engine import mapfile
from engine.edge import Edge, Row
from engine.errors import FileUnreadable, ForeignFile, Refused
from engine.mapping import Fields, Lookup, Outline, RowMapping, Table
from engine.mapping import applies, build, canonical_row, flatten, join
from engine.rowfile import Dialect, Lines, Place, RawRow, read_csv, read_lines
from engine.strict_json import parse_object
from engine.touchpoint import Arrival

ID_DIGITS = 32
FORM = "row"


@dataclass(frozen=True)
class Source:
    """A file to import, and how its rows are read."""

    path: Path  # as it was named
    mapping: RowMapping | None = None  # None: touchpoints as JSON Lines
    heading: tuple[str, ...] = ()  # of a CSV file

    @property
    def dialect(self) -> Dialect:
        """How the file is written."""
        if self.mapping is None:
            return Dialect()
        return Dialect(self.mapping.encoding, self.mapping.delimiter, self.mapping.quote)

    @property
    def is_csv(self) -> bool:
        """Whether it is read as CSV, and not line by line as JSON."""
        return self.mapping is not None and self.mapping.format == "csv"

    def raw_rows(self, lines: Lines) -> Iterator[RawRow]:
        """The rows from where the lines stand."""
        return read_csv(lines, self.dialect) if self.is_csv else read_lines(lines)


class EqualRows:
    """How many equal rows came before, where event ids rest on it."""

    def __init__(self, before: Sequence[str] = ()) -> None:
        self._seen = Counter(before)
        self.new: list[str] = []  # digests, since somebody took note of them

    def number(self, digest: str) -> int:
        """Which of the equal rows this one is, from 1."""
        self._seen[digest] += 1
        self.new.append(digest)
        return self._seen[digest]


class Mapper:
    """Makes rows for an edge of the raw rows of one file."""

    def __init__(self, source: Source, edge: Edge, equal: EqualRows) -> None:
        self.source = source
        self.equal = equal
        self._edge = edge
        self._tables = tables_of(source)

    def map(self, raw: RawRow) -> tuple[list[Row], list[Arrival]]:
        """The touchpoints of a row, and what of it could not be mapped."""
        origin, mapping = str(self.source.path), self.source.mapping
        if mapping is None:
            return [Row(origin=origin, line=raw.line, data=raw.data)], []
        kept = {"mapping": mapping.origin, "file": str(self.source.path.resolve())}
        try:
            fields = self.fields(raw)
            kept |= {"row": fields}
            ...
