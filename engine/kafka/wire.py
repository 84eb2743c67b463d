"""How a touchpoint is framed in a message, and which of the message's headers are kept.

Two frames are read, both in front of the same Avro record: the single-object
encoding (C3 01 and the schema's fingerprint), which is also how facts are stored,
and Confluent's (00 and the number of the schema in a registry).
"""

from collections.abc import Iterable

from engine.codec import HEADER_BYTES, MARKER, MAX_BYTES
from engine.errors import Undecodable, UnknownSchema
from engine.kafka.registry import Registry
from engine.kafka.schemas import Schema, shipped

CONFLUENT = b"\x00"
CONFLUENT_BYTES = 5
GUID = b"\x01"
GUID_HEADER = "__value_schema_id"

TRACE_HEADERS = ("traceparent", "tracestate")
CLOUD_EVENTS = "ce_"
MAX_HEADERS, MAX_HEADER_BYTES = 32, 8 << 10  # kept of one message

Headers = Iterable[tuple[str, bytes | None]]
_BY_MARK: dict[bytes, Schema] = {}


def unframe(
    value: bytes, headers: Headers = (), registry: Registry | None = None
) -> tuple[Schema, bytes]:
    """The schema that a message's value was written with, and the bare Avro record.

    Raises:
        UnknownSchema: Neither `schemas/` nor the registry has the schema, or it may not be used.
        Undecodable: Too long, or framed in neither way.
        RegistryAway: The registry does not answer; ask again later.
    """
    if len(value) > MAX_BYTES:
        raise Undecodable(f"{len(value)} bytes are more than {MAX_BYTES}")
    if value.startswith(MARKER):
        return _single_object(value)
    if any(name == GUID_HEADER for name, _ in headers):
        raise Undecodable(f"its schema is named by a GUID in the header {GUID_HEADER}")
    if value.startswith(CONFLUENT):
        return _confluent(value, registry)
    if value.startswith(GUID):
        raise Undecodable("its schema is named by a GUID (magic byte 1)")
    raise Undecodable("it begins with neither C3 01 nor 00")


def single_object(schema: Schema, record: bytes) -> bytes:
    """A record as it is stored: C3 01, the fingerprint, the record."""
    return MARKER + bytes.fromhex(schema.fingerprint) + record


def kept_headers(headers: Headers) -> tuple[tuple[str, bytes], ...]:
    """CloudEvents' headers and the trace's, in their order, up to some number and length."""
    kept: list[tuple[str, bytes]] = []
    room = MAX_HEADER_BYTES
    for name, value in headers:
        if value is None or not (name.startswith(CLOUD_EVENTS) or name in TRACE_HEADERS):
            continue
        room -= len(name) + len(value)
        if room < 0 or len(kept) == MAX_HEADERS:
            break
        kept.append((name, value))
    return tuple(kept)


def _single_object(value: bytes) -> tuple[Schema, bytes]:
    if len(value) < HEADER_BYTES:
        raise Undecodable("it ends within its header")
    if not _BY_MARK:
        _BY_MARK.update((bytes.fromhex(mark), schema) for mark, schema in shipped().items())
    mark = value[len(MARKER) : HEADER_BYTES]
    schema = _BY_MARK.get(mark)
    if schema is None:
        raise UnknownSchema(mark.hex(), shipped())
    return schema, value[HEADER_BYTES:]


def _confluent(value: bytes, registry: Registry | None) -> tuple[Schema, bytes]:
    if len(value) < CONFLUENT_BYTES:
        raise Undecodable("it ends within its header")
    if registry is None:
        raise Undecodable(
            "its schema is numbered by a registry, and none is set (LEADLEDGER_REGISTRY)"
        )
    number = int.from_bytes(value[len(CONFLUENT) : CONFLUENT_BYTES], "big")
    return registry.schema(number), value[CONFLUENT_BYTES:]
