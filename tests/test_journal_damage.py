"""The columnar journal: killed anywhere it goes on, and what is damaged is found and made anew."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import polars as pl
import psutil
import pytest
from msgspec.structs import replace

from engine.crash import CRASH_AT
from engine.errors import JournalDamaged, JournalMissing
from engine.journal.check import Difference
from engine.journal.files import (
    ATTRIBUTES,
    LEADS,
    MANIFEST,
    TOUCHES,
    hash_of,
    read_frame,
    read_manifest,
    write_frame,
    write_manifest,
)
from engine.journal.journal import Journal
from tests.journals import (
    ANN,
    FIRST,
    MORE,
    bucket_with,
    by_lead,
    check_it_tells_what_the_store_does,
    few_leads_fill_many_buckets,
    small_journal,
)
from tests.storing import digest, store

PC = digest("anonymous_id:pc")[:32]
EXTENDING = """
import sys
from pathlib import Path
import numpy as np
from engine.journal import making
from engine.journal.journal import Journal
from engine.store.facts import Facts
if __name__ == "__main__":
    making.TOGETHER = np.uint64(0)
    making.FEW = int(sys.argv[3])
    with Facts.open(sys.argv[1]) as facts:
        Journal.open(Path(sys.argv[2])).extend(facts, per_bucket=1)
"""


@pytest.fixture(autouse=True)
def neighbours_lie_apart(monkeypatch):
    few_leads_fill_many_buckets(monkeypatch)


@pytest.fixture
def world(facts_file, tmp_path):
    """Facts of two people and a computer, and a journal of them."""
    return facts_file, small_journal(facts_file, tmp_path / "facts.journal")


def killed_at(place, facts, folder, few=100):
    """Extend a journal in a process that dies there; the session that it began."""
    environ = {**os.environ, CRASH_AT: f"journal.{place}"}
    command = [sys.executable, "-c", EXTENDING, str(facts.path), str(folder), str(few)]
    with subprocess.Popen(command, env=environ, start_new_session=True) as dying:
        assert dying.wait(timeout=120) == -signal.SIGKILL
    return dying.pid


def still_running(session):
    """The processes of a session that have not ended."""
    running = []
    for one in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getsid(one.pid) == session and one.status() != psutil.STATUS_ZOMBIE:
                running.append(one)
    return running


PLACES = ["swept", "bucket", "bucket:2", "strings", "drafted", "kept"]


@pytest.mark.parametrize("place", PLACES)
def test_killed_while_it_is_extended_it_is_the_old_one_or_the_new_and_goes_on(world, place):
    facts, journal = world
    old = {file.name for file in journal.manifest.files()}
    store(facts, *MORE)
    killed_at(place, facts, journal.folder)
    left = Journal.open(journal.folder)
    assert left.position == (6 if place == "kept" else 4)
    check_it_tells_what_the_store_does(left, facts)
    left.extend(facts, per_bucket=1)
    assert left.position == 6
    check_it_tells_what_the_store_does(left, facts)
    named = {file.name for file in left.manifest.files()}
    assert {path.name for path in left.folder.glob("*.parquet")} <= old | named


@pytest.mark.parametrize("place", ["bucket:3", "drafted", "kept"])
def test_killed_while_it_is_first_made_it_is_not_there_or_whole_and_goes_on(
    place, facts_file, tmp_path
):
    store(facts_file, *FIRST)
    journal = Journal.open(tmp_path / "journal")
    killed_at(place, facts_file, journal.folder)
    if place != "kept":
        with pytest.raises(JournalMissing):
            journal.verify(facts_file)
    journal.extend(facts_file, per_bucket=1)
    check_it_tells_what_the_store_does(journal, facts_file)
    assert {path.name for path in journal.folder.glob("*.parquet")} == {
        file.name for file in journal.manifest.files()
    }


def test_processes_that_share_the_work_end_with_the_one_that_is_killed(facts_file, tmp_path):
    store(facts_file, *FIRST)
    journal = Journal.open(tmp_path / "journal")
    session = killed_at("shared", facts_file, journal.folder, few=2)
    give_up_at = time.monotonic() + 60
    while (left := still_running(session)) and time.monotonic() < give_up_at:
        time.sleep(0.05)
    assert left == []
    journal.extend(facts_file, per_bucket=1)
    check_it_tells_what_the_store_does(journal, facts_file)


def flipped(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-20])


def without_a_row(path):
    frame = pl.read_parquet(path)
    frame[:-1].write_parquet(path)


DAMAGES = [flipped, cut_short, without_a_row, os.remove]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", [LEADS, TOUCHES, ATTRIBUTES, "strings"])
def test_a_damaged_file_is_found_by_its_hash_and_made_anew(world, kind, damage):
    facts, journal = world
    before, bucket = by_lead(journal), None
    file = journal.manifest.strings
    if kind != "strings":
        bucket = bucket_with(journal, ANN)
        file = journal.manifest.buckets[bucket].files[kind]
    damage(journal.folder / file.name)
    now = hash_of(journal.folder, file)
    assert journal.verify(facts) == [Difference(bucket, None, None, file.name, now, file.hash)]
    journal.extend(facts, per_bucket=1)
    assert journal.verify(facts) == []
    assert by_lead(journal) == before


def another_position(path):
    path.write_bytes(path.read_bytes().replace(b'"position":4', b'"position":3'))


def no_utf_8(path):
    path.write_bytes(path.read_bytes().replace(b'"hash":"', b'"hash":"\xff', 1))


def another_format(path):
    write_manifest(path.parent, replace(read_manifest(path.parent), format=1))


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (cut_short, "is no whole manifest"),
        (flipped, "is "),
        (another_position, "is not as it was written"),
        (no_utf_8, "is no whole manifest"),
        (another_format, "is of format 1, not 2"),
    ],
)
def test_a_manifest_that_is_not_as_it_was_written_is_found_and_made_anew(world, damage, what):
    facts, journal = world
    before = by_lead(journal)
    damage(journal.folder / MANIFEST)
    again = Journal.open(journal.folder)
    with pytest.raises(JournalDamaged, match=what):
        again.read(0)
    (difference,) = again.verify(facts)
    assert difference.what == MANIFEST
    again.extend(facts, per_bucket=1)
    assert again.verify(facts) == []
    assert by_lead(again) == before


def test_a_manifest_that_is_gone_is_made_anew(world):
    facts, journal = world
    before = by_lead(journal)
    (journal.folder / MANIFEST).unlink()
    again = Journal.open(journal.folder)
    again.extend(facts, per_bucket=1)
    assert by_lead(again) == before


@pytest.mark.parametrize("kind", [TOUCHES, ATTRIBUTES])
def test_a_file_that_lost_rows_since_it_was_checked_is_not_read(world, kind):
    _, journal = world
    bucket = bucket_with(journal, ANN)
    without_a_row(journal.folder / journal.manifest.buckets[bucket].files[kind].name)
    with pytest.raises(JournalDamaged, match="has 1 rows and should have 2"):
        journal.read(bucket)


# What is wrong under the right hash


def forge(journal, bucket, kind, change):
    """Change rows of a file, and what the manifest says of it."""
    manifest, folder = journal.manifest, journal.folder
    buckets = [*manifest.buckets]
    files = dict(buckets[bucket].files)
    files[kind] = write_frame(folder, files[kind].name, change(read_frame(folder, files[kind])))
    buckets[bucket] = replace(buckets[bucket], files=files)
    write_manifest(folder, replace(manifest, buckets=buckets))


def where(position, **columns):
    """Put other values into the row of a position."""
    at = pl.col("position") == position
    return lambda frame: frame.with_columns(
        pl.when(at).then(value).otherwise(name).cast(frame[name].dtype).alias(name)
        for name, value in columns.items()
    )


def test_a_changed_value_is_found_with_lead_position_and_both_values(world):
    facts, journal = world
    bucket, (email,) = bucket_with(journal, PC), facts.strings.ids(["email"])
    forge(journal, bucket, TOUCHES, where(4, channel=99))
    assert journal.verify(facts) == [Difference(bucket, PC, 4, "touches: channel", 99, email)]


def test_a_changed_attribute_is_found_with_lead_position_and_both_values(world):
    facts, journal = world
    bucket = bucket_with(journal, ANN)
    more = pl.when(pl.col("bits") == 7).then(8).otherwise("bits").alias("bits")
    forge(journal, bucket, ATTRIBUTES, lambda frame: frame.with_columns(more))
    assert journal.verify(facts) == [Difference(bucket, ANN, 1, "attributes: bits", 8, 7)]


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        (ATTRIBUTES, lambda frame: frame.head(1), "has 1 rows and should have 2"),
        (ATTRIBUTES, lambda frame: pl.concat([frame] * 2), "has 4 rows and should have 2"),
        (TOUCHES, where(1, attribute_at=-2), "has attributes below row 0"),
    ],
)
def test_attributes_that_are_not_those_of_touchpoints_are_found_and_not_read(
    world, kind, change, said
):
    facts, journal = world
    bucket = bucket_with(journal, ANN)
    forge(journal, bucket, kind, change)
    (difference,) = journal.verify(facts)
    assert (difference.bucket, difference.what) == (bucket, "files")
    assert said in difference.journal
    with pytest.raises(JournalDamaged, match=said):
        Journal.open(journal.folder).read(bucket)


def test_a_lead_under_another_id_is_found(world):
    facts, journal = world
    bucket = bucket_with(journal, ANN)
    forge(journal, bucket, LEADS, lambda frame: frame.with_columns(id=pl.lit("x")))
    assert journal.verify(facts) == [Difference(bucket, ANN, None, "leads: id", "x", ANN)]


def test_a_row_that_is_missing_and_one_that_is_doubled_are_found(world):
    facts, journal = world
    bucket = bucket_with(journal, ANN)
    forge(journal, bucket, TOUCHES, lambda frame: frame.filter(pl.col("position") != 2))
    assert journal.verify(facts) == [Difference(bucket, ANN, 2, "touches: row", False, True)]
    journal = Journal.open(journal.folder)
    forge(journal, bucket, TOUCHES, lambda frame: pl.concat([frame, frame]))
    assert journal.verify(facts) == [
        Difference(bucket, ANN, 1, "touches: row", True, False),
        Difference(bucket, ANN, 2, "touches: row", False, True),
        *[Difference(bucket, ANN, 1, "attributes: row", True, False)] * 2,  # its own, once more
    ]


def test_rows_in_another_order_are_found(world):
    facts, journal = world
    bucket = bucket_with(journal, ANN)
    forge(journal, bucket, TOUCHES, lambda frame: frame.reverse())
    assert journal.verify(facts) == [
        Difference(bucket, ANN, 1, "touches: order", 1, 2),
        Difference(bucket, ANN, 2, "touches: order", 2, 1),
    ]


def test_counts_that_are_not_those_of_the_facts_are_found(world):
    facts, journal = world
    bucket = bucket_with(journal, ANN)
    buckets = [*journal.manifest.buckets]
    buckets[bucket] = replace(buckets[bucket], leads=3, touchpoints=5)
    write_manifest(journal.folder, replace(journal.manifest, buckets=buckets))
    assert journal.verify(facts) == [
        Difference(bucket, None, None, "leads", 3, 1),
        Difference(bucket, None, None, "touchpoints", 5, 2),
    ]


def test_another_string_is_found(world):
    facts, journal = world
    (number,) = facts.strings.ids(["google"])
    frame = read_frame(journal.folder, journal.manifest.strings)
    other = pl.when(pl.col("id") == number).then(pl.lit("bing")).otherwise("text").alias("text")
    file = write_frame(journal.folder, "strings-1.parquet", frame.with_columns(other))
    write_manifest(journal.folder, replace(journal.manifest, strings=file))
    what = f"string {number}: text"
    assert journal.verify(facts) == [Difference(None, None, None, what, "bing", "google")]


def test_verify_compares_with_what_was_known_at_the_position_of_the_journal(world):
    facts, journal = world
    store(facts, *MORE)
    assert journal.verify(facts) == []
