"""Importing a file: read, mapped, accepted and recorded batch by batch, with how far it came.

Progress is kept in the transaction that records a batch, so an import that was
killed goes on where the last batch ended. A file that was imported and has not
changed is not read again; one that has only grown is read from where it ended.
"""

import signal
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from io import SEEK_END
from itertools import chain
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine import lifecycle, mapfile
from engine.edge import Edge, Row
from engine.mapping import RowMapping
from engine.privacy import WorkspaceKey
from engine.progress import Progress, quiet
from engine.rowcheck import SAMPLE, check_encoding, check_heading, check_json_lines, check_paths
from engine.rowfile import Lines, Place, RawRow, Stream, name_of, opened, told
from engine.rowmap import EqualRows, Mapper, Source, plan_of, stamp_of
from engine.store import ledger
from engine.store.facts import Facts
from engine.touchpoint import Arrival

BATCH = 1000  # rows
BATCH_BYTES = 8 << 20
CHUNK = 1 << 20  # bytes read at once to find out whether a file has only grown
ENDING = 1 << 16  # bytes that tell, with size and time, whether a file is still what it was


@dataclass(frozen=True)
class Imported:
    """What an import did this time: received = recorded + duplicates + all set aside."""

    received: int
    recorded: int
    duplicates: int
    set_aside: Mapping[str, int]  # by reason
    dropped: Mapping[str, int]  # identifiers that name nobody, by reason
    read_bytes: int
    resumed_at: int  # offset; 0: from the beginning
    line: int  # how far it came, in all
    finished: bool


class Interrupted(KeyboardInterrupt):
    """Stopped by Ctrl-C between two batches; `imported` says what was done by then."""

    def __init__(self, path: Path, imported: Imported) -> None:
        super().__init__(
            f"stopped after line {imported.line} of {path}; all up to there is kept, "
            "and the same command goes on from there"
        )
        self.imported = imported


class State(Struct, frozen=True):
    """How far an import has come, as it is stored."""

    plan: str  # what the rows mean; see `plan_of`
    size: int
    mtime_ns: int
    place: Place = Place()
    heading: tuple[str, ...] = ()
    chunks: int = 0  # how many lists of digests are kept, for ids that rest on equal rows
    finished: bool = False
    ending: str = ""  # digest of the last bytes, among which a packed file has a CRC of all of it


def import_file(
    facts: Facts,
    edge: Edge,
    path: Path,
    mapping: RowMapping | None = None,
    *,
    workspace_key: WorkspaceKey,
    progress: Progress = quiet,
) -> Imported:
    """Import a file of touchpoints, or of anything that a mapping reads.

    Doing it again changes nothing: what is known is a duplicate, and a file that
    has not changed since is not even read.

    Raises:
        FileUnreadable, WrongEncoding, ForeignFile: Before anything is recorded.
        Interrupted: Ctrl-C; the batch under way is recorded first.
        StoreFull, StoreLocked, StoreReadOnly: See there; the same command goes on.
    """
    with opened(path) as stream, _interrupt_noted() as interrupted:
        run = Run(facts, edge, workspace_key, Source(path, mapping), stream)
        run.begin()
        for batch in run.batches():
            run.record(batch)
            progress(*run.done)
            if interrupted:
                raise Interrupted(path, run.outcome())
        run.finish()
    return run.outcome()


class Run:
    """One import under way."""

    def __init__(
        self,
        facts: Facts,
        edge: Edge,
        workspace_key: WorkspaceKey,
        source: Source,
        stream: Stream,
    ) -> None:
        self._facts = facts
        self._edge = edge
        self._workspace_key = workspace_key
        self._source = source
        self._stream = stream
        stamp = stamp_of(source.path)
        self._state = State(plan_of(source), *stamp, ending=_ending_of(source.path))
        self._key = (
            f"{name_of(source.path.resolve())} {source.mapping.name if source.mapping else ''}"
        )
        self._begun_at = 0
        self._mapper: Mapper | None = None
        self._equal = EqualRows()
        self._recorded = lifecycle.Recorded()

    @property
    def done(self) -> tuple[int, int]:
        """Bytes done and bytes in all; what is packed counts as unpacked."""
        done = self._state.place.offset
        return done, max(done, self._state.size)

    def begin(self) -> None:
        """Go to where the last import of this file ended; look at a file that is new."""
        path, stored = self._source.path, self._facts.import_state(self._key)
        sample = b""
        with told(path):
            if stored is not None and path.is_file():
                known = msgspec.json.decode(stored, type=State)
                self._state = _continued(known, self._state, self._stream)
                if not self._state.finished:
                    self._stream.seek(self._state.place.offset)
            self._begun_at = self._state.place.offset
            if self._begun_at == 0:
                sample = self._stream.peek(SAMPLE)[:SAMPLE]
        if self._begun_at == 0:
            self._look_at(sample)

    def batches(self) -> Iterator[list[RawRow]]:
        """The rows that are left, in batches; the state goes along with them."""
        if self._state.finished:
            return
        lines = Lines(self._stream, self._state.place, self._source.path)
        rows = self._prepared(self._source.raw_rows(lines))
        batch: list[RawRow] = []
        size = 0
        for row in rows:
            batch.append(row)
            size += len(row.data)
            if len(batch) >= BATCH or size >= BATCH_BYTES:
                self._state = replace(self._state, place=lines.place)
                yield batch
                batch, size = [], 0
        self._state = replace(self._state, place=lines.place)
        yield batch

    def record(self, batch: list[RawRow]) -> None:
        """Record a batch and how far the file was read, in one transaction."""
        rows: list[Row] = []
        failed: list[Arrival] = []
        for raw in batch:
            if self._mapper:
                mapped, refused = self._mapper.map(raw)
                rows += mapped
                failed += refused
            else:
                rows.append(Row(origin=name_of(self._source.path), line=raw.line, data=raw.data))
        self._keep_digests()
        self._commit(self._edge.accept(rows, self._facts.clock()) + failed)

    def finish(self) -> None:
        """Note that the file was read to its end."""
        if not self._state.finished:
            self._state = replace(self._state, finished=True)
            self._commit([])

    def outcome(self) -> Imported:
        """What was done so far."""
        return Imported(
            received=self._recorded.received,
            recorded=self._recorded.recorded,
            duplicates=self._recorded.duplicates,
            set_aside=dict(self._recorded.set_aside),
            dropped=dict(self._recorded.dropped),
            read_bytes=self._state.place.offset - self._begun_at,
            resumed_at=self._begun_at,
            line=self._state.place.line,
            finished=self._state.finished,
        )

    def _look_at(self, sample: bytes) -> None:
        """Refuse a file that is something else, before anything of it is recorded."""
        path = self._source.path
        check_encoding(path, sample, self._source.dialect.encoding)
        if not self._source.is_csv:
            check_json_lines(path, sample, list(mapfile.shipped()))
        if not self._source.is_csv and self._source.mapping:
            check_paths(path, sample, self._source.mapping.columns_used)

    def _prepared(self, rows: Iterator[RawRow]) -> Iterator[RawRow]:
        """The rows after the heading; reads second files, and which rows came before."""
        mapping = self._source.mapping
        if mapping is None:
            return rows
        if self._source.is_csv and not self._state.heading:
            first = next(rows, None)
            heading = check_heading(self._source.path, first, mapping)
            self._state = replace(self._state, heading=heading)
            if mapping.columns and first:
                rows = chain([first], rows)
        self._equal = EqualRows(self._kept_digests())
        source = Source(self._source.path, mapping, self._state.heading)
        self._mapper = Mapper(source, mapping, self._edge, self._equal)
        return rows

    def _kept_digests(self) -> Iterator[str]:
        for chunk in range(self._state.chunks):
            yield from (self._facts.import_state(self._chunk(chunk)) or "").split()

    def _keep_digests(self) -> None:
        """Keep the digests of a batch before the state counts them: a kill between is harmless."""
        if self._equal.new:
            with self._facts.transaction() as connection:
                chunk = self._chunk(self._state.chunks)
                ledger.keep_import_state(connection, chunk, " ".join(self._equal.new))
            self._equal.new = []
            self._state = replace(self._state, chunks=self._state.chunks + 1)

    def _chunk(self, number: int) -> str:
        return f"{self._key} rows {number}"

    def _commit(self, arrivals: list[Arrival]) -> None:
        state = msgspec.json.encode(self._state).decode()
        self._recorded += lifecycle.record(
            self._facts,
            arrivals,
            workspace_key=self._workspace_key,
            checkpoint=lifecycle.ImportState(self._key, state),
        )


def _continued(known: State, now: State, stream: Stream) -> State:
    """Where to go on: at the end of what was read, or, in a file that was rewritten, anew."""
    if known.plan != now.plan:
        return now
    as_it_is = replace(known, size=now.size, mtime_ns=now.mtime_ns, ending=now.ending)
    if as_it_is == known:
        return known
    return replace(as_it_is, finished=False) if _only_grown(stream, known.place) else now


def _ending_of(path: Path) -> str:
    """The digest of a file's last bytes; nothing for what cannot be read twice, such as a pipe.

    No CRC: over bytes that end in their own CRC it is the same whatever they are.
    """
    if not path.is_file():
        return ""
    with told(path), path.open("rb") as file:
        file.seek(-min(ENDING, file.seek(0, SEEK_END)), SEEK_END)
        return sha256(file.read(ENDING)).hexdigest()


def _only_grown(stream: Stream, place: Place) -> bool:
    """Whether a file still begins with what was read, up to the end of a line."""
    left, checksum, last = place.offset, 0, b"\n"
    while left and (data := stream.read(min(left, CHUNK))):
        left -= len(data)
        checksum, last = zlib.crc32(data, checksum), data[-1:]
    if left or checksum != place.checksum:
        return False
    return last == b"\n" or stream.peek(1)[:1] in (b"", b"\r", b"\n")


@contextmanager
def _interrupt_noted() -> Iterator[list[int]]:
    """Note the first Ctrl-C instead of stopping at once; the second one stops as ever.

    A list takes no lock, on which a second one, while the first is noted, would wait for ever.
    """
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, _: object) -> None:
        asked.append(number)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
