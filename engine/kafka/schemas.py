"""Schemas that records were written with: those that ship, and which foreign ones are safe to read.

A schema decides how much a few bytes may grow to while they are decoded. So one
from outside is used only where every value takes at least a byte and nothing
holds itself: time and memory are then bounded by the length of the record.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
from fastavro import parse_schema

from engine.codec import fingerprint_of, without_logical_types
from engine.errors import SchemaRefused
from engine.resources import folder

MAX_DEPTH = 16  # types within types
_NAMED = {"record", "error", "enum", "fixed"}


class Schema(msgspec.Struct, frozen=True):
    """What a record was written with. Instants are integers in it: it has no logical types."""

    fingerprint: str  # CRC-64-AVRO, 16 hex digits, little-endian as on the wire
    parsed: Any  # as fastavro takes it
    text: str  # JSON


@cache
def shipped() -> Mapping[str, Schema]:
    """The schemas in `schemas/`, by fingerprint."""
    files = sorted(folder("schemas").glob("*.avsc"))
    schemas = [_schema(msgspec.json.decode(file.read_bytes())) for file in files]
    return {schema.fingerprint: schema for schema in schemas}


def foreign(text: str, origin: str) -> Schema:
    """A schema from outside, once it is known to be safe; `origin` is for the error.

    Raises:
        SchemaRefused: It is no Avro schema, or records could grow without bound.
    """
    try:
        written = without_logical_types(msgspec.json.decode(text))
        _check(written, "", {}, MAX_DEPTH)
        return _schema(written)
    except _UnsafeError as problem:
        raise SchemaRefused(origin, str(problem)) from None
    except Exception as error:  # what is no schema shows as errors of many kinds in fastavro
        raise SchemaRefused(origin, f"it is no Avro schema ({type(error).__name__})") from None


def _schema(written: Any) -> Schema:
    plain = without_logical_types(written)
    return Schema(fingerprint_of(plain), parse_schema(plain), msgspec.json.encode(plain).decode())


class _UnsafeError(Exception):
    """Why a schema is not used."""


def _check(schema: Any, space: str, depths: dict[str, int], room: int) -> int:
    """How deep a type goes, checked on the way; `depths` has the named types, 0 while open.

    Raises:
        _UnsafeError: Something in it takes no bytes, holds itself or lies too deep.
    """
    if room <= 0:
        raise _UnsafeError(f"its types lie more than {MAX_DEPTH} deep in one another")
    if isinstance(schema, list):
        branches = [branch for branch in schema if branch != "null"]
        return 1 + max((_check(one, space, depths, room - 1) for one in branches), default=0)
    if isinstance(schema, str):
        return _check_name(schema, space, depths, room)
    kind = schema["type"]
    if kind not in _NAMED:
        inner = schema.get("items", schema.get("values"))
        return 1 + _check(kind if inner is None else inner, space, depths, room - 1)
    return _check_named(schema, space, depths, room)


def _check_name(name: str, space: str, depths: dict[str, int], room: int) -> int:
    if name == "null":
        raise _UnsafeError("a null that is no branch of a union takes no bytes")
    depth = depths.get(_full(name, space), depths.get(name, 1))
    if depth == 0:
        raise _UnsafeError("a record holds itself")
    if depth > room:
        raise _UnsafeError(f"its types lie more than {MAX_DEPTH} deep in one another")
    return depth


def _check_named(schema: Any, space: str, depths: dict[str, int], room: int) -> int:
    name = _full(schema["name"], schema.get("namespace") or space)
    depths[name] = 0
    depth = 1
    if schema["type"] == "fixed" and schema["size"] < 1:
        raise _UnsafeError("a fixed of no bytes takes none")
    if schema["type"] in ("record", "error"):
        if not schema["fields"]:
            raise _UnsafeError("a record without fields takes no bytes")
        space = name.rpartition(".")[0]
        for field in schema["fields"]:
            depth = max(depth, 1 + _check(field["type"], space, depths, room - 1))
    depths[name] = depth
    return depth


def _full(name: str, space: str) -> str:
    return name if "." in name or not space else f"{space}.{name}"
