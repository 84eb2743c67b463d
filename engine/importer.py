"""Importing a file: read, mapped, accepted and recorded batch by batch, with how far it came.

Progress is kept in the transaction that records a batch, so an import that was
killed goes on where the last batch ended. A file that was imported and has not
changed is not read again; one that has only grown is read from where it ended.
"""

import signal
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine import lifecycle, mapfile
from engine.edge import Edge, Row
from engine.mapping import RowMapping
from engine.privacy import WorkspaceKey
from engine.rowcheck import SAMPLE, check_encoding, check_heading, check_json_lines
from engine.rowfile import Lines, Place, RawRow, Stream, opened
from engine.rowmap import EqualRows, Mapper, Source, stamp_of
from engine.store.facts import Facts
from engine.touchpoint import Arrival

BATCH = 1000  # rows
BATCH_BYTES = 8 << 20
CHUNK = 1 << 20  # bytes read at once to find out whether a file has only grown

Progress = Callable[[int, int], None]  # bytes done, bytes in all


class Counts(Struct, frozen=True):
    """What became of deliveries: received = recorded + duplicates + all set aside."""

    received: int = 0
    recorded: int = 0
    duplicates: int = 0
    set_aside: Mapping[str, int] = {}  # by reason

    def plus(self, other: "Counts") -> "Counts":
        """Both together."""
        return Counts(
            self.received + other.received,
            self.recorded + other.recorded,
            self.duplicates + other.duplicates,
            dict(Counter(self.set_aside) + Counter(other.set_aside)),
        )


@dataclass(frozen=True)
class Imported:
    """What an import did this time, and all that was ever imported of the file as it is."""

    received: int
    recorded: int
    duplicates: int
    set_aside: Mapping[str, int]
    read_bytes: int  # this time
    resumed_at: int  # offset; 0: from the beginning
    line: int  # how far it came
    finished: bool
    in_all: Counts


class Interrupted(KeyboardInterrupt):
    """Stopped by Ctrl-C after a batch; `imported` says what was done."""

    def __init__(self, path: Path, imported: Imported) -> None:
        super().__init__(
            f"stopped after line {imported.line} of {path}; all up to there is kept, "
            "and the same command goes on from it"
        )
        self.imported = imported


class State(Struct, frozen=True):
    """How far an import has come, as it is stored."""

    plan: str  # what the rows mean: mapping and second files
    size: int
    mtime_ns: int
    place: Place = Place()
    heading: tuple[str, ...] = ()
    chunks: int = 0  # of digests, for event ids that rest on the number of equal rows
    finished: bool = False
    counts: Counts = Counts()


@dataclass
class Job:
    """One import under way."""

    facts: Facts
    edge: Edge
    workspace_key: WorkspaceKey
    source: Source
    state: State
    key: str
    equal: EqualRows = field(default_factory=EqualRows)
    done: Counts = Counts()


def import_file(
    facts: Facts,
    edge: Edge,
    path: Path,
    mapping: RowMapping | None = None,
    *,
    workspace_key: WorkspaceKey,
    progress: Progress | None = None,
) -> Imported:
    """Import a file of touchpoints, or of anything that a mapping reads.

    Doing it again changes nothing: what is known already is a duplicate, and a
    file that has not changed since is not even read.

    Raises:
        FileUnreadable, WrongEncoding, ForeignFile: Before anything is recorded.
        Interrupted: Ctrl-C; the batch under way is recorded first.
        StoreFull, StoreLocked, StoreReadOnly: See there; go on by the same command.
    """
    ...
