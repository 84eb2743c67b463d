"""The files of a journal: Parquet that never changes, and a manifest that names what counts."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
import polars as pl
from msgspec import Struct
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from engine.alike import alike
from engine.crash import reached
from engine.errors import JournalDamaged, JournalMissing
from engine.history import ATTRIBUTE, TOUCH, Histories, ranges
from engine.store.faults import files_told_clearly

Numbers = NDArray[np.int64]
Asked = dict[str, Sequence[str] | None]  # by kind: which columns, or all

FORMAT = 2
MANIFEST = "manifest.json"
LEADS, TOUCHES, ATTRIBUTES = KINDS = ("leads", "touches", "attributes")
ATTRIBUTE_AT = "attribute_at"  # of a touch, in its file: the row where its attributes begin
_UNREADABLE = pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError


class File(Struct, frozen=True):
    """A file that never changes."""

    name: str
    hash: str  # SHA-256, in hex


class Bucket(Struct, frozen=True):
    """Some leads, with all that is theirs."""

    leads: int
    touchpoints: int
    files: Mapping[str, File]  # by LEADS, TOUCHES, ATTRIBUTES


class Manifest(Struct, frozen=True):
    """What a journal is made of, and where it stands."""

    format: int
    generation: int  # part of the names of files that are new in it
    position: int
    anchor: str  # of the facts, at that position
    too_common: int
    last_string: int  # id
    strings: File
    buckets: Sequence[Bucket]

    def files(self) -> list[File]:
        """All files that count."""
        return [self.strings, *(one for bucket in self.buckets for one in bucket.files.values())]


class _Sealed(Struct, frozen=True):
    hash: str  # SHA-256 of the manifest as it is written, in hex
    manifest: msgspec.Raw


@dataclass(frozen=True)
class Part:
    """Some leads: a row each, a row a touchpoint, a row an attribute of a touchpoint.

    All three are in order of the column `lead`, then in happening order. In files lists of
    attributes that are alike lie in one place, for all touchpoints that have them.
    """

    leads: pl.DataFrame  # lead, id, touchpoints
    touches: pl.DataFrame  # lead, position, event_id, and the fields of TOUCH
    attributes: pl.DataFrame  # lead, and the fields of ATTRIBUTE, in order of the touches

    @classmethod
    def of(cls, histories: Histories) -> Self:
        """Histories whose attributes lie in the order of the touches, as the store gives them."""
        counts = np.diff(histories.starts)
        lead = np.repeat(histories.numbers, counts)
        touches, attributes = histories.touches, histories.attributes
        ids = pl.Series(histories.leads, dtype=pl.String)
        return cls(
            pl.DataFrame({"lead": histories.numbers, "id": ids, "touchpoints": counts}),
            pl.DataFrame(
                {"lead": lead, "position": histories.positions, "event_id": _event_ids(histories)}
                | _columns(touches, TOUCH)
            ),
            pl.DataFrame(
                {"lead": np.repeat(lead, touches["attributes"])} | _columns(attributes, ATTRIBUTE)
            ),
        )

    @classmethod
    def together(cls, parts: Sequence[Self]) -> Self:
        """Parts that have no lead in common, as one."""
        frames = zip(*(part.frames().values() for part in parts), strict=True)
        return cls(*(pl.concat(alike).sort("lead", maintain_order=True) for alike in frames))

    def where(self, chosen: Callable[[Numbers], NDArray[np.bool_]]) -> Self:
        """The rows of those leads alone that are chosen of a column of lead numbers."""
        return type(self)(
            *(one.filter(chosen(one["lead"].to_numpy())) for one in self.frames().values())
        )

    def frames(self) -> dict[str, pl.DataFrame]:
        """The three by name."""
        return {LEADS: self.leads, TOUCHES: self.touches, ATTRIBUTES: self.attributes}


def _columns(records: NDArray[np.void], dtype: np.dtype[np.void]) -> dict[str, NDArray[np.generic]]:
    return {name: np.ascontiguousarray(records[name]) for name in dtype.names or ()}


def _event_ids(histories: Histories) -> pl.Series:
    """All of one size at once: an object of Python for each takes three times as long."""
    at, sizes = histories.event_id_at, histories.event_id_size
    found, rows = [pl.Series(dtype=pl.Binary)], [np.empty(0, np.int64)]
    for size in np.unique(sizes).tolist():
        rows.append(np.flatnonzero(sizes == size))
        texts = pl.Series(sliding_window_view(histories.event_ids, size)[at[rows[-1]]])
        found.append(texts.cast(pl.List(pl.UInt8)).cast(pl.Binary))
    return pl.concat(found).gather(np.argsort(np.concatenate(rows))).cast(pl.String)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a journal.

    Raises:
        JournalMissing: There is none.
        JournalDamaged: It is not as it was written, or of another format.
    """
    path = folder / MANIFEST
    with files_told_clearly(path):
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise JournalMissing(folder) from None
    try:
        sealed = msgspec.json.decode(data, type=_Sealed)
        if sealed.hash != sha256(sealed.manifest).hexdigest():
            raise JournalDamaged(path, "is not as it was written")
        manifest = msgspec.json.decode(sealed.manifest, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise JournalDamaged(path, "is no whole manifest") from error
    if manifest.format != FORMAT:
        raise JournalDamaged(path, f"is of format {manifest.format}, not {FORMAT}")
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Put a manifest in the place of the one before, whole or not at all."""
    written = msgspec.json.encode(manifest)
    sealed = _Sealed(sha256(written).hexdigest(), msgspec.Raw(written))
    draft = folder / f"{MANIFEST}.draft"
    _write(draft, msgspec.json.encode(sealed))
    reached("journal.drafted")
    with files_told_clearly(folder):
        draft.replace(folder / MANIFEST)
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    reached("journal.kept")


def write_frame(folder: Path, name: str, frame: pl.DataFrame) -> File:
    """A frame as a file of that name: one row group, not compressed, so that a scan only copies."""
    buffer = BytesIO()
    frame.write_parquet(
        buffer, compression="uncompressed", statistics=False, row_group_size=max(1, len(frame))
    )
    data = buffer.getbuffer()
    _write(folder / name, data)
    return File(name, sha256(data).hexdigest())


def write_part(folder: Path, part: Part, suffix: str) -> Bucket:
    """The files of a bucket."""
    begins, kept = _alike_lists(part)
    frames = part.frames()
    frames[TOUCHES] = part.touches.with_columns(pl.Series(ATTRIBUTE_AT, begins))
    frames[ATTRIBUTES] = part.attributes.drop("lead")[kept]
    files = {
        kind: write_frame(folder, f"{kind}-{suffix}.parquet", frame)
        for kind, frame in frames.items()
    }
    reached("journal.bucket")
    return Bucket(len(part.leads), len(part.touches), files)


def read_part(folder: Path, bucket: Bucket) -> Part:
    """All of a bucket.

    Raises:
        JournalDamaged: A file is missing or no Parquet, or attributes are not those of touches.
    """
    frames = read_bucket(folder, bucket, dict.fromkeys(KINDS))
    check_lists(folder, bucket, frames)
    leads, touches, lists = frames.values()
    counts = touches[ATTRIBUTES].to_numpy().astype(np.int64)
    lead = pl.Series("lead", np.repeat(touches["lead"].to_numpy(), counts))
    attributes = lists[ranges(touches[ATTRIBUTE_AT].to_numpy(), counts)]
    return Part(leads, touches.drop(ATTRIBUTE_AT), attributes.insert_column(0, lead))


def check_lists(folder: Path, bucket: Bucket, frames: Mapping[str, pl.DataFrame]) -> None:
    """That the lists of attributes that touches have are there, and nothing beside them.

    Raises:
        JournalDamaged: They are not.
    """
    begins, counts = (frames[TOUCHES][name].to_numpy() for name in (ATTRIBUTE_AT, ATTRIBUTES))
    if begins.min(initial=0) < 0:
        raise JournalDamaged(folder / bucket.files[TOUCHES].name, "has attributes below row 0")
    check_rows(folder, bucket, ATTRIBUTES, frames, int((begins + counts).max(initial=0)))


def check_rows(
    folder: Path, bucket: Bucket, kind: str, frames: Mapping[str, pl.DataFrame], due: int
) -> None:
    """That a file of a bucket has as many rows as are due.

    Raises:
        JournalDamaged: It has not.
    """
    if len(frames[kind]) != due:
        has = f"has {len(frames[kind]):,} rows and should have {due:,}"
        raise JournalDamaged(folder / bucket.files[kind].name, has)


def _alike_lists(part: Part) -> tuple[Numbers, Numbers]:
    """Where the attributes of each touch begin once alike lists are one; the rows that are kept."""
    name, tag, bits = (part.attributes[column].to_numpy() for column in ATTRIBUTE.names or ())
    rows, _ = alike(np.column_stack([name.astype(np.int64) << 32 | tag, bits]))
    counts = part.touches[ATTRIBUTES].to_numpy().astype(np.int64)
    own = np.cumsum(counts) - counts
    begins, kept, end = np.zeros(len(counts), np.int64), [np.zeros(0, np.int64)], 0
    for size in np.unique(counts[counts > 0]).tolist():
        touches = np.flatnonzero(counts == size)
        which, first = alike(rows[own[touches, None] + np.arange(size)])
        begins[touches] = end + which * size
        kept.append(ranges(own[touches[first]], np.full(len(first), size)))
        end += size * len(first)
    return begins, np.concatenate(kept)


def read_bucket(folder: Path, bucket: Bucket, asked: Asked) -> dict[str, pl.DataFrame]:
    """Some columns of some files of a bucket, or all; at once, which takes half as long.

    Raises:
        JournalDamaged: One is missing, no Parquet, or has no such columns.
    """
    wanted = [(bucket.files[kind], columns) for kind, columns in asked.items()]
    try:
        scans = [
            pl.scan_parquet(folder / file.name, glob=False).select(columns or pl.all())
            for file, columns in wanted
        ]
        frames = pl.collect_all(scans)
    except _UNREADABLE:
        frames = [read_frame(folder, *one) for one in wanted]  # one by one, to say which it is
    return dict(zip(asked, frames, strict=True))


def read_frame(folder: Path, file: File, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Some columns of a file, or all.

    Raises:
        JournalDamaged: It is missing, no Parquet, or has no such columns.
    """
    path = folder / file.name
    try:
        return pl.read_parquet(path, columns=list(columns) if columns else None, glob=False)
    except _UNREADABLE as error:
        raise JournalDamaged(path, "cannot be read") from error


def hash_of(folder: Path, file: File) -> str | None:
    """What a file hashes to now; None where it is missing."""
    path = folder / file.name
    with files_told_clearly(path):
        return sha256(path.read_bytes()).hexdigest() if path.exists() else None


def sweep(folder: Path, named: Collection[str]) -> None:
    """Remove the Parquet files that are not among these."""
    with files_told_clearly(folder):
        for path in folder.glob("*.parquet"):
            if path.name not in named:
                path.unlink(missing_ok=True)


def _write(path: Path, data: bytes | memoryview) -> None:
    with files_told_clearly(path), path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
