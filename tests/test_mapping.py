"""Mappings: what they say, what is wrong with them, and what they make of a row."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import mapfile, mapping
from engine.cells import read
from engine.errors import MappingInvalid, MappingUnreadable, Unmappable

MARCH_1 = 1_772_323_200_000_000  # 2026-03-01T00:00:00Z
HOUR = 3_600_000_000
HEAD = 'name = "test"\n'
TOUCH = """
[[touchpoint]]
source = "crm"
event_id = "{id}"
type = "lead_created"
occurred_at = "2026-03-01T00:00:00Z"
"""


def outline_of(more: str = "", head: str = "") -> mapping.Outline:
    return mapfile.parse(HEAD + head + TOUCH + more).outlines[0]


def made(more: str, fields: dict[str, Any], head: str = "") -> dict[str, Any]:
    return mapping.build(outline_of(more, head), {"id": "7", **fields})


def at(cell: str, text: str, head: str = "") -> tuple[int, str]:
    """Instant and quality that a cell for `occurred_at` makes of the column `when`."""
    toml = HEAD + head + TOUCH.replace('"2026-03-01T00:00:00Z"', cell)
    touchpoint = mapping.build(mapfile.parse(toml).outlines[0], {"id": "7", "when": text})
    return touchpoint["occurred_at"], touchpoint["time_quality"]


def faults_of(text: str) -> dict[str, str]:
    with pytest.raises(MappingInvalid) as caught:
        mapfile.parse(text)
    return {fault.key: fault.message for fault in caught.value.faults}


def test_every_field_of_the_interchange_form_can_be_mapped():
    touchpoint = made(
        """
        sequence = "{n}"
        time_quality = "sent"
        channel = "email"
        deal = "{deal}"
        account = "ACME"
        identifiers = [
            { kind = "email", value = "{mail}" },
            { kind = "crm_id", namespace = "hubspot", value = "{id}" },
        ]
        mentions = [{ role = "referrer", kind = "phone", value = "{tel}" }]
        amount = { column = "price", currency = "EUR" }
        [touchpoint.campaign]
        source = "google"
        name = "{camp}"
        [touchpoint.actor]
        kind = "rep"
        id = "{rep}"
        [touchpoint.attributes]
        pages = { column = "pages", as = "integer" }
        score = { column = "score", as = "number" }
        machine = { column = "machine", as = "boolean" }
        path = "/{camp}/{id}"
        [touchpoint.personal]
        name = "{who}"
        """,
        {
            "n": "3", "deal": "D1", "mail": "a@b.c", "tel": "+84901234567", "price": "12.5",
            "camp": "tet", "rep": "r9", "pages": "4", "score": "0.5", "machine": "No", "who": "Ánh",
        },
    )  # fmt: skip
    assert touchpoint == {
        "source": "crm",
        "event_id": "7",
        "type": "lead_created",
        "occurred_at": MARCH_1,
        "time_quality": "sent",
        "sequence": 3,
        "channel": "email",
        "deal": "D1",
        "account": "ACME",
        "identifiers": [
            {"kind": "email", "value": "a@b.c"},
            {"kind": "crm_id", "namespace": "hubspot", "value": "7"},
        ],
        "mentions": [{"role": "referrer", "kind": "phone", "value": "+84901234567"}],
        "amount": {"minor": 1250, "currency": "EUR"},
        "campaign": {"source": "google", "name": "tet"},
        "actor": {"kind": "rep", "id": "r9"},
        "attributes": {"pages": 4, "score": 0.5, "machine": False, "path": "/tet/7"},
        "personal": {"name": "Ánh"},
    }


def test_what_a_row_does_not_have_is_left_out():
    touchpoint = made(
        'deal = "{deal}"\nidentifiers = [{ kind = "email", value = "{mail}" }]\n'
        'amount = { column = "price", currency = "EUR" }\nattributes.a = "x{deal}"',
        {"deal": "", "mail": "", "price": ""},
    )
    assert touchpoint["identifiers"] == []
    assert not touchpoint.keys() & {"deal", "amount", "attributes"}


def test_an_empty_text_is_kept_apart_from_a_missing_one_where_the_mapping_says_so():
    assert made('deal = "{deal}"', {"deal": ""}, "missing = []\n")["deal"] == ""
    assert "deal" not in made('deal = "{deal}"', {"deal": "NULL"}, 'missing = ["", "NULL"]\n')
    assert made('deal = { column = "d", missing = [] }', {"d": ""})["deal"] == ""
    assert "deal" not in made('deal = "{deal}"', {}, "missing = []\n")


@pytest.mark.parametrize(
    ("more", "value", "expected"),
    [
        ('values = { a = "A" }', "a", "A"),
        ('values = { a = "A" }, unlisted = "keep"', "b", "b"),
        ('values = { a = "A" }, unlisted = "drop"', "b", None),
        ('values = { a = "A" }, unlisted = "drop", default = "other"', "b", "other"),
        ('default = "none said"', "", "none said"),
        ("values = { ja = true }", "ja", True),
        (r"extract = '^\d{4}-\d{2}'", "2017-03-04", "2017-03"),
        ("extract = 'utm=([a-z]+)'", "/x?utm=tet&y", "tet"),
        ("extract = 'utm=([a-z]+)'", "/x", None),
    ],
)
def test_a_value_is_cut_out_looked_up_and_stood_in_for(more: str, value: str, expected: object):
    outline = outline_of(f'attributes.x = {{ column = "x", {more} }}')
    assert read(outline.fields["attributes.x"], {"x": value}) == expected


@pytest.mark.parametrize(
    ("cell", "value", "told"),
    [
        ('{ column = "x", values = { a = "A" } }', "secret", "none of the 1 values"),
        ('{ column = "x", required = true }', "", "missing"),
        ('{ column = "x", as = "integer" }', "1.5", "whole number"),
        ('{ column = "x", as = "number" }', "NaN", "64 bits"),
        ('{ column = "x", as = "number" }', "1e999999999", "64 bits"),
        ('{ column = "x", as = "number" }', "secret", "not a number"),
        ('{ column = "x", as = "boolean" }', "secret", "neither true nor false"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_its_column_and_never_shown(
    cell: str, value: str, told: str
):
    with pytest.raises(Unmappable, match=told) as caught:
        made(f"attributes.x = {cell}", {"x": value})
    assert "column x" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("cell", "text", "expected"),
    [
        ('"{when}"', "2026-03-01T07:00:00+07:00", (MARCH_1, "exact")),
        ('{ column = "when", zone = "Asia/Ho_Chi_Minh" }', "2026-03-01 07:00", (MARCH_1, "exact")),
        ('{ column = "when", zone = "UTC" }', "2026-03-01", (MARCH_1, "date")),
        ('{ column = "when", zone = "UTC", times = "%d/%m/%Y" }', "01/03/2026", (MARCH_1, "date")),
        (
            '{ column = "when", zone = "UTC", times = ["%d/%m/%Y", "%d/%m/%Y %H:%M"] }',
            "01/03/2026 01:00",
            (MARCH_1 + HOUR, "exact"),
        ),
        ('{ column = "when", times = "unix" }', "1772323200.000001", (MARCH_1 + 1, "exact")),
        ('{ column = "when", times = "unix_ms" }', "1772323200000", (MARCH_1, "exact")),
        ('{ column = "when", times = ["unix", "iso"] }', "2026-03-01T00:00Z", (MARCH_1, "exact")),
        ('{ text = "{when}T00:00Z" }', "2026-03-01", (MARCH_1, "exact")),
    ],
)
def test_times_are_read_in_the_forms_and_the_zone_of_the_mapping(
    cell: str, text: str, expected: tuple[int, str]
):
    assert at(cell, text) == expected


def test_a_time_without_offset_is_refused_where_no_zone_is_said():
    with pytest.raises(Unmappable, match="no offset"):
        at('"{when}"', "2026-03-01T07:00:00")


def test_a_row_without_a_time_takes_the_missing_time_with_the_quality_received():
    assert at('"{when}"', "", 'missing_time = "2026-03-01T01:00:00Z"\n') == (
        MARCH_1 + HOUR,
        "received",
    )
    column = 'missing_time = { column = "id", times = "unix" }\n'
    assert at('"{when}"', "", column) == (7_000_000, "received")
    with pytest.raises(Unmappable, match="no missing_time"):
        at('"{when}"', "")


@pytest.mark.parametrize(
    ("amount", "value", "head", "minor"),
    [
        ('currency = "EUR"', "1054.5", "", 105450),
        ('currency = "VND"', "1500000", "", 1500000),
        ('currency = "VND"', "1.500.000", 'thousands = "."\n', 1500000),
        ('currency = "EUR"', "1.054,50", 'thousands = "."\ndecimal = ","\n', 105450),
        ('currency = "KWD"', "1.234", "", 1234),
        ('currency = "{cur}"', "-2.50", "", -250),
        ('currency = "EUR", exponent = 0', "5", "", 5),
    ],
)
def test_an_amount_becomes_minor_units_exactly(amount: str, value: str, head: str, minor: int):
    touchpoint = made(f'amount = {{ column = "p", {amount} }}', {"p": value, "cur": "USD"}, head)
    assert touchpoint["amount"]["minor"] == minor


def test_an_amount_that_is_finer_than_its_currency_is_refused_and_not_rounded():
    with pytest.raises(Unmappable, match="more than the 0 decimals"):
        made('amount = { column = "p", currency = "VND" }', {"p": "10.5"})


@pytest.mark.parametrize(
    ("when", "applies"),
    [
        ('{ s = "won" }', True),
        ('{ s = ["lost", "won"] }', True),
        ('{ s = "lost" }', False),
        ("{ s = { exists = true } }", True),
        ("{ gone = { exists = true } }", False),
        ("{ empty = { exists = false } }", True),
        ('{ s = { not = ["lost", "open"] } }', True),
        ('{ gone = { not = "lost" } }', True),
        ('{ gone = "lost" }', False),
        ('{ s = "won", gone = { exists = true } }', False),
    ],
)
def test_a_touchpoint_stands_for_rows_that_meet_all_of_when(when: str, applies: bool):
    outline = outline_of(f"when = {when}")
    assert mapping.applies(outline, {"s": "won", "empty": ""}, ("",)) is applies


def test_what_every_touchpoint_has_is_said_once_and_can_be_outdone():
    both = mapfile.parse(
        HEAD
        + """
        [every]
        source = "crm"
        occurred_at = "2026-03-01T00:00:00Z"
        attributes = { a = 1, b = 1 }
        [[touchpoint]]
        type = "assigned"
        attributes.b = 2
        [[touchpoint]]
        type = "won"
        source = "erp"
        """
    )
    first, second = (mapping.build(outline, {}) for outline in both.outlines)
    assert (first["source"], first["attributes"]) == ("crm", {"a": 1, "b": 2})
    assert (second["source"], second["attributes"]) == ("erp", {"a": 1, "b": 1})


def test_a_second_file_is_joined_by_key():
    mapped = mapfile.parse(
        HEAD
        + TOUCH
        + """
        attributes.price = "{product.price}"
        [[lookup]]
        name = "product"
        file = "products.csv"
        key = "sku"
        by = { column = "item", values = { GTXPro = "GTX Pro" }, unlisted = "keep" }
        unmatched = "refuse"
        """
    )
    tables = {"product": {"GTX Pro": {"sku": "GTX Pro", "price": "4821"}}}
    row = mapping.join(mapped, {"item": "GTXPro"}, tables)
    assert row["product.price"] == "4821"
    assert mapped.columns_used == ["id", "item"]
    assert mapped.columns_of(mapped.lookups[0]) == ["price", "sku"]
    with pytest.raises(Unmappable, match=r"nothing in products\.csv"):
        mapping.join(mapped, {"item": "secret"}, tables)


def test_nested_json_is_read_by_dotted_paths():
    nested = {"a": {"b": [{"c": 1}, {"c": None}]}, "d": True, "e": []}
    assert mapping.flatten(nested) == {"a.b.0.c": 1, "d": True}


def test_braces_are_doubled_to_stand_for_themselves():
    assert made('deal = "{{{id}}}"', {})["deal"] == "{7}"


@given(st.permutations([("a", "1"), ("b", "2"), ("c", "")]))
def test_equal_rows_have_one_text_whatever_the_order_of_columns(pairs: list[tuple[str, str]]):
    assert mapping.canonical_row(dict(pairs)) == '[["a", "1"], ["b", "2"], ["c", ""]]'


def test_ten_faults_are_listed_at_once_each_with_its_key():
    found = faults_of(
        """
        zone = "Mars/Olympus"
        delimiter = ";;"
        encoding = "utf-16"
        times = ["%Q"]
        colums = ["a"]
        [[lookup]]
        name = "p"
        key = "sku"
        [[touchpoint]]
        type = "page_view"
        identifiers = [{ kind = "mail", value = "{x}" }]
        amount = { column = "p", currency = "XYZ" }
        event_id = "{id"
        occurred_at = { column = "x", text = "y" }
        personal.shoe_size = "{x}"
        when = { s = { like = "x" } }
        attributes.a = { column = "x", unlisted = "keep" }
        """
    )
    assert set(found) == {
        "name",
        "zone",
        "delimiter",
        "encoding",
        "times[0]",
        "colums",
        "lookup[0].file",
        "touchpoint[0].type",
        "touchpoint[0].identifiers[0].kind",
        "touchpoint[0].amount.currency",
        "touchpoint[0].event_id",
        "touchpoint[0].occurred_at",
        "touchpoint[0].personal.shoe_size",
        "touchpoint[0].when.s.like",
        "touchpoint[0].attributes.a.unlisted",
        "touchpoint[0].source",
    }
    assert "columns" in found["colums"]


def test_times_without_offset_need_a_zone():
    found = faults_of(
        HEAD + TOUCH.replace('"2026-03-01T00:00:00Z"', '{ column = "x", times = "%Y" }')
    )
    assert "zone" in found["touchpoint[0].occurred_at"]


def test_options_of_csv_are_faults_of_a_mapping_of_json_lines():
    assert "delimiter" in faults_of(HEAD + 'format = "jsonl"\ndelimiter = ";"\n' + TOUCH)


@pytest.mark.parametrize("name", sorted(mapfile.shipped()))
def test_every_shipped_mapping_is_without_fault_and_called_as_its_file(name: str):
    assert mapfile.load(name).name == name


def test_a_bad_pattern_is_a_fault_in_words_and_nothing_else_is_written(
    capfd: pytest.CaptureFixture[str],
):
    found = faults_of(HEAD + TOUCH + 'attributes.a = { column = "c", extract = "(" }\n')
    assert found["touchpoint[0].attributes.a.extract"] == "'(' is no RE2 expression: missing ): ("
    assert capfd.readouterr().err == ""


def test_an_unknown_mapping_is_refused_with_those_that_ship():
    with pytest.raises(MappingUnreadable, match="clickstream, maven_pipeline"):
        mapfile.load("no_such_mapping")


def test_a_mapping_has_another_id_as_soon_as_it_says_something_else():
    one, other = (mapfile.parse(HEAD + TOUCH + more) for more in ("", 'deal = "1"\n'))
    assert one.id != other.id
    assert one.id == mapfile.parse("# a remark\n" + HEAD + TOUCH).id


MANUAL = Path(__file__).parents[1] / "docs" / "mappings.md"


@pytest.mark.parametrize("example", MANUAL.read_text(encoding="utf-8").split("```toml\n")[1:])
def test_every_mapping_of_the_manual_is_without_fault(example: str):
    assert mapfile.parse(example.split("```")[0]).outlines
