"""Rows of a file: memory is bounded, and one row that is no row costs no other."""

import tracemalloc
from io import BytesIO
from pathlib import Path

import pytest

from engine import rowfile
from engine.rowfile import Dialect, Lines, Place, RawRow, read_csv
from tests.import_world import HEADING, LEADS, World, row, rows

LIMIT = 1 << 14  # bytes, in the place of 16 MB
UNCLOSED = '0,2026-03-01T08:00:00Z,"Ánh\n'


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rowfile, "MAX_RECORD", LIMIT)


def read(text: str) -> tuple[list[RawRow], Lines]:
    lines = Lines(BytesIO(text.encode()), Place(), Path("rows.csv"))
    return list(read_csv(lines, Dialect())), lines


def enough(size: int) -> str:
    """So many bytes of rows at least, none of which has a quote."""
    return rows(range(1, size // len(row(1).encode()) + 2))


@pytest.mark.usefixtures("small_limit")
@pytest.mark.parametrize("behind", [LIMIT // 4, LIMIT - len(UNCLOSED), LIMIT, 3 * LIMIT])
def test_a_quote_that_never_closes_costs_one_row_however_long_the_file_is(
    world: World, behind: int
):
    good = enough(behind)
    path = world.file(HEADING + UNCLOSED + good)
    done = world.run(path, world.mapping(LEADS))
    assert (done.recorded, done.set_aside) == (good.count("\n"), {"undecodable": 1})
    assert world.reasons() == [(2, "undecodable")]
    assert done.line == good.count("\n") + 2


@pytest.mark.usefixtures("small_limit")
def test_a_quote_that_never_closes_costs_one_row_for_each_of_its_kind():
    some = enough(2 * LIMIT)
    found, lines = read((UNCLOSED + some) * 3)
    broken = [one.line for one in found if one.problem]
    assert broken == [1 + number * (some.count("\n") + 1) for number in range(3)]
    assert len(found) == 3 * (some.count("\n") + 1)
    assert lines.place.offset == 3 * len((UNCLOSED + some).encode())


def test_too_many_lines_in_quotes_are_no_row_either(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rowfile, "MAX_LINES", 10)
    found, _ = read(UNCLOSED + rows(range(1, 30)))
    assert [one.line for one in found if one.problem] == [1]
    assert len(found) == 30


@pytest.mark.usefixtures("small_limit")
def test_memory_is_bounded_by_the_longest_row_and_not_by_the_file():
    text = BytesIO((UNCLOSED + enough(32 * LIMIT)).encode())
    lines = Lines(text, Place(), Path("rows.csv"))
    tracemalloc.start()
    count = sum(1 for _ in read_csv(lines, Dialect()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == text.getvalue().count(b"\n")
    assert peak < 16 * LIMIT
