"""Rows set aside and tried again get the ids that they would have had at once."""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import importer, lifecycle
from engine.edge import Row
from engine.errors import Refused
from engine.rowmap import remapper
from tests.import_world import HEADING, NO_ID, WORKSPACE, World, new_world

VIETNAMESE = NO_ID.replace('"leads"', '"leads"\nencoding = "cp1258"')
DATED = NO_ID.replace('"{at}"', '{ column = "at", zone = "UTC", times = ["iso", "%d/%m/%Y"] }')
RIGHT = VIETNAMESE.replace('"{at}"', '{ column = "at", zone = "UTC", times = ["iso", "%d/%m/%Y"] }')
TWO_A_ROW = """
[[touchpoint]]
source = "crm"
type = "qualified"
occurred_at = "2026-03-05T08:00:00Z"
identifiers = [{ kind = "external_id", value = "{id}" }]
"""

ROWS = st.tuples(
    st.sampled_from("12"),
    st.sampled_from(["2026-03-01T08:00:00Z", "01/03/2026"]),
    st.sampled_from(["B", "Ánh", "Ân"]),  # the last two are no UTF-8 in cp1258
    st.sampled_from(["{}", '"{}"']),
    st.sampled_from(["\n", "\r\n"]),
)


@pytest.fixture
def beginning_looks_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if what is wrong stood far down in a large file."""
    monkeypatch.setattr(importer, "SAMPLE", len(HEADING))


def retry(world: World, lines: set[int] | None = None) -> None:
    """Try again what stands on these lines; nothing passes that stands on others."""
    mapped: Callable[[bytes], list[Row]] = remapper(world.edge)

    def some(data: bytes) -> list[Row]:
        if lines is not None and json.loads(data)["line"] not in lines:
            raise Refused("not_canonical", "not now")
        return mapped(data)

    lifecycle.retry_aside(world.facts, world.edge, WORKSPACE, some)


def imported_at_once(path: Path, toml: str) -> list[str]:
    """The ids that a file's rows get where the mapping is right from the first."""
    with TemporaryDirectory() as folder:
        straight = new_world(Path(folder))
        assert not straight.run(path, straight.mapping(toml)).set_aside
        found = straight.ids()
        straight.facts.close()
    return found


@pytest.mark.usefixtures("beginning_looks_fine")
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data(), st.lists(ROWS, min_size=1, max_size=8), st.booleans(), st.sampled_from([1, 2]))
def test_rows_tried_again_in_any_order_get_the_ids_they_would_have_had_at_once(
    data: st.DataObject, rows: list[tuple[str, ...]], cut_off: bool, a_row: int
):
    more = TWO_A_ROW * (a_row - 1)
    lines = [f"{who},{at},{quoted.format(name)}{end}" for who, at, name, quoted, end in rows]
    text = HEADING + "".join(lines)
    with TemporaryDirectory() as folder:
        world = new_world(Path(folder))
        path = world.file((text.rstrip("\r\n") if cut_off else text).encode("cp1258"))
        world.run(path, world.mapping(NO_ID + more))
        half_mended = data.draw(st.permutations([VIETNAMESE, DATED]))
        for toml in half_mended[: data.draw(st.integers(0, 2))]:
            world.mapping(toml + more)
            retry(world)
        mapping = world.mapping(RIGHT + more)
        order = data.draw(st.permutations(range(2, len(rows) + 2)))
        for upto in range(len(order)):
            retry(world, set(order[: upto + 1]))
        assert world.ids() == imported_at_once(path, RIGHT + more)
        assert len(world.ids()) == a_row * len(rows)
        assert world.run(path, mapping).recorded == 0  # the file once more, all known
        world.facts.close()


def test_a_row_that_was_read_in_a_wrong_encoding_is_read_anew_when_it_is_tried_again(world: World):
    path = world.file((HEADING + "1,01/03/2026,Ánh\n" * 2).encode("cp1258"))
    thai = NO_ID.replace('"leads"', '"leads"\nencoding = "cp874"')
    assert world.run(path, world.mapping(thai)).set_aside == {"not_canonical": 2}
    world.mapping(RIGHT)
    retry(world)
    assert world.ids() == imported_at_once(path, RIGHT)


def test_a_row_that_begins_like_a_byte_order_mark_keeps_it_unless_it_is_the_first(world: World):
    path = world.file(HEADING.encode() + b"\xef\xbb\xbf1,2026-03-01T08:00:00Z,\xc1nh\n")
    world.run(path, world.mapping(NO_ID))
    world.mapping(VIETNAMESE)
    retry(world)
    assert world.ids() == imported_at_once(path, VIETNAMESE)


def test_columns_that_the_mapping_names_are_those_that_it_names_by_now(world: World):
    swapped, right = (
        f'columns = ["{names}"]\n' + VIETNAMESE
        for names in ('at", "id", "name', 'id", "at", "name')
    )
    path = world.file("1,2026-03-01T08:00:00Z,B\n")
    assert world.run(path, world.mapping(swapped)).set_aside == {"not_canonical": 1}
    world.mapping(right)
    retry(world)
    assert world.ids() == imported_at_once(path, right)
