"""Decoding in bulk: records of our own schema by way of Arrow columns.

Only records whose form was found sound come here (`engine.avroform`): there is nothing in
them that two decoders could differ over, and none that would fail a whole batch.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from consumers.decode import Read, own_schema
from engine.codec import check_decoded
from engine.errors import ClientMissing, Undecodable
from engine.touchpoint import (
    Actor,
    Campaign,
    Identifier,
    Mention,
    Money,
    Sealed,
    Similar,
    Touchpoint,
)

try:
    import pyruhvro
except ImportError as missing:
    raise ClientMissing("pyruhvro") from missing

CHUNK_BYTES = 1 << 20  # of records; in columns a hostile one takes some ten times as much
CHUNK_RECORDS = 2000
_PLAIN = (
    "source",
    "event_id",
    "type",
    "occurred_at",
    "received_at",
    "content",
    "sequence",
    "time_quality",
    "channel",
    "deal",
    "account",
)


def read_in_bulk(records: Sequence[bytes]) -> list[Read]:
    """Decode records of sound form; the same as `read_singly` gives."""
    read: list[Read] = []
    for chunk in _chunks(records):
        read += _read(chunk)
    return read


def _chunks(records: Sequence[bytes]) -> Iterator[list[bytes]]:
    chunk: list[bytes] = []
    size = 0
    for record in records:
        if chunk and (size + len(record) > CHUNK_BYTES or len(chunk) == CHUNK_RECORDS):
            yield chunk
            chunk, size = [], 0
        chunk.append(record)
        size += len(record)
    if chunk:
        yield chunk


def _read(records: list[bytes]) -> list[Read]:
    batch = pyruhvro.deserialize_array(records, own_schema().text)
    rows = zip(
        *(batch.column(name).to_pylist() for name in _PLAIN),
        _lists(batch.column("identifiers"), Identifier),
        _structs(batch.column("campaign"), Campaign),
        _structs(batch.column("actor"), Actor),
        _lists(batch.column("mentions"), Mention),
        _structs(batch.column("amount"), Money),
        _maps(batch.column("attributes")),
        _structs(batch.column("sealed"), Sealed),
        _lists(batch.column("similar"), Similar),
        strict=True,
    )
    return [_checked(_touchpoint(*row)) for row in rows]


def _touchpoint(*row: Any) -> Touchpoint:
    (
        source,
        event_id,
        type_,
        occurred_at,
        received_at,
        content,
        sequence,
        time_quality,
        channel,
        deal,
        account,
        identifiers,
        campaign,
        actor,
        mentions,
        amount,
        attributes,
        sealed,
        similar,
    ) = row
    return Touchpoint(
        source=source,
        event_id=event_id,
        type=type_,
        occurred_at=occurred_at,
        received_at=received_at,
        content=content,
        identifiers=identifiers,
        sequence=sequence,
        time_quality=time_quality,
        channel=channel,
        campaign=campaign,
        actor=actor,
        deal=deal,
        account=account,
        mentions=mentions,
        amount=amount,
        attributes=attributes,
        sealed=sealed,
        similar=similar,
    )


def _checked(touchpoint: Touchpoint) -> Read:
    try:
        check_decoded(touchpoint)
    except Undecodable as error:
        return error
    return touchpoint


def _structs(column: Any, made: Any) -> list[Any]:
    """What each row of a column of records is; None where there is none."""
    if column.null_count == len(column):
        return [None] * len(column)
    parts = [column.field(index).to_pylist() for index in range(column.type.num_fields)]
    there = column.is_valid().to_pylist()
    return [
        made(*row) if valid else None
        for valid, row in zip(there, zip(*parts, strict=True), strict=True)
    ]


def _lists(column: Any, made: Any) -> list[tuple[Any, ...]]:
    """What each row of a column of lists of records holds."""
    items = column.values
    parts = [items.field(index).to_pylist() for index in range(items.type.num_fields)]
    made_of_all = [made(*row) for row in zip(*parts, strict=True)]
    return [tuple(made_of_all[begin:end]) for begin, end in pairwise(column.offsets.to_pylist())]


def _maps(column: Any) -> list[dict[str, Any]]:
    """What each row of a column of maps holds; its values are of several types."""
    union = column.items
    kinds = [union.field(index).to_pylist() for index in range(union.type.num_fields)]
    codes = union.type_codes.to_pylist()
    values = [kinds[code][index] for index, code in enumerate(codes)]
    items = list(zip(column.keys.to_pylist(), values, strict=True))
    return [dict(items[begin:end]) for begin, end in pairwise(column.offsets.to_pylist())]
