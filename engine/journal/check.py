"""Whether a journal is as it was written, and what its facts were at its position."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from engine.errors import JournalDamaged
from engine.journal.files import (
    ATTRIBUTES,
    LEADS,
    MANIFEST,
    TOUCHES,
    Bucket,
    File,
    Manifest,
    Part,
    hash_of,
    read_frame,
    read_manifest,
    read_part,
)
from engine.journal.making import bucket_of, is_of
from engine.store.facts import Facts

_KEYS = {LEADS: ("lead",), TOUCHES: ("lead", "position"), ATTRIBUTES: ("lead", "position")}
_NTH, _ROW = "nth", "row"  # of several of one key; whether there is one
_FACTS = " by the facts"  # behind the name of a column


class _Unlike(NamedTuple):
    row: dict[str, Any]  # keys by name
    what: str
    journal: object
    facts: object


class Difference(NamedTuple):
    """One thing that is not as it should be."""

    bucket: int | None  # None: it is of no bucket
    lead: str | None  # id; None: it is of no lead
    position: int | None  # None: it is of no touchpoint
    what: str  # the file, column or string; "row": whether there is one
    journal: object
    facts: object  # by the facts, or as it was written


def differences(folder: Path, facts: Facts) -> list[Difference]:
    """All that is not as it was written, or not as the facts were at the journal's position.

    Raises:
        JournalMissing: There is none.
    """
    try:
        manifest = read_manifest(folder)
    except JournalDamaged as error:
        return [Difference(None, None, None, MANIFEST, str(error), None)]
    with facts.snapshot():
        if not is_of(manifest, facts):
            written = manifest.anchor, manifest.too_common
            now = facts.anchor(manifest.position), facts.too_common
            return [Difference(None, None, manifest.position, "anchor", written, now)]
        found = [*_rotten(folder, None, [manifest.strings])]
        found += [] if found else _strings(folder, manifest, facts)
        leads = facts.lead_numbers()
        where = bucket_of(leads, len(manifest.buckets))
        for number, bucket in enumerate(manifest.buckets):
            rotten = [*_rotten(folder, number, bucket.files.values())]
            found += rotten
            if not rotten:  # to read what is damaged can end the process
                histories = facts.histories(leads[where == number], manifest.position)
                found += _rows(folder, number, bucket, Part.of(histories))
    return found


def _rotten(folder: Path, bucket: int | None, files: Iterable[File]) -> Iterator[Difference]:
    """Files that are not as they were written."""
    for file in files:
        now = hash_of(folder, file)
        if now != file.hash:
            yield Difference(bucket, None, None, file.name, now, file.hash)


def _strings(folder: Path, manifest: Manifest, facts: Facts) -> Iterator[Difference]:
    mine = read_frame(folder, manifest.strings)
    theirs = pl.DataFrame(facts.texts_after(0), schema=mine.schema, orient="row")
    theirs = theirs.filter(pl.col("id") <= manifest.last_string)
    for row, what, *both in _unlike(mine, theirs, ("id",)):
        yield Difference(None, None, None, f"string {row['id']}: {what}", *both)


def _rows(folder: Path, number: int, bucket: Bucket, facts: Part) -> Iterator[Difference]:
    """Where the rows of a bucket are not those of the facts."""
    try:
        journal = read_part(folder, bucket)
    except JournalDamaged as error:
        yield Difference(number, None, None, "files", str(error), None)
        return
    for what, told, counted in (
        ("leads", bucket.leads, len(facts.leads)),
        ("touchpoints", bucket.touchpoints, len(facts.touches)),
    ):
        if told != counted:
            yield Difference(number, None, None, what, told, counted)
    mine, theirs = _by_touch(journal), _by_touch(facts)
    named = {**_ids(journal), **_ids(facts)}
    for kind, keys in _KEYS.items():
        if mine[kind].equals(theirs[kind]):
            continue
        unlike = [*_unlike(mine[kind], theirs[kind], keys)]
        for row, what, *both in unlike or _misplaced(mine[kind], theirs[kind], keys[-1]):
            place = named.get(row["lead"]), row.get("position")
            yield Difference(number, *place, f"{kind}: {what}", *both)


def _ids(part: Part) -> Mapping[int, str]:
    return dict(part.leads.select("lead", "id").iter_rows())


def _by_touch(part: Part) -> dict[str, pl.DataFrame]:
    """The three, attributes with the position of their touch."""
    positions = np.repeat(part.touches["position"], part.touches[ATTRIBUTES])
    return {**part.frames(), ATTRIBUTES: part.attributes.with_columns(position=positions)}


def _unlike(mine: pl.DataFrame, theirs: pl.DataFrame, keys: Sequence[str]) -> Iterator[_Unlike]:
    """Rows that only one of them has, and cells that differ."""
    nth = pl.int_range(pl.len()).over(keys).alias(_NTH)
    one, other = (frame.with_columns(nth, pl.lit(True).alias(_ROW)) for frame in (mine, theirs))
    both = one.join(other, on=[*keys, _NTH], how="full", coalesce=True, suffix=_FACTS)
    both = both.with_columns(pl.col(_ROW, _ROW + _FACTS).fill_null(False)).sort(keys)
    matched = both.filter(pl.col(_ROW) & pl.col(_ROW + _FACTS))
    cells = [name for name in mine.columns if name not in keys]
    for what, rows in ((_ROW, both), *((name, matched) for name in cells)):
        apart = rows.filter(pl.col(what) != pl.col(what + _FACTS))
        for row in apart.iter_rows(named=True):
            yield _Unlike(row, what, row[what], row[what + _FACTS])


def _misplaced(mine: pl.DataFrame, theirs: pl.DataFrame, key: str) -> Iterator[_Unlike]:
    """The same rows in another order."""
    for at in np.flatnonzero(mine[key].to_numpy() != theirs[key].to_numpy()).tolist():
        yield _Unlike(mine.row(at, named=True), "order", mine[key][at], theirs[key][at])
