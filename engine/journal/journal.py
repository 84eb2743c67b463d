"""The columnar journal: histories as Parquet, in buckets of leads, beside the event store.

All of it is derived from the store and can be deleted; it is there because a scan of it
takes a hundredth of the time that reading the store does. It stands at a position and is
extended from there. A lead lies in the bucket that its number hashes to, with everything
that is its own, so a bucket can be folded by whoever has just the folder.
"""

import shutil
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.history import ATTRIBUTE, TOUCH, Histories
from engine.journal import files
from engine.journal.check import Difference, differences
from engine.journal.files import ATTRIBUTE_AT, ATTRIBUTES, KINDS, LEADS, TOUCHES, Manifest
from engine.journal.making import PER_BUCKET, extended
from engine.progress import Progress, quiet
from engine.ruleset import RuleSet
from engine.signals import TEXT_FIELDS, fields_of
from engine.store.facts import Facts

POSITION, EVENT_ID = "position", "event_id"
COLUMNS = frozenset({*(TOUCH.names or ()), POSITION, EVENT_ID})
_NOTHING = pl.DataFrame()
_FOLDED = ("occurred_at", "amount_minor", "currency", "type", "channel", ATTRIBUTES)


def journal_beside(path: Path) -> Path:
    """The folder of the journal of a facts file."""
    return path.with_name(f"{path.stem}.journal")


def columns_folded(rule_sets: Iterable[RuleSet]) -> frozenset[str]:
    """The columns that folding and segments read under some rule sets."""
    fields = {field for rules in rule_sets for field in fields_of(rules)}
    asked = {TEXT_FIELDS[field] for field in fields if field in TEXT_FIELDS}
    return frozenset(asked.union(_FOLDED))


class JournalStrings:
    """`engine.history.Strings` over the dictionary in a journal."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame  # id, text; by id
        self._texts: dict[int, str] = {0: ""}
        self._ids: dict[str, int] = {}

    def texts(self, ids: Sequence[int]) -> list[str]:
        """The texts of these ids, in their order; 0 gives the empty string."""
        new = [*({*ids} - self._texts.keys())]
        if new:
            found = self._frame[np.searchsorted(self._frame["id"].to_numpy(), new)]
            self._texts.update(zip(found["id"], found["text"], strict=True))
        return [self._texts[id_] for id_ in ids]

    def ids(self, texts: Sequence[str]) -> list[int]:
        """The ids of these texts, in their order; 0 for a text that was never recorded."""
        new = [*({*texts} - self._ids.keys())]
        if new:
            found = self._frame.filter(pl.col("text").is_in(new))
            self._ids.update(dict.fromkeys(new, 0))
            self._ids.update(zip(found["text"], found["id"], strict=True))
        return [self._ids[text] for text in texts]


class Journal:
    """Histories as Parquet in a folder; what is read of it is as its manifest was first read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The journal in a folder, which need not be there before it is extended.

        Everything but `extend` and `discard` raises JournalMissing where there is none, and
        JournalDamaged where its manifest is not as it was written.
        """
        return cls(folder)

    @cached_property
    def manifest(self) -> Manifest:
        """What it is made of, and where it stands."""
        return files.read_manifest(self.folder)

    @cached_property
    def strings(self) -> JournalStrings:
        """The dictionary."""
        return JournalStrings(files.read_frame(self.folder, self.manifest.strings))

    @property
    def position(self) -> int:
        """As known at which position its histories are."""
        return self.manifest.position

    @property
    def buckets(self) -> range:
        """The numbers of its buckets."""
        return range(len(self.manifest.buckets))

    def read(self, bucket: int, columns: Collection[str] | None = None) -> Histories:
        """The histories of the leads of a bucket, ascending by number.

        Args:
            columns: Some of COLUMNS, all others are left 0 (event ids: empty); None: all.

        Raises:
            JournalDamaged: A file is missing, no Parquet, or shorter than it was.
        """
        entry = self.manifest.buckets[bucket]
        wanted = COLUMNS if columns is None else COLUMNS.intersection(columns)
        lists = [ATTRIBUTE_AT] if ATTRIBUTES in wanted else []
        asked: files.Asked = {LEADS: None, TOUCHES: [*sorted(wanted), *lists] or [POSITION]}
        if lists:
            asked[ATTRIBUTES] = None
        frames = files.read_bucket(self.folder, entry, asked)
        leads, found, held = (frames.get(kind, _NOTHING) for kind in KINDS)
        for kind, due in ((LEADS, entry.leads), (TOUCHES, entry.touchpoints)):
            files.check_rows(self.folder, entry, kind, frames, due)
        if lists:
            files.check_lists(self.folder, entry, frames)
        none = np.zeros(entry.touchpoints, np.int64)
        ids, sizes = _event_ids(found[EVENT_ID]) if EVENT_ID in wanted else (b"", none)
        return Histories(
            leads=leads["id"].to_list(),
            starts=np.append(0, np.cumsum(leads["touchpoints"].to_numpy())).astype(np.int64),
            touches=_records(TOUCH, found),
            positions=found[POSITION].to_numpy() if POSITION in wanted else none,
            attributes=_records(ATTRIBUTE, held),
            attribute_at=found[ATTRIBUTE_AT].to_numpy() if lists else none,
            event_ids=np.frombuffer(ids, np.uint8),
            event_id_at=np.cumsum(sizes) - sizes,
            event_id_size=sizes,
            strings=self.strings,
            numbers=leads["lead"].to_numpy(),
        )

    def extend(
        self, facts: Facts, progress: Progress = quiet, per_bucket: int = PER_BUCKET
    ) -> None:
        """Bring it to where the facts are; not to be called within a snapshot of them.

        Buckets of leads that were touched since are written anew, and all of them where there
        is no journal, or one that is damaged, of other facts, or has outgrown its buckets.
        At any instant the folder holds the one before or the new one; files of the one before
        stay until the next time, for those who read them. Where many buckets are to be written
        from a file of facts, other processes share them (started by `spawn`).

        Args:
            per_bucket: How many touchpoints a bucket is to have, about.
            progress: Is told how many leads are done, and how many there are to do.

        Raises:
            StoreReadOnly, StoreFull, StoreIO: The folder cannot be written.
            StoreError: What one of these, or of the facts, said in another process.
            JournalInterrupted: Another process was killed.
        """
        made = extended(self.folder, facts, progress, per_bucket)
        vars(self).pop("strings", None)
        self.manifest = made

    def verify(self, facts: Facts) -> list[Difference]:
        """Where it is not as it was written, or not what the facts were at its position."""
        return differences(self.folder, facts)

    def discard(self) -> None:
        """Delete all of it; nothing is lost but the time that it takes to make it anew."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for read in ("manifest", "strings"):
            vars(self).pop(read, None)


def _records(dtype: np.dtype[np.void], frame: pl.DataFrame) -> NDArray[np.void]:
    """Rows as records; what the frame does not have is 0."""
    records = np.zeros(len(frame), dtype)
    for name in {*frame.columns} & {*(dtype.names or ())}:
        records[name] = frame[name].to_numpy()
    return records


def _event_ids(column: pl.Series) -> tuple[bytes, NDArray[np.int64]]:
    """All bytes of a column of texts, and how many each has."""
    sizes: NDArray[np.int64] = column.str.len_bytes().cast(pl.Int64).to_numpy()
    return column.str.join("").item().encode(), sizes
