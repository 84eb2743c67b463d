"""Announcements to a file: a JSON object a line, on the disk before it counts as taken."""

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from engine.announcement import line
from engine.errors import SinkAway, SinkRefused
from engine.sinks.sending import Message

NAME = "file"
TAIL_BYTES = 64 << 10  # more than any line has


class _Last(Struct):
    """What tells a line from others."""

    number: int
    id: str


class FileSink:
    """Lines at the end of a file, which is made if it is not there; it may be moved away."""

    name = NAME

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: _Last | None = None  # the last line, as far as is known
        self._looked = False

    def send(self, messages: Sequence[Message]) -> int:
        """Write the lines that are not there yet; all are on the disk when this returns.

        Raises:
            SinkAway: The disk refuses.
            SinkRefused: The file ends with something else than what was told before.
        """
        try:
            if not self._looked:
                self._last, self._looked = self._end(), True
            self._append(self._missing(messages))
        except OSError as error:
            self._looked = False  # some may be there
            raise SinkAway(NAME, f"{self._path}: {error.strerror or error}") from error
        last = messages[-1][0]
        self._last = _Last(last.number, last.id)
        return len(messages)

    def close(self) -> None:
        """Nothing is open."""

    def _missing(self, messages: Sequence[Message]) -> bytes:
        """What a run that died had not written yet."""
        last = self._last
        if last is not None:
            there = [told for told, _ in messages if told.number <= last.number]
            known = [told.id for told in there if told.number == last.number]
            if last.number > messages[-1][0].number or (there and known != [last.id]):
                raise self._foreign(f"ends with announcement {last.number}, told by another ledger")
            messages = messages[len(there) :]
        return b"".join(line(told) + b"\n" for told, _ in messages)

    def _append(self, data: bytes) -> None:
        fresh = not self._path.exists()
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(handle, rest) :]
            os.fsync(handle)
        finally:
            os.close(handle)
        if fresh:
            _sync_folder(self._path.parent)

    def _end(self) -> _Last | None:
        """The last whole line; what a crash cut short is taken away."""
        if not self._path.exists():
            return None
        with self._path.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            tail = file.read()
            whole = tail.rfind(b"\n") + 1
            if whole == 0 and size > len(tail):
                raise self._foreign("ends with a line that is too long for an announcement")
            file.truncate(size - len(tail) + whole)
        lines = tail[:whole].splitlines()
        if not lines:
            return None
        try:
            return msgspec.json.decode(lines[-1], type=_Last)
        except msgspec.DecodeError:
            raise self._foreign("ends with a line that is no announcement") from None

    def _foreign(self, problem: str) -> SinkRefused:
        return SinkRefused(NAME, f"{self._path} {problem}")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
