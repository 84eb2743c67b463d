"""Imports: what comes of good files, and of imports that were stopped."""

import gzip
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import importer, lifecycle, rowfile
from engine.errors import FileUnreadable, StoreFull
from engine.importer import Interrupted
from tests.import_world import HEADING, LEADS, NO_ID, World, new_world, row, rows, touchpoint


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importer, "BATCH", 10)


class Stop(Exception):
    """Stands for whatever ends an import."""


def stop_at(share: float) -> Callable[[int, int], None]:
    """End an import after the first batch beyond a share of the file."""

    def progress(done: int, size: int) -> None:
        if done > share * size:
            raise Stop

    return progress


def test_json_lines_are_touchpoints_as_they_are(world: World):
    path = world.file(touchpoint(1) + "\n" + touchpoint(2) + touchpoint(1), "t.jsonl")
    done = world.run(path)
    assert (done.received, done.recorded, done.duplicates) == (3, 2, 1)
    assert world.ids() == ["e1", "e2"]


def test_a_file_with_byte_order_mark_and_windows_line_ends_is_read_as_any_other(world: World):
    text = b"\xef\xbb\xbf" + (HEADING + rows(range(2))).replace("\n", "\r\n").encode()
    assert world.run(world.file(text), world.mapping(LEADS)).recorded == 2
    lines = b"\xef\xbb\xbf" + touchpoint(7).replace("\n", "\r\n").encode()
    assert world.run(world.file(lines, "t.jsonl")).recorded == 1


def test_a_second_run_changes_nothing_and_reads_nothing(world: World):
    path, mapping = world.file(HEADING + rows(range(30))), world.mapping(LEADS)
    first, head = world.run(path, mapping), world.facts.head()
    second = world.run(path, mapping)
    assert (first.recorded, second.received, second.read_bytes) == (30, 0, 0)
    assert world.facts.head() == head


def test_the_same_rows_in_another_file_are_duplicates(world: World):
    mapping = world.mapping(LEADS)
    world.run(world.file(HEADING + rows(range(5))), mapping)
    again = world.run(world.file(HEADING + rows(range(5)), "copy.csv"), mapping)
    assert (again.recorded, again.duplicates) == (0, 5)


def test_a_file_that_has_grown_is_read_from_where_it_ended(world: World):
    path, mapping = world.file(HEADING + rows(range(20))), world.mapping(LEADS)
    world.run(path, mapping)
    world.file(HEADING + rows(range(23)))
    more = world.run(path, mapping)
    assert (more.received, more.recorded) == (3, 3)
    assert more.read_bytes == len(rows(range(20, 23)).encode())


def test_a_file_that_was_mended_in_the_middle_is_read_anew(world: World):
    path, mapping = world.file(HEADING + rows(range(9)) + "9,never,B\n"), world.mapping(LEADS)
    assert world.run(path, mapping).set_aside == {"not_canonical": 1}
    world.file(HEADING + rows(range(11)))
    again = world.run(path, mapping)
    assert (again.recorded, again.duplicates) == (2, 9)


def test_a_last_line_that_was_cut_off_is_read_again_when_the_file_has_grown(world: World):
    whole = HEADING + rows(range(3))
    path, mapping = world.file(whole[:-8]), world.mapping(NO_ID)
    world.run(path, mapping)
    world.file(whole)
    assert world.run(path, mapping).received == 3


def test_a_changed_mapping_or_second_file_reads_the_file_anew(world: World):
    lookup = 'attributes.city = "{c.city}"\n[[lookup]]\nname = "c"\nfile = "c.csv"\nkey = "id"\n'
    world.file("id,city\n0,Huế\n", "c.csv")
    path, mapping = world.file(HEADING + rows(range(2))), world.mapping(LEADS + lookup)
    assert world.run(path, mapping).recorded == 2
    world.file("id,city\n0,Huế\n1,Vinh\n", "c.csv")
    again = world.run(path, mapping)
    assert (again.duplicates, again.set_aside) == (1, {"id_reused": 1})


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("toml", [LEADS, NO_ID])
def test_an_import_stopped_at_ninety_percent_reads_less_than_fifteen_again(
    world: World, tmp_path: Path, toml: str
):
    equal = "".join(row(number % 50, "B") for number in range(200))
    path, mapping = world.file(HEADING + equal + rows(range(800))), world.mapping(toml)
    with pytest.raises(Stop):
        world.run(path, mapping, stop_at(0.9))
    second = world.run(path, mapping)
    assert second.finished
    assert second.read_bytes < 0.15 * path.stat().st_size

    (tmp_path / "other").mkdir()
    straight = new_world(tmp_path / "other")
    straight.run(path, mapping)
    assert world.ids() == straight.ids()
    straight.facts.close()


def test_equal_rows_without_an_id_are_as_many_touchpoints_in_every_file(world: World):
    mapping = world.mapping(NO_ID)
    twice = world.run(world.file(HEADING + row(1) * 2), mapping)
    thrice = world.run(world.file(HEADING + row(1) * 3, "more.csv"), mapping)
    assert (twice.recorded, thrice.recorded, thrice.duplicates) == (2, 1, 2)


KILLED = """
import os, signal
from pathlib import Path
from tests.import_world import new_world
from engine import importer, mapfile
importer.BATCH = 10
world = new_world(Path({folder!r}))
def kill(done, size):
    if done > 0.9 * size:
        os.kill(os.getpid(), signal.SIGKILL)
world.run(Path({file!r}), mapfile.load({mapping!r}), kill)
"""


def test_a_killed_import_goes_on_where_it_was_and_loses_nothing(world: World, tmp_path: Path):
    path, mapping = world.file(HEADING + rows(range(300))), world.mapping(LEADS)
    script = KILLED.format(
        folder=str(tmp_path),
        file=str(path),
        mapping=mapping.origin,
    )
    root = Path(__file__).parents[1]
    killed = subprocess.run([sys.executable, "-c", script], cwd=root, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    before = len(world.ids())
    second = world.run(path, mapping)
    assert 270 <= before < 300
    assert (second.recorded, second.duplicates) == (300 - before, 0)
    assert second.read_bytes < 0.15 * path.stat().st_size


@pytest.mark.usefixtures("small_batches")
def test_ctrl_c_finishes_the_batch_and_says_how_to_go_on(world: World):
    path, mapping = world.file(HEADING + rows(range(50))), world.mapping(LEADS)
    before = signal.getsignal(signal.SIGINT)

    def interrupt(done: int, size: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match=r"line 11 of .* the same command goes on") as stopped:
        world.run(path, mapping, interrupt)
    assert stopped.value.imported.recorded == 10
    assert signal.getsignal(signal.SIGINT) is before
    assert world.run(path, mapping).recorded == 40


@pytest.mark.usefixtures("small_batches")
def test_a_disk_that_is_full_half_way_loses_nothing(world: World, monkeypatch: pytest.MonkeyPatch):
    path, mapping = world.file(HEADING + rows(range(50))), world.mapping(LEADS)
    record, left = lifecycle.record, iter([True, True])

    def full_soon(*args, **kwargs):
        if next(left, None) is None:
            raise StoreFull(world.facts.path)
        return record(*args, **kwargs)

    monkeypatch.setattr(lifecycle, "record", full_soon)
    with pytest.raises(StoreFull):
        world.run(path, mapping)
    monkeypatch.setattr(lifecycle, "record", record)
    assert len(world.ids()) == 20
    assert world.run(path, mapping).recorded == 30


def test_a_packed_file_is_read_as_the_one_inside_and_goes_on_likewise(
    world: World, small_batches: None
):
    packed = gzip.compress((HEADING + rows(range(50))).encode())
    path, mapping = world.file(packed, "rows.csv.gz"), world.mapping(LEADS)
    with pytest.raises(Stop):
        world.run(path, mapping, stop_at(0.5))
    second = world.run(path, mapping)
    assert second.resumed_at > 0
    assert len(world.ids()) == 50


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How far each packed file was unpacked, time after time."""
    offsets: list[int] = []

    class Watched(gzip.GzipFile):
        def close(self) -> None:
            if not self.closed:
                offsets.append(self.tell())
            super().close()

    monkeypatch.setattr(rowfile, "GzipFile", Watched)
    return offsets


def packed(text: str) -> bytes:
    """As large as the text, whatever it says: packed without compressing."""
    return gzip.compress(text.encode(), compresslevel=0, mtime=0)


def test_a_packed_file_that_was_read_to_its_end_is_not_unpacked_again(
    world: World, unpacked: list[int]
):
    text = HEADING + rows(range(50))
    path, mapping = world.file(packed(text), "rows.csv.gz"), world.mapping(LEADS)
    world.run(path, mapping)
    second = world.run(path, mapping)
    assert (second.received, second.read_bytes, second.finished) == (0, 0, True)
    assert unpacked == [len(text.encode()), 0]


def test_a_packed_file_of_the_same_size_and_time_but_other_rows_is_read_anew(world: World):
    path, mapping = world.file(packed(HEADING + row(1) + row(2)), "r.csv.gz"), world.mapping(LEADS)
    world.run(path, mapping)
    before = path.stat()
    world.file(packed(HEADING + row(3) + row(2)), "r.csv.gz")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    again = world.run(path, mapping)
    assert (again.recorded, again.duplicates, world.ids()) == (1, 1, ["1", "2", "3"])


def test_a_packed_file_to_which_another_was_added_is_read_from_where_it_ended(world: World):
    first, more = gzip.compress((HEADING + row(1)).encode()), gzip.compress(row(2).encode())
    path, mapping = world.file(first, "rows.csv.gz"), world.mapping(LEADS)
    world.run(path, mapping)
    world.file(first + more, "rows.csv.gz")
    again = world.run(path, mapping)
    assert (again.received, again.recorded, again.read_bytes) == (1, 1, len(row(2).encode()))


def test_a_packed_file_that_was_only_touched_brings_nothing_new(world: World):
    path, mapping = world.file(packed(HEADING + row(1)), "rows.csv.gz"), world.mapping(LEADS)
    world.run(path, mapping)
    os.utime(path, ns=(0, 0))
    assert world.run(path, mapping).received == 0


def test_a_packed_file_that_is_cut_off_is_told_and_what_came_before_is_kept(world: World):
    names = [os.urandom(30).hex() for _ in range(5000)]
    text = "".join(row(number, name) for number, name in enumerate(names))
    packed = gzip.compress((HEADING + text).encode())
    path = world.file(packed[: len(packed) * 3 // 4], "rows.csv.gz")
    with pytest.raises(FileUnreadable, match=r"rows\.csv\.gz"):
        world.run(path, world.mapping(LEADS))
    assert len(world.ids()) >= 3000


def test_of_a_row_with_several_touchpoints_the_good_ones_are_recorded(world: World):
    both = LEADS + (
        '[[touchpoint]]\nsource = "crm"\nevent_id = "{id}-won"\ntype = "won"\n'
        'occurred_at = "{name}"\nidentifiers = [{ kind = "external_id", value = "{id}" }]\n'
    )
    done = world.run(world.file(HEADING + row(1, "soon")), world.mapping(both))
    assert (done.received, done.recorded, done.set_aside) == (2, 1, {"not_canonical": 1})


def test_json_lines_of_another_form_go_through_a_mapping_too(world: World):
    toml = LEADS.replace('"leads"', '"leads"\nformat = "jsonl"').replace("{id}", "{lead.id}")
    line = '{"lead": {"id": 7}, "at": "2026-03-01T08:00:00Z", "name": null}\n'
    done = world.run(world.file(line + "{\n", "t.jsonl"), world.mapping(toml))
    assert (done.recorded, done.set_aside) == (1, {"undecodable": 1})
    assert world.ids() == ["7"]


def test_a_pipe_is_read_as_a_file_is(world: World):
    pipe = world.folder / "pipe"
    for number in (1, 2):
        pipe.unlink(missing_ok=True)
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_text, args=(touchpoint(number),))
        writer.start()
        assert world.run(pipe).recorded == 1
        writer.join()
