"""Messages become touchpoints, or are set aside with a reason: nothing in them is believed.

A record is looked over byte by byte before anything decodes it (`engine.avroform`), so
that two decoders cannot differ over it, and what it holds afterwards (`engine.vetting`).
"""

from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

import msgspec
from fastavro import schemaless_reader
from msgspec import Struct

from consumers.port import Headers, Message, Messages
from engine.avroform import DAMAGED, PLAIN, SOUND, program, verdicts
from engine.codec import encode, schema_fingerprint, touchpoint_of
from engine.errors import Refused, Undecodable, UnknownSchema
from engine.kafka.registry import Registry
from engine.kafka.schemas import Schema, shipped
from engine.kafka.wire import kept_headers, single_object, unframe
from engine.store.bulk import without_collecting
from engine.touchpoint import Arrival, Encoded, Touchpoint
from engine.vetting import vet

FORM = "message"  # of an arrival

Read = Touchpoint | Undecodable
Reader = Callable[[Sequence[bytes]], list[Read]]  # of records of sound form


class Kept(Struct, frozen=True):
    """A message as it is set aside: one MessagePack value."""

    value: bytes | None
    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp: int  # milliseconds since 1970, UTC; -1: none

    def __bytes__(self) -> bytes:
        return msgspec.msgpack.encode(self)


class Framed(Struct):
    """A message on its way through the decoder."""

    place: tuple[str, int, int]  # topic, partition, offset
    kept: Kept
    record: bytes = b""
    schema: Schema | None = None
    plain: bool = False  # there is nothing to ask about its texts
    refused: tuple[str, str] | None = None  # reason and detail
    touchpoint: Touchpoint | None = None

    def refuse(self, error: Undecodable | UnknownSchema | Refused) -> None:
        """Note why it cannot be accepted."""
        if isinstance(error, Refused):
            self.refused = error.reason, error.detail
        else:
            self.refused = error.code, str(error)


class Decoder:
    """Makes arrivals of messages, batch by batch."""

    def __init__(self, registry: Registry | None = None, read: Reader | None = None) -> None:
        """`read` decodes records in bulk; by default fastavro does, one by one."""
        self._registry = registry
        self._read = read or read_singly
        self._own = own_schema()
        self._header = single_object(self._own, b"")
        self._program = program(self._own.text)

    def arrivals(self, topic: str, messages: Messages) -> list[Arrival]:
        """One arrival a message.

        Raises:
            RegistryAway: A schema has to be asked for, and nobody answers; ask again later.
        """
        with without_collecting():
            framed = [
                Framed((topic, partition, one.offset), _kept(one))
                for partition, some in messages.items()
                for one in some
            ]
            return self._arrivals(framed)

    def again(self, place: tuple[str, int, int], data: bytes) -> Arrival:
        """The arrival of a message that was set aside: its topic, partition and offset, and data.

        Raises:
            RegistryAway: As above.
        """
        (arrival,) = self._arrivals([Framed(place, msgspec.msgpack.decode(data, type=Kept))])
        return arrival

    def _arrivals(self, framed: Sequence[Framed]) -> list[Arrival]:
        for one in framed:
            self._unframe(one)
        ours = [one for one in framed if one.schema is self._own]
        for one, verdict in zip(
            ours, verdicts(self._program, [one.record for one in ours]), strict=True
        ):
            one.plain = verdict == PLAIN
            if verdict < SOUND:
                one.refuse(_unsound(verdict))
        sound = [one for one in ours if one.refused is None]
        for one, read in zip(sound, self._read([one.record for one in sound]), strict=True):
            self._take(one, read)
        return [_arrival(one) for one in framed]

    def _unframe(self, one: Framed) -> None:
        """Find out the schema; what was written with another than ours is read at once."""
        value = one.kept.value
        try:
            if value is None:
                raise Undecodable("the message has no value")
            schema, one.record = unframe(value, one.kept.headers, self._registry)
            if schema.fingerprint == self._own.fingerprint:
                one.schema = self._own
            else:
                one.schema = schema
                self._take(one, read_resolved(one.record, schema, self._own))
        except (Undecodable, UnknownSchema) as error:
            one.refuse(error)

    def _take(self, one: Framed, read: Read) -> None:
        if isinstance(read, Undecodable):
            one.refuse(read)
            return
        try:
            vet(read, one.plain)
            if one.schema is not self._own:
                one.record = encode(read)
        except (Refused, Undecodable) as error:
            one.refuse(error)
        else:
            one.touchpoint = read
            if one.schema is self._own:
                one.record = self._header + one.record


def own_schema() -> Schema:
    """The schema that touchpoints are stored with."""
    return shipped()[schema_fingerprint()]


def read_singly(records: Sequence[bytes]) -> list[Read]:
    """Decode records of our own schema one by one."""
    own = own_schema()
    return [read_one(record, own) for record in records]


def read_one(record: bytes, own: Schema) -> Read:
    """Decode a record of our own schema."""
    try:
        return touchpoint_of(_decoded(record, own.parsed, None))
    except Undecodable as error:
        return error


def read_resolved(record: bytes, schema: Schema, own: Schema) -> Read:
    """Decode a record of another schema as what it is in ours."""
    try:
        return touchpoint_of(_decoded(record, schema.parsed, own.parsed))
    except Undecodable as error:
        return error


def _decoded(record: bytes, written: Any, read: Any) -> Any:
    source = BytesIO(record)
    try:
        decoded = schemaless_reader(source, written, read)
    except Exception as error:  # damage shows as errors of many kinds in fastavro
        raise Undecodable(f"the record is damaged ({type(error).__name__})") from None
    if source.tell() != len(record):
        raise Undecodable("bytes follow the record")
    return decoded


def _unsound(verdict: int) -> Undecodable | Refused:
    if verdict == DAMAGED:
        return Undecodable("the record is damaged")
    return Refused("not_canonical", "the record is not in the one form that it can be encoded in")


def _kept(message: Message) -> Kept:
    headers: Headers = message.headers
    return Kept(message.value, message.key, tuple(headers), message.timestamp)


def _arrival(one: Framed) -> Arrival:
    topic, partition, offset = one.place
    reason, detail = one.refused or (None, "")
    return Arrival(
        origin=topic,
        line=offset,
        data=one.kept,
        form=FORM,
        encoded=Encoded(one.touchpoint, one.record) if one.touchpoint is not None else None,
        reason=reason,
        detail=detail,
        partition=partition,
        headers=kept_headers(one.kept.headers) if one.kept.headers else (),
    )
