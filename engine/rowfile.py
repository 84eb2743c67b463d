"""Rows of a text file, one after another, with where each one stands to the byte.

Memory is bounded by the longest row. What is no row of a CSV file (bytes of another
encoding, a quote that never closes, too long) comes out with its problem and its
bytes, and the next one is read from the line after.
"""

import csv
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from gzip import GzipFile
from io import BufferedReader
from pathlib import Path
from typing import IO, Literal

from msgspec import Struct

from engine.errors import FileUnreadable
from engine.strict_json import MAX_LINE

MAX_RECORD = 1 << 24  # bytes of a row, or a piece of one line, that is held together
MAX_LINES = 100_000  # lines of one row
BOM = b"\xef\xbb\xbf"


Stream = BufferedReader | GzipFile


class Place(Struct, frozen=True):
    """How far a file was read: bytes, lines, and the CRC-32 of those bytes."""

    offset: int = 0
    line: int = 0
    checksum: int = 0


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row: its first line (from 1), its bytes, and its fields, or why they are no good."""

    line: int
    data: bytes
    fields: list[str] = field(default_factory=list)  # of CSV; with a problem, as far as they go
    problem: str = ""
    reason: Literal["undecodable", "not_canonical"] = "undecodable"


class _TooLong(Exception):
    """More lines belong to one row than a row can have."""


def name_of(path: Path) -> str:
    """A file's name as text that can be stored; bytes that are none are written as escapes."""
    return str(path).encode("utf-8", "backslashreplace").decode()


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Whatever goes wrong in reading a file is told by its name.

    Raises:
        FileUnreadable: It cannot be opened or read, or is packed and damaged.
    """
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        raise FileUnreadable(path, error) from error


@contextmanager
def opened(path: Path) -> Iterator[Stream]:
    """A file to read; one that is called .gz is unpacked on the way.

    Raises:
        FileUnreadable: It cannot be opened.
    """
    with told(path):
        stream: Stream = GzipFile(path) if path.suffix == ".gz" else path.open("rb")
    with stream:
        yield stream


class Lines:
    """The physical lines of a file. Lines are taken, then settled as a row or given back."""

    def __init__(self, stream: IO[bytes] | Stream, place: Place, path: Path) -> None:
        self.place = place
        self._path = path  # for complaints
        self._stream = stream
        self._taken: list[bytes] = []
        self._size = 0  # of what is taken
        self._waiting: list[bytes] = []  # given back, last first

    def take(self) -> bytes:
        """The next line with its line end; empty at the end of the file.

        A line beyond MAX_RECORD comes in pieces.

        Raises:
            FileUnreadable: The file ends in an error.
        """
        line = self._waiting.pop() if self._waiting else self._read()
        if line:
            self._taken.append(line)
            self._size += len(line)
            if len(self._taken) > 1 and (self._size > MAX_RECORD or len(self._taken) > MAX_LINES):
                raise _TooLong
        return line

    def _read(self) -> bytes:
        with told(self._path):
            return self._stream.readline(MAX_RECORD)

    def keep_first(self) -> None:
        """Give all lines back but the first one taken."""
        self._waiting += reversed(self._taken[1:])
        del self._taken[1:]

    def settle(self) -> tuple[int, bytes]:
        """What was taken is a row: its first line, from 1, and its bytes."""
        data = b"".join(self._taken)
        at = self.place
        ends = sum(line.endswith(b"\n") for line in self._taken)
        self.place = Place(at.offset + len(data), at.line + ends, zlib.crc32(data, at.checksum))
        self._taken, self._size = [], 0
        return at.line + 1, data


@dataclass(frozen=True)
class Dialect:
    """How a file is written."""

    encoding: str = "utf-8"
    delimiter: str = ","
    quote: str = '"'


def read_csv(lines: Lines, dialect: Dialect) -> Iterator[RawRow]:
    """Every row of a CSV file but the blank ones, the heading line included."""
    csv.field_size_limit(MAX_RECORD + 1)  # the process has one limit; rows have their own
    while True:
        texts = _Texts(lines, dialect.encoding)
        reader = csv.reader(
            texts, delimiter=dialect.delimiter, quotechar=dialect.quote, strict=True
        )
        try:
            for fields in reader:
                row = _row(*lines.settle(), fields, texts.take_broken())
                if row.fields or row.problem:
                    yield row
            return
        except (csv.Error, _TooLong):
            lines.keep_first()
            yield RawRow(*lines.settle(), problem="a quote is not closed, or not where it may be")


def read_lines(lines: Lines) -> Iterator[RawRow]:
    """Every line of a file but the blank ones, as it stands there; decoding it is not done here."""
    while line := lines.take():
        text = without_mark(line, lines.place)
        number, _ = lines.settle()
        if text.strip():
            yield RawRow(number, text.rstrip(b"\r\n"))


class _Texts:
    """Lines as text. Bytes that do not decode are carried through, so that rows stay apart."""

    def __init__(self, lines: Lines, encoding: str) -> None:
        self._lines = lines
        self._encoding = encoding
        self._broken = ""

    def __iter__(self) -> Iterator[str]:
        cut = False
        while line := self._lines.take():
            if cut or (len(line) >= MAX_RECORD and not line.endswith(b"\n")):
                self._broken = "this is a piece of a line that is too long"
            cut = not line.endswith(b"\n")
            try:
                yield without_mark(line, self._lines.place).decode(self._encoding)
            except UnicodeDecodeError as error:
                self._broken = f"byte {error.start} of a line is not {self._encoding}"
                yield line.decode(self._encoding, "surrogateescape")

    def take_broken(self) -> str:
        broken, self._broken = self._broken, ""
        return broken


def without_mark(line: bytes, place: Place) -> bytes:
    """A line without the byte order mark that a file may begin with."""
    return line.removeprefix(BOM) if place.offset == 0 else line


def _row(line: int, data: bytes, fields: list[str], broken: str) -> RawRow:
    if broken:
        return RawRow(line, data, fields, broken)
    if len(data) > MAX_LINE:
        problem = f"the row has {len(data)} bytes, more than {MAX_LINE}"
        return RawRow(line, data, fields, problem, "not_canonical")
    return RawRow(line, data, fields)
