"""Imports of bad files: refused with what to do, or row by row set aside, and nothing is lost."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import lifecycle, mapfile
from engine.errors import FileUnreadable, ForeignFile, WrongEncoding
from engine.rowmap import remapper
from tests.import_world import HEADING, LEADS, WORKSPACE, World, row, rows, touchpoint


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
        (HEADING.replace("name", "nome") + row(1), LEADS, "no column name .*did you mean nome"),
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


def test_a_file_that_is_called_packed_and_is_not_is_told(world: World):
    with pytest.raises(FileUnreadable, match="gzip"):
        world.run(world.file(HEADING, "rows.csv.gz"), world.mapping(LEADS))


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


def test_an_item_whose_mapping_is_gone_stays_and_no_other_waits_for_it(world: World):
    bad = world.file(HEADING + "1,2026-03-01,B\n")
    world.run(bad, world.mapping(LEADS))
    other = (world.folder / "mapping.toml").rename(world.folder / "other.toml")
    world.run(world.file(HEADING + "2,2026-03-01,B\n", "more.csv"), mapfile.load(str(other)))
    other.write_text(LEADS.replace('"{at}"', '{ column = "at", zone = "UTC" }'))
    driven = lifecycle.retry_aside(world.facts, world.edge, WORKSPACE, remapper(world.edge))
    assert (driven.recorded, driven.set_aside.total(), world.ids()) == (1, 1, ["2"])


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
