"""Records, touchpoints above all, as Avro bytes: C3 01, the schema's fingerprint, the record.

Instants stay integers: the schema is parsed without its logical types, which
its fingerprint does not cover.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from io import BytesIO
from typing import Any, cast

import msgspec
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.schema import fingerprint, to_parsing_canonical_form

from engine.errors import Undecodable, UnknownSchema
from engine.resources import folder
from engine.touchpoint import (
    CONTENT_DIGITS,
    DIGEST_DIGITS,
    KINDS,
    MAX_ATTRIBUTES,
    MAX_IDENTIFIERS,
    MAX_MENTIONS,
    Identifier,
    Mention,
    Touchpoint,
)

MAX_BYTES = 1 << 20  # of one encoded touchpoint
MAX_SIMILAR = 17 * MAX_IDENTIFIERS + 1  # a phone number of 15 digits has 16 forms
MARKER = b"\xc3\x01"
HEADER_BYTES = len(MARKER) + 8

_HEX = b"0123456789abcdef"
_KINDS = frozenset(KINDS)
_BRANCHES = {
    "campaign": "leadledger.Campaign",
    "actor": "leadledger.Actor",
    "amount": "leadledger.Money",
    "sealed": "leadledger.Sealed",
}


class Schema(msgspec.Struct, frozen=True):
    """A schema of ours, and the ten bytes that a record under it begins with."""

    header: bytes
    parsed: Any


def encode(touchpoint: Touchpoint) -> bytes:
    """The bytes that stand for a touchpoint everywhere.

    Raises:
        Undecodable: They would be more than a reader takes.
    """
    data = write(_touchpoints(), _with_branches(msgspec.to_builtins(touchpoint)))
    if len(data) > MAX_BYTES:
        raise Undecodable(f"{len(data)} bytes are more than {MAX_BYTES}")
    return data


def decode(data: bytes) -> Touchpoint:
    """The touchpoint that bytes stand for; time and memory stay bounded, whatever they are.

    Its form is sure then, not that it may be recorded: ask `engine.admission`.

    Raises:
        UnknownSchema: Written with a schema that is not in `schemas/`.
        Undecodable: Too long, cut short, with bytes to spare, or no touchpoint at all.
    """
    if len(data) > MAX_BYTES:
        raise Undecodable(f"{len(data)} bytes are more than {MAX_BYTES}")
    if not data.startswith(MARKER) or len(data) < HEADER_BYTES:
        raise Undecodable("the first ten bytes are no single-object header")
    schema = _touchpoints()
    if not data.startswith(schema.header):
        known = schema.header[len(MARKER) :].hex()
        raise UnknownSchema(data[len(MARKER) : HEADER_BYTES].hex(), [known])
    return touchpoint_of(read(schema, data))


def schema_fingerprint() -> str:
    """CRC-64-AVRO of the touchpoint schema, 16 hex digits, little-endian as on the wire."""
    return _touchpoints().header[len(MARKER) :].hex()


def _touchpoints() -> Schema:
    return schema_of("touchpoint")


@cache
def schema_of(name: str) -> Schema:
    """The schema that stands in `schemas/` under a name."""
    written = msgspec.json.decode((folder("schemas") / f"{name}.avsc").read_bytes())
    header = MARKER + bytes.fromhex(fingerprint_of(written))
    return Schema(header, parse_schema(without_logical_types(written)))


def fingerprint_of(schema: Any) -> str:
    """CRC-64-AVRO of a schema, 16 hex digits, little-endian as on the wire."""
    return fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO")


def write(schema: Schema, record: Mapping[str, Any]) -> bytes:
    """A record with its header."""
    out = BytesIO()
    out.write(schema.header)
    schemaless_writer(out, schema.parsed, record)
    return out.getvalue()


def read(schema: Schema, data: bytes) -> Mapping[str, Any]:
    """The record behind a header, which has been looked at.

    Raises:
        Undecodable: It is damaged, or does not end where the bytes do.
    """
    source = BytesIO(data)
    source.seek(HEADER_BYTES)
    try:
        record = schemaless_reader(source, schema.parsed, None)
    except Exception as error:  # damage shows as errors of many kinds in fastavro
        raise Undecodable(f"the record is damaged ({type(error).__name__})") from None
    rest = len(data) - source.tell()
    if rest:
        raise Undecodable(f"{rest} bytes follow the record")
    return cast(Mapping[str, Any], record)  # for all schemas of ours are records


def without_logical_types(schema: Any) -> Any:
    """A schema, or a part of one, in which instants are the integers that they are on the wire."""
    if isinstance(schema, list):
        return [without_logical_types(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: without_logical_types(part) for key, part in schema.items() if key != "logicalType"
    }


def _with_branches(record: dict[str, Any]) -> dict[str, Any]:
    """The record, with the branches of its unions named: fastavro need not try them."""
    for field, branch in _BRANCHES.items():
        if record[field] is not None:
            record[field] = (branch, record[field])
    return record


def touchpoint_of(record: Mapping[str, Any]) -> Touchpoint:
    """The touchpoint that a decoded record is.

    Raises:
        Undecodable: It has too many of something, or identifiers that are none.
    """
    try:
        touchpoint = msgspec.convert(record, Touchpoint)
    except msgspec.ValidationError as error:
        raise Undecodable(f"the record is no touchpoint ({error})") from None
    check_decoded(touchpoint)
    return touchpoint


def check_decoded(touchpoint: Touchpoint) -> None:
    """What no schema says of a touchpoint: how much of all it may have, and what digests are.

    Raises:
        Undecodable: It has too many of something, or identifiers that are none.
    """
    identifiers, mentions, similar = (
        touchpoint.identifiers,
        touchpoint.mentions,
        touchpoint.similar,
    )
    if len(identifiers) > MAX_IDENTIFIERS:
        raise Undecodable(f"more than {MAX_IDENTIFIERS} identifiers")
    if len(mentions) > MAX_MENTIONS:
        raise Undecodable(f"more than {MAX_MENTIONS} mentions")
    if len(touchpoint.attributes) > MAX_ATTRIBUTES:
        raise Undecodable(f"more than {MAX_ATTRIBUTES} attributes")
    if len(similar) > MAX_SIMILAR:
        raise Undecodable(f"more than {MAX_SIMILAR} similar")
    named: Sequence[Identifier | Mention] = (*identifiers, *mentions) if mentions else identifiers
    for one in named:
        if one.kind not in _KINDS:
            raise Undecodable("an identifier is of no known kind")
        if not _is_hex(one.digest, DIGEST_DIGITS):
            raise Undecodable("an identifier has no digest")
    for form in similar:
        if not _is_hex(form.digest, DIGEST_DIGITS):
            raise Undecodable("an identifier has no digest")
    if not _is_hex(touchpoint.content, CONTENT_DIGITS):
        raise Undecodable("content is no digest")


def _is_hex(text: str, digits: int) -> bool:
    """Whether a text is so many lower-case hex digits."""
    return len(text) == digits and not text.encode().translate(None, _HEX)
