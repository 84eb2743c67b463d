"""Messages on disk while the broker is away.

A folder of segments, numbered files that are only ever added to; a segment goes
when all that is in it was acknowledged. What `append` returned from survives a
crash of the machine. A record is a head, checked by itself, and then key and value; a
segment that a crash cut short ends in a part of one.
"""

import fcntl
import logging
import os
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from engine.errors import SpoolFailed, SpoolInUse

SEGMENT_BYTES = 8 << 20  # from which on the next segment is begun
DAMAGED = ".damaged"
_HEAD = struct.Struct(">IBI")  # length of key and value together, of the key, their CRC-32
_CHECK = struct.Struct(">I")  # CRC-32 of the head
_HEADS = _HEAD.size + _CHECK.size
log = logging.getLogger(__name__)
_NAME = re.compile(r"[0-9]{12}\.spool")


class Spooled(NamedTuple):
    """A message as it is kept."""

    key: bytes
    value: bytes


class Spool:
    """One folder, in the hands of one process."""

    def __init__(self, folder: Path) -> None:
        """Open the folder, which is made if it is not there.

        Raises:
            SpoolInUse: Another process has it.
            SpoolFailed: It cannot be used.
        """
        self._folder = folder
        self._writing: int | None = None  # descriptor of the newest segment
        self._size = 0
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            _take(self._lock, folder)
            names = sorted(path.name for path in folder.iterdir())
            self._segments = [folder / name for name in names if _NAME.fullmatch(name)]
            self._counts = dict(self._counted())
        except OSError as error:
            raise SpoolFailed(folder, error) from error
        numbers = (int(name.partition(".")[0]) for name in names if name[:12].isdigit())
        self._last = max(numbers, default=0)  # no name is used twice, one of damage neither

    def __len__(self) -> int:
        """How many messages are kept."""
        return sum(self._counts.values())

    def append(self, messages: Sequence[Spooled]) -> None:
        """Keep messages behind all others; when this returns they are on the disk.

        Raises:
            SpoolFailed: They are not: no room, or the disk refuses. None of them is kept.
        """
        data = b"".join(map(_record, messages))
        try:
            if self._writing is None or self._size >= SEGMENT_BYTES:
                self._begin()
            self._write(data)
        except OSError as error:
            self._give_up()
            raise SpoolFailed(self._folder, error) from error
        self._size += len(data)
        self._counts[self._segments[-1]] += len(messages)

    def oldest(self) -> tuple[Path, list[Spooled]]:
        """The first segment, and what it holds; ask only where something is kept.

        A segment of which a part cannot be read gets a second name, under which it stays.

        Raises:
            SpoolFailed: The disk refuses.
        """
        path = self._segments[0]
        if len(self._segments) == 1:
            self._end()
        try:
            messages, whole = _parsed(path.read_bytes())
            if not whole:
                self._set_apart(path)
        except OSError as error:
            raise SpoolFailed(self._folder, error) from error
        return path, messages

    def drop(self, segment: Path) -> None:
        """Forget a segment: all of it was acknowledged."""
        try:
            segment.unlink(missing_ok=True)
            self._sync_folder()
        except OSError as error:
            raise SpoolFailed(self._folder, error) from error
        self._segments.remove(segment)
        del self._counts[segment]

    def close(self) -> None:
        """Let others have the folder."""
        self._end()
        os.close(self._lock)

    def _counted(self) -> Iterator[tuple[Path, int]]:
        """The segments with what they hold; those that hold nothing are left behind."""
        for path in list(self._segments):
            messages, whole = _parsed(path.read_bytes())
            if messages:
                yield path, len(messages)
                continue
            self._segments.remove(path)
            if not whole:
                self._set_apart(path)
            path.unlink()

    def _set_apart(self, path: Path) -> None:
        apart = path.with_suffix(DAMAGED)
        if not apart.exists():
            os.link(path, apart)
            log.error(
                "a part of the spool cannot be read; what can is sent, all stays in %s", apart
            )

    def _begin(self) -> None:
        """Open the next segment; one that was there before is never added to."""
        self._end()
        self._last += 1
        path = self._folder / f"{self._last:012}.spool"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._writing, self._size = os.open(path, flags, 0o600), 0
        self._segments.append(path)
        self._counts[path] = 0
        self._sync_folder()

    def _write(self, data: bytes) -> None:
        assert self._writing is not None
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._writing, rest) :]
        os.fsync(self._writing)

    def _give_up(self) -> None:
        """Take back what was half written; after a failed fsync nothing more goes there."""
        if self._writing is not None:
            with suppress(OSError):  # else some may be sent that nobody was promised: no harm
                os.ftruncate(self._writing, self._size)
        self._end()

    def _end(self) -> None:
        if self._writing is not None:
            os.close(self._writing)
        self._writing, self._size = None, 0

    def _sync_folder(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _take(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise SpoolInUse(folder) from None


def _record(message: Spooled) -> bytes:
    body = message.key + message.value
    head = _HEAD.pack(len(body), len(message.key), zlib.crc32(body))
    return head + _CHECK.pack(zlib.crc32(head)) + body


def _parsed(data: bytes) -> tuple[list[Spooled], bool]:
    """The messages of a segment up to where it cannot be read, and whether all is well.

    So it is where a crash explains the rest: it is a part of one record, or never got its bytes.
    """
    messages: list[Spooled] = []
    at = 0
    while len(data) - at >= _HEADS:
        head, (check,) = data[at : at + _HEAD.size], _CHECK.unpack_from(data, at + _HEAD.size)
        length, size, body_check = _HEAD.unpack(head)
        body = data[at + _HEADS : at + _HEADS + length]
        if zlib.crc32(head) != check:
            return messages, not data[at:].strip(b"\0")
        if len(body) < length:
            break
        if zlib.crc32(body) != body_check:
            return messages, False
        messages.append(Spooled(body[:size], body[size:]))
        at += _HEADS + length
    return messages, True
