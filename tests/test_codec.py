"""Avro bytes: what goes in comes out, and nothing else does."""

import json
import struct
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.codec import MAX_BYTES, decode, encode, schema_fingerprint
from engine.errors import Undecodable, UnknownSchema
from engine.touchpoint import (
    KINDS,
    Actor,
    Campaign,
    Identifier,
    Mention,
    Money,
    Sealed,
    Similar,
    Touchpoint,
)

SCHEMA = json.loads((Path(__file__).parents[1] / "schemas" / "touchpoint.avsc").read_text())
PARSED = fastavro.parse_schema(SCHEMA)
TABLE = """source event_id type occurred_at sequence time_quality received_at identifiers channel
campaign actor deal account mentions amount attributes sealed similar content"""

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
int64s = st.integers(-(2**63), 2**63 - 1)
instants = st.integers(-(10**15), 10**17)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
kinds = st.sampled_from(KINDS)
maybe_texts = st.none() | texts
scalars = texts | int64s | st.booleans() | st.floats(allow_nan=False, allow_infinity=False)


def tuples_of(strategy):
    return st.lists(strategy, max_size=4).map(tuple)


touchpoints = st.builds(
    Touchpoint,
    source=texts,
    event_id=texts,
    type=texts,
    occurred_at=instants,
    received_at=instants,
    content=st.text("0123456789abcdef", min_size=32, max_size=32),
    identifiers=tuples_of(st.builds(Identifier, kinds, digests)),
    sequence=int64s,
    time_quality=st.sampled_from(["exact", "date", "sent", "received"]),
    channel=texts,
    campaign=st.none() | st.builds(Campaign, *[maybe_texts] * 5),
    actor=st.none() | st.builds(Actor, st.sampled_from(["lead", "rep", "system"]), maybe_texts),
    deal=maybe_texts,
    account=maybe_texts,
    mentions=tuples_of(st.builds(Mention, texts, kinds, digests)),
    amount=st.none() | st.builds(Money, int64s, texts),
    attributes=st.dictionaries(texts, scalars, max_size=4),
    sealed=st.none() | st.builds(Sealed, texts, texts, texts),
    similar=tuples_of(st.builds(Similar, texts, digests)),
)
PLAIN = Touchpoint(
    source="web", event_id="1", type="won", occurred_at=1, received_at=2, content="0" * 32
)


def parts_of(schema):
    """Every schema within a schema."""
    yield schema
    if isinstance(schema, list):
        inner = schema
    elif isinstance(schema, dict):
        inner = [one["type"] for one in schema.get("fields", [])]
        inner += [schema[key] for key in ("type", "items", "values") if key in schema]
    else:
        inner = []
    for part in inner:
        yield from parts_of(part)


def crc_64_avro(data):
    """The fingerprint as the Avro specification words it, bit by bit."""
    empty = 0xC15D213AA4D7A795
    fingerprint = empty
    for byte in data:
        fingerprint ^= byte
        for _ in range(8):
            fingerprint = (fingerprint >> 1) ^ (empty & -(fingerprint & 1))
    return fingerprint


@given(touchpoints)
def test_what_is_encoded_is_decoded_again(touchpoint):
    assert decode(encode(touchpoint)) == touchpoint


@given(touchpoints)
def test_any_avro_reader_can_read_the_record(touchpoint):
    read = fastavro.schemaless_reader(BytesIO(encode(touchpoint)[10:]), PARSED, None)
    assert list(read) == TABLE.split()
    assert (read["source"], read["sequence"]) == (touchpoint.source, touchpoint.sequence)
    assert read["attributes"] == touchpoint.attributes


def test_the_fields_stand_in_their_order():
    assert [field["name"] for field in SCHEMA["fields"]] == TABLE.split()


def test_there_are_no_bytes_and_every_enum_has_a_default():
    parts = list(parts_of(SCHEMA))
    assert not {"bytes", "fixed"} & {part for part in parts if isinstance(part, str)}
    enums = [one for one in parts if isinstance(one, dict) and one["type"] == "enum"]
    assert [one["default"] for one in enums] == ["exact", "system"]


def test_no_item_of_a_list_is_without_bytes_and_no_record_holds_itself():
    for part in parts_of(SCHEMA):
        if isinstance(part, dict) and part["type"] == "array":
            assert part["items"]["fields"][0]["type"] == "string"
    names = [one["name"] for one in parts_of(SCHEMA) if isinstance(one, dict) and "name" in one]
    assert len(names) == len(set(names))


def test_instants_are_timestamps_in_the_schema_and_integers_here():
    fields = {field["name"]: field["type"] for field in SCHEMA["fields"]}
    timestamp = {"type": "long", "logicalType": "timestamp-micros"}
    assert (fields["occurred_at"], fields["received_at"]) == (timestamp, timestamp)
    assert decode(encode(PLAIN)).occurred_at == 1


def test_the_header_is_the_fingerprint_of_the_canonical_schema():
    canonical = fastavro.schema.to_parsing_canonical_form(SCHEMA)
    expected = b"\xc3\x01" + struct.pack("<Q", crc_64_avro(canonical.encode()))
    assert encode(PLAIN)[:10] == expected
    assert schema_fingerprint() == expected[2:].hex()


def test_the_fingerprint_of_int_is_that_of_the_specification():
    assert crc_64_avro(b'"int"') == 0x7275D51A3F395C8F


def test_an_unknown_schema_is_told_with_the_known_one():
    data = b"\xc3\x01" + b"\x01" * 8 + encode(PLAIN)[10:]
    with pytest.raises(UnknownSchema, match="0101010101010101") as caught:
        decode(data)
    assert schema_fingerprint() in str(caught.value)


@given(touchpoints, st.data())
def test_a_record_cut_short_is_undecodable(touchpoint, data):
    whole = encode(touchpoint)
    with pytest.raises(Undecodable):
        decode(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(touchpoints, st.binary(min_size=1, max_size=9))
def test_bytes_behind_a_record_are_not_overlooked(touchpoint, rest):
    with pytest.raises(Undecodable, match=f"{len(rest)} bytes follow"):
        decode(encode(touchpoint) + rest)


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_any_bytes_behind_the_header_decode_or_are_undecodable(body):
    with suppress(Undecodable):
        decode(encode(PLAIN)[:10] + body)


@settings(max_examples=300)
@given(touchpoints, st.data())
def test_a_record_with_a_changed_byte_decodes_or_is_undecodable(touchpoint, data):
    changed = bytearray(encode(touchpoint))
    changed[data.draw(st.integers(10, len(changed) - 1))] = data.draw(st.integers(0, 255))
    with suppress(Undecodable):
        decode(bytes(changed))


@given(st.binary(max_size=40))
def test_bytes_without_a_header_are_undecodable(data):
    with pytest.raises((Undecodable, UnknownSchema)):
        decode(data)


def test_a_touchpoint_is_at_most_so_large():
    with pytest.raises(Undecodable, match="more than"):
        decode(encode(PLAIN) + bytes(MAX_BYTES))
    large = Touchpoint(
        source="web",
        event_id="1",
        type="won",
        occurred_at=1,
        received_at=2,
        content="0" * 32,
        attributes={f"a{number}": "x" * 65_536 for number in range(17)},
    )
    with pytest.raises(Undecodable, match="more than"):
        encode(large)


def varint(number):
    """An Avro long."""
    zigzag = (number << 1) ^ (number >> 63)
    out = bytearray()
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    return bytes([*out, zigzag])


BEFORE_IDENTIFIERS = encode(PLAIN)[: 10 + len(b"\x06web\x021\x06won\x02\x00\x00\x04")]


@pytest.mark.parametrize(
    "claim",
    [
        varint(500_000) + bytes(1_000_000),  # empty kinds and digests
        varint(2**62),
        varint(-(2**62)) + varint(2**62),
        varint(1) + varint(2**62),
        varint(1) + varint(-5),
        varint(1) + varint(-(2**63)),
        b"\xff" * 400,
    ],
)
def test_counts_and_lengths_that_lie_are_undecodable(claim):
    with pytest.raises(Undecodable):
        decode(BEFORE_IDENTIFIERS + claim)


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("identifiers", (Identifier("email", "0" * 64),) * 65, "more than 64 identifiers"),
        ("mentions", (Mention("referrer", "email", "0" * 64),) * 65, "more than 64 mentions"),
        ("attributes", {str(n): n for n in range(257)}, "more than 256 attributes"),
        ("similar", (Similar("email_plain", "0" * 64),) * 2000, "similar"),
        ("identifiers", (Identifier("shoe_size", "0" * 64),), "no known kind"),
        ("mentions", (Mention("referrer", "shoe_size", "0" * 64),), "no known kind"),
        ("identifiers", (Identifier("email", "ann@example.com"),), "no digest"),
        ("identifiers", (Identifier("email", "A" * 64),), "no digest"),
        ("content", "0" * 31 + "g", "content is no digest"),
    ],
)
def test_a_record_of_the_right_schema_may_still_be_no_touchpoint(field, value, problem):
    given = {name: getattr(PLAIN, name) for name in PLAIN.__struct_fields__}
    with pytest.raises(Undecodable, match=problem) as caught:
        decode(encode(Touchpoint(**{**given, field: value})))
    assert "example" not in str(caught.value)
