"""Imports: what comes of good files, bad files, and imports that were stopped."""

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import importer, lifecycle, mapfile
from engine.edge import Edge
from engine.errors import FileUnreadable, ForeignFile, StoreFull, WrongEncoding
from engine.importer import Imported, Interrupted, import_file
from engine.mapping import RowMapping
from engine.privacy import IdentifierKey, WorkspaceKey
from engine.rowmap import remapper
from engine.store.facts import Facts

WORKSPACE = WorkspaceKey(bytes(32))
LEADS = """
name = "leads"
[[touchpoint]]
source = "crm"
event_id = "{id}"
type = "lead_created"
occurred_at = "{at}"
identifiers = [{ kind = "external_id", value = "{id}" }]
personal.name = "{name}"
"""
NO_ID = LEADS.replace('event_id = "{id}"\n', "")
HEADING = "id,at,name\n"


@dataclass
class World:
    """A database, an edge before it, and a folder of files to import."""

    facts: Facts
    edge: Edge
    folder: Path

    def file(self, data: str | bytes, name: str = "rows.csv") -> Path:
        path = self.folder / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    def mapping(self, toml: str) -> RowMapping:
        """A mapping from a file, so that it can be found again."""
        path = self.folder / "mapping.toml"
        path.write_text(toml, encoding="utf-8")
        return mapfile.load(str(path))

    def run(
        self,
        path: Path,
        mapping: RowMapping | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Imported:
        done = import_file(
            self.facts, self.edge, path, mapping, workspace_key=WORKSPACE, progress=progress
        )
        assert done.received == done.recorded + done.duplicates + sum(done.set_aside.values())
        return done

    def ids(self) -> list[str]:
        """The event ids of all that is recorded, sorted."""
        with self.facts.snapshot() as connection:
            return sorted(row[0] for row in connection.execute("SELECT event_id FROM ids"))

    def reasons(self) -> list[tuple[int, str]]:
        """Line and reason of all that is set aside."""
        return [(item.line, item.reason) for item in self.facts.aside()]

    def conserved(self) -> bool:
        """Whether all that ever came is recorded, a duplicate or set aside."""
        return all(
            one.received == one.recorded + one.duplicates + one.set_aside
            for one in self.facts.intake().values()
        )


def new_world(folder: Path) -> World:
    facts = Facts.open(folder / "facts.db")
    return World(facts, Edge(IdentifierKey(bytes(range(32))), facts.keyring(WORKSPACE)), folder)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = new_world(tmp_path)
    yield made
    assert made.conserved()
    made.facts.close()


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importer, "BATCH", 10)


def touchpoint(number: int, **more: object) -> str:
    fields = {
        "source": "web",
        "event_id": f"e{number}",
        "type": "page_viewed",
        "occurred_at": "2026-03-01T08:00:00Z",
        "identifiers": [{"kind": "user_id", "value": f"u{number}"}],
    }
    return json.dumps(fields | more) + "\n"


def row(number: int, name: str = "Ánh") -> str:
    return f"{number},2026-03-01T08:00:00Z,{name}\n"


def rows(numbers: range) -> str:
    return "".join(map(row, numbers))


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
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_importer import new_world, WORKSPACE
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
        tests=str(Path(__file__).parent),
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


def test_a_packed_file_that_is_cut_off_is_told_and_what_came_before_is_kept(world: World):
    names = [os.urandom(30).hex() for _ in range(5000)]
    text = "".join(row(number, name) for number, name in enumerate(names))
    packed = gzip.compress((HEADING + text).encode())
    path = world.file(packed[: len(packed) * 3 // 4], "rows.csv.gz")
    with pytest.raises(FileUnreadable, match=r"rows\.csv\.gz"):
        world.run(path, world.mapping(LEADS))
    assert len(world.ids()) >= 3000


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("not json", "undecodable"),
        ('{"a": ', "undecodable"),
        ("[1]", "undecodable"),
        (touchpoint(2, attributes={"x": float("nan")}), "not_canonical"),
        (touchpoint(2, attributes={"x": 10**30}), "not_canonical"),
        (touchpoint(2, attributes={"x": "a\0b"}), "not_canonical"),
        (touchpoint(2, attributes={"x": "\ud800"}), "not_canonical"),
        (touchpoint(2, occurred_at="2026-03-01T08:00:00"), "not_canonical"),
        (touchpoint(2, attributes={"x": "y" * 10_000_000}), "not_canonical"),
        (touchpoint(2, type="teleported"), "unknown_type"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_line_that_is_no_good_is_set_aside_and_the_others_are_recorded(
    world: World, line: str, reason: str
):
    done = world.run(world.file(touchpoint(1) + line.strip() + "\n" + touchpoint(3), "t.jsonl"))
    assert done.recorded == 2
    assert world.reasons() == [(2, reason)]


@pytest.mark.parametrize(
    ("bad", "reason", "line"),
    [
        ("2,2026-03-01T08:00:00Z\n", "undecodable", 3),
        ("2,2026-03-01T08:00:00Z,B,C\n", "undecodable", 3),
        ('2,"2026-03-01T08:00:00Z" ,B\n', "undecodable", 3),
        ("2,2026-03-01T08:00:00,B\n", "not_canonical", 3),
        ("2,yesterday,B\n", "not_canonical", 3),
        ("2,,B\n", "not_canonical", 3),
        ("2,2026-03-01T08:00:00Z,a\0b\n", "not_canonical", 3),
        (",2026-03-01T08:00:00Z,B\n", "not_canonical", 3),
        (f"2,2026-03-01T08:00:00Z,{'x' * 10_000_000}\n", "not_canonical", 3),
        (f'2,2026-03-01T08:00:00Z,"{"x" * 5_000_000}\n{"y" * 5_000_000}"\n', "not_canonical", 3),
        (b"2,2026-03-01T08:00:00Z,\xc1nh\n", "undecodable", 3),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_row_that_is_no_good_is_set_aside_and_the_others_are_recorded(
    world: World, bad: str | bytes, reason: str, line: int
):
    middle = bad if isinstance(bad, bytes) else bad.encode()
    path = world.file((HEADING + row(1)).encode() + middle + row(3).encode())
    done = world.run(path, world.mapping(LEADS))
    assert done.recorded == 2
    assert world.reasons() == [(line, reason)]


def test_a_quote_that_never_closes_costs_one_line(world: World):
    text = HEADING + row(1) + '2,2026-03-01T08:00:00Z,"B\n' + rows(range(3, 9))
    assert world.run(world.file(text), world.mapping(LEADS)).recorded == 7
    assert world.reasons() == [(3, "undecodable")]


def test_a_field_may_go_over_several_lines_and_lines_are_counted_all_the_same(world: World):
    text = HEADING + '1,2026-03-01T08:00:00Z,"two\nlines"\n2,never,B\n'
    assert world.run(world.file(text), world.mapping(LEADS)).recorded == 1
    assert world.reasons() == [(4, "not_canonical")]


@pytest.mark.parametrize(
    ("data", "toml", "told"),
    [
        (HEADING.replace("name", "nome") + row(1), LEADS, "no column name .*is it nome"),
        (HEADING.replace(",", ";") + row(1), LEADS, "delimiter = ';'"),
        ("id,at,name,name\n", LEADS, "several"),
        ("", LEADS, "is empty"),
        ("1,2\n", 'columns = ["id", "at", "name"]\n' + LEADS, "has 2 columns"),
        ("id,at,name\n", None, "is not JSON Lines, .*--mapping"),
        ('[{"source": "web"}]', None, "JSON array"),
        ("\x00\x01PNG\r\n", LEADS, "."),
        ('{"other": 1}\n', 'format = "jsonl"\n' + LEADS, r"none of at, id, name \(it has other"),
    ],
)
def test_a_foreign_file_is_refused_before_anything_is_recorded(
    world: World, data: str, toml: str | None, told: str
):
    mapping = None if toml is None else world.mapping(toml)
    with pytest.raises((ForeignFile, WrongEncoding), match=told):
        world.run(world.file(data), mapping)
    assert world.facts.head() == 0
    assert not world.facts.aside()


@pytest.mark.parametrize("encoding", ["cp1258", "utf-16"])
def test_a_file_in_another_encoding_is_refused_with_what_to_do(world: World, encoding: str):
    text = HEADING + "".join(row(number, "Ân Đạt"[:2]) for number in range(20))
    path = world.file(text.encode(encoding))
    with pytest.raises(WrongEncoding, match="iconv"):
        world.run(path, world.mapping(LEADS))
    assert world.facts.head() == 0
    if encoding == "cp1258":
        said = world.mapping(LEADS.replace('"leads"', '"leads"\nencoding = "cp1258"'))
        assert world.run(path, said).recorded == 20


def test_a_file_that_is_not_there_is_told_by_its_name(world: World):
    with pytest.raises(FileUnreadable, match=r"nowhere\.csv"):
        world.run(world.folder / "nowhere.csv", world.mapping(LEADS))


def test_a_second_file_must_be_there_with_its_columns_and_one_row_a_key(world: World):
    lookup = '\n[[lookup]]\nname = "c"\nfile = "c.csv"\nkey = "id"\n'
    mapping = world.mapping(LEADS + 'attributes.city = "{c.city}"' + lookup)
    path = world.file(HEADING + row(1))
    with pytest.raises(FileUnreadable, match=r"c\.csv"):
        world.run(path, mapping)
    world.file("id,town\n1,Huế\n", "c.csv")
    with pytest.raises(ForeignFile, match="no column city"):
        world.run(path, mapping)
    world.file("id,city\n1,Huế\n1,Vinh\n", "c.csv")
    with pytest.raises(ForeignFile, match="one id on lines 2 and 3"):
        world.run(path, mapping)
    assert world.facts.head() == 0


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


def test_what_was_set_aside_can_be_mapped_again_once_the_mapping_is_mended(world: World):
    text = (HEADING + "1,01/03/2026,B\n").encode() + b"2,2026-03-01T08:00:00Z,\xc1nh\n"
    path = world.file(text)
    assert world.run(path, world.mapping(LEADS)).recorded == 0
    retry = remapper(world.edge)
    stayed = lifecycle.retry_aside(world.facts, world.edge, WORKSPACE, retry)
    assert (stayed.recorded, stayed.set_aside.total()) == (0, 2)

    mended = LEADS.replace('"{at}"', '{ column = "at", zone = "UTC", times = ["iso", "%d/%m/%Y"] }')
    world.mapping(mended.replace('"leads"', '"leads"\nencoding = "cp1258"'))
    driven = lifecycle.retry_aside(world.facts, world.edge, WORKSPACE, retry)
    assert (driven.recorded, world.ids()) == (2, ["1", "2"])
    assert lifecycle.retry_aside(world.facts, world.edge, WORKSPACE, retry).received == 0


def test_no_value_of_a_row_is_told_in_details_or_errors(world: World):
    text = HEADING + "MARKER,MARKER,MARKER\n" + '"MARKER\n' + "MARKER,x\n"
    world.run(world.file(text), world.mapping(LEADS))
    assert len(world.facts.aside()) == 3
    assert not [item for item in world.facts.aside() if "MARKER" in item.detail]


PIECES = st.sampled_from(
    [b",", b"\n", b"\r\n", b'"', b"\xff", b"\0", b"1", b"2026-03-01T08:00:00Z", b" ", "Á".encode()]
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(PIECES, max_size=60))
def test_of_any_bytes_everything_that_came_is_accounted_for(world: World, pieces: list[bytes]):
    data = HEADING.encode() + row(1, "B").encode() + b"".join(pieces)
    try:
        world.run(world.file(data), world.mapping(LEADS))
    except WrongEncoding:
        return
    assert world.conserved()
