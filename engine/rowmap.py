"""From raw rows of a file to rows for an edge, through a mapping; and once more, later.

What is set aside keeps, as JSON, all that it takes to try again: the mapping, the
file (its second files lie beside it), the bytes of the row, which of the equal rows
it was, and which of its touchpoints.
"""

import base64
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from engine import mapfile
from engine.cells import Fields
from engine.edge import Edge, Row
from engine.errors import EngineError, FileUnreadable, ForeignFile, Refused, Unmappable
from engine.mapping import (
    RowMapping,
    Table,
    applies,
    build,
    canonical_row,
    flatten,
    join,
)
from engine.rowcheck import check_columns
from engine.rowfile import (
    Dialect,
    Lines,
    Place,
    RawRow,
    name_of,
    opened,
    read_csv,
    read_lines,
)
from engine.strict_json import parse_object
from engine.touchpoint import Arrival

FORM = "row"
SHORT = 16  # digits of a digest that tell rows of one file apart


@dataclass(frozen=True)
class Source:
    """A file to import, and how its rows are read."""

    path: Path  # as it was named
    mapping: RowMapping | None = None  # None: touchpoints as JSON Lines
    heading: tuple[str, ...] = ()  # of a CSV file

    @property
    def is_csv(self) -> bool:
        """Whether it is read as CSV, and not line by line as JSON."""
        return self.mapping is not None and self.mapping.format == "csv"

    @property
    def dialect(self) -> Dialect:
        """How the file is written."""
        if self.mapping is None:
            return Dialect()
        return Dialect(self.mapping.encoding, self.mapping.delimiter, self.mapping.quote)

    def raw_rows(self, lines: Lines) -> Iterator[RawRow]:
        """The rows from where the lines stand."""
        return read_csv(lines, self.dialect) if self.is_csv else read_lines(lines)

    def fields(self, raw: RawRow) -> Fields:
        """A row by column, or by dotted path.

        Raises:
            Refused: It is not a row of this file.
        """
        return fields_of(raw, self.heading) if self.is_csv else flatten(parse_object(raw.data))


class EqualRows:
    """How many equal rows came before, where event ids rest on it."""

    def __init__(self, before: Iterable[str] = ()) -> None:
        self._seen = Counter(int(short, 16) for short in before)
        self.new: list[str] = []  # short digests, since somebody took note of them

    def number(self, digest: str) -> int:
        """Which of the equal rows this one is, from 1."""
        short = digest[:SHORT]
        self._seen[int(short, 16)] += 1
        self.new.append(short)
        return self._seen[int(short, 16)]


class Mapper:
    """Makes rows for an edge of the raw rows of one file."""

    def __init__(self, source: Source, mapping: RowMapping, edge: Edge, equal: EqualRows) -> None:
        """Read the second files that the mapping needs.

        Raises:
            FileUnreadable, ForeignFile: A second file is not there, or not what it should be.
        """
        self._source = source
        self._mapping = mapping
        self._edge = edge
        self._equal = equal
        self._origin = name_of(source.path)
        self._file = source.path.resolve()
        self._tables = tables_of(mapping, self._file.parent)

    def map(self, raw: RawRow) -> tuple[list[Row], list[Arrival]]:
        """The touchpoints of a row, and what of it could not be mapped."""
        kept: dict[str, Any] = {
            "mapping": self._mapping.origin,
            "file": str(self._file),
            "line": raw.line,
            "heading": self._source.heading,
            "bytes": base64.b64encode(raw.data).decode(),
        }
        try:
            fields = self._source.fields(raw)
        except Refused as refused:
            self._numbered(kept, _unread(raw))
            return [], [self._aside(raw.line, json.dumps(kept), refused)]
        event_id = self._numbered(kept, canonical_row(fields).encode())
        return self._touchpoints(kept, fields, event_id)

    def map_again(self, kept: Mapping[str, Any]) -> tuple[list[Row], list[Arrival]]:
        """The same, of what was kept when a row was set aside."""
        place = Place(offset=kept["line"] - 1)  # beyond 0, no byte order mark is looked for
        lines = Lines(io.BytesIO(base64.b64decode(kept["bytes"])), place, self._source.path)
        rows: list[Row] = []
        failures: list[Arrival] = []
        for raw in self._source.raw_rows(lines):
            more, failed = self._again(kept, raw)
            rows += more
            failures += failed
        return rows, failures

    def _again(self, kept: Mapping[str, Any], raw: RawRow) -> tuple[list[Row], list[Arrival]]:
        try:
            fields = self._source.fields(raw)
        except Refused as refused:
            return [], [self._aside(kept["line"], json.dumps(kept), refused)]
        event_id = ""
        if "equal" in kept:
            digest = self._edge.digest(canonical_row(fields).encode())
            event_id = f"{digest}-{kept['equal']}"
        return self._touchpoints(kept, fields, event_id)

    def _numbered(self, kept: dict[str, Any], data: bytes) -> str:
        """Note which of the equal rows this is; the event id, empty where the mapping gives one."""
        if not self._mapping.counts_equal_rows:
            return ""
        digest = self._edge.digest(data)
        kept["equal"] = self._equal.number(digest)
        return f"{digest}-{kept['equal']}"

    def _touchpoints(
        self, kept: Mapping[str, Any], fields: Fields, event_id: str
    ) -> tuple[list[Row], list[Arrival]]:
        """Those that a row stands for, or only the one that `kept` names, from 1."""
        line, mapping = kept["line"], self._mapping
        text = json.dumps(kept)
        try:
            joined = join(mapping, fields, self._tables)
        except Refused as refused:
            return [], [self._aside(line, text, refused)]
        rows: list[Row] = []
        failures: list[Arrival] = []
        for number, outline in enumerate(mapping.outlines, 1):
            if kept.get("touchpoint", number) != number:
                continue
            if not applies(outline, joined, mapping.notation.missing):
                continue
            data = text if "touchpoint" in kept else f'{text[:-1]}, "touchpoint": {number}}}'
            try:
                value = build(outline, joined)
            except Refused as refused:
                failures.append(self._aside(line, data, refused))
                continue
            several = f"-{number}" if len(mapping.outlines) > 1 else ""
            value.setdefault("event_id", event_id + several)
            rows.append(
                Row(origin=self._origin, line=line, data=data.encode(), value=value, form=FORM)
            )
        if not rows and not failures:
            nothing = Unmappable("no touchpoint of the mapping stands for this row")
            failures.append(self._aside(line, text, nothing))
        return rows, failures

    def _aside(self, line: int, data: str, refused: Refused) -> Arrival:
        return Arrival(
            origin=self._origin,
            line=line,
            data=data.encode(),
            form=FORM,
            reason=refused.reason,
            detail=refused.detail,
        )


def remapper(edge: Edge) -> Callable[[bytes], list[Row]]:
    """What maps again a row that was set aside, as its mapping and second files are now.

    The function raises `Refused` where it cannot be mapped this time either, or the
    mapping or a second file is not there any more.
    """

    def remap(data: bytes) -> list[Row]:
        kept = json.loads(data)
        try:
            mapping = mapfile.load(kept["mapping"])
            heading = mapping.columns or tuple(kept["heading"])
            source = Source(Path(kept["file"]), mapping, heading)
            mapper = Mapper(source, mapping, edge, EqualRows())
        except EngineError as error:
            raise Refused("not_canonical", str(error)) from error
        rows, failures = mapper.map_again(kept)
        if failures:
            raise Refused(failures[0].reason or "not_canonical", failures[0].detail)
        return rows

    return remap


def tables_of(mapping: RowMapping, folder: Path) -> dict[str, Table]:
    """The second files of a mapping, by the name of the lookup.

    Raises:
        FileUnreadable, ForeignFile: One is not there, or not what it should be.
    """
    tables: dict[str, Table] = {}
    for lookup in mapping.lookups:
        path = folder / lookup.file
        dialect = Dialect(lookup.encoding, lookup.delimiter)
        needed = tuple(mapping.columns_of(lookup))
        tables[lookup.name] = _table(path, stamp_of(path), dialect, lookup.key, needed)
    return tables


def plan_of(source: Source) -> str:
    """What changes when rows come to mean something else: the mapping, or a second file."""
    if source.mapping is None:
        return ""
    folder = source.path.resolve().parent
    stamps = [stamp_of(folder / lookup.file) for lookup in source.mapping.lookups]
    return sha256(repr((source.mapping.id, stamps)).encode()).hexdigest()


def stamp_of(path: Path) -> tuple[int, int]:
    """What changes when a file does: its size, and when it was last written (nanoseconds).

    Raises:
        FileUnreadable: It is not there.
    """
    try:
        known = path.stat()
    except OSError as error:
        raise FileUnreadable(path, error) from error
    return known.st_size, known.st_mtime_ns


@lru_cache(maxsize=16)
def _table(
    path: Path, stamp: tuple[int, int], dialect: Dialect, key: str, needed: tuple[str, ...]
) -> Table:
    """The rows of a second file by their key; `stamp` says in which state the file is."""
    with opened(path) as stream:
        rows = read_csv(Lines(stream, Place(), path), dialect)
        heading = check_columns(path, next(rows, None), needed, dialect.delimiter)
        table: dict[str, Fields] = {}
        lines: dict[str, int] = {}
        for raw in rows:
            try:
                fields = fields_of(raw, heading)
            except Refused as refused:
                raise ForeignFile(path, f"line {raw.line}: {refused.detail}", "mend it") from None
            value = str(fields[key])
            if value in table:
                told = f"has one {key} on lines {lines[value]} and {raw.line}"
                raise ForeignFile(path, told, "keep one of them")
            table[value], lines[value] = fields, raw.line
    return table


def _unread(raw: RawRow) -> bytes:
    """What rows that cannot be read have in common when they will be equal once they can."""
    return json.dumps(raw.fields).encode() if raw.fields else raw.data.rstrip(b"\r\n")


def fields_of(raw: RawRow, heading: Sequence[str]) -> Fields:
    """A row of a CSV file by column.

    Raises:
        Refused: It is not a row of this file.
    """
    if raw.problem:
        raise Refused(raw.reason, raw.problem)
    if len(raw.fields) != len(heading):
        told = f"the row has {len(raw.fields)} fields, the heading {len(heading)}"
        raise Refused("undecodable", told)
    return dict(zip(heading, raw.fields, strict=True))
