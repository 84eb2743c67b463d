"""The types, channels, currencies and placeholders that are known, as data in `schemas/`."""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from typing import Any

from msgspec import Struct

from engine.resources import folder
from engine.touchpoint import Scalar

_CUSTOM = re.compile(r"x_[^\s\x00-\x1f\x7f]{1,62}")
_PYTHON_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "long": (int,),
    "double": (float, int),
    "boolean": (bool,),
}


class Attribute(Struct, frozen=True):
    """What a type may say: `type` is string, long, double or boolean; `values` are in use."""

    type: str
    values: tuple[str, ...] = ()

    def fits(self, value: Scalar | None) -> bool:
        """Whether a value is of the attribute's type; a boolean is no number."""
        return type(value) in _PYTHON_TYPES[self.type]


class TouchpointType(Struct, frozen=True):
    """A built-in type of touchpoint."""

    name: str
    about: str
    needs: Mapping[str, Attribute]
    may: Mapping[str, Attribute]


class Catalogue(Struct, frozen=True):
    """Every built-in type and channel."""

    types: Mapping[str, TouchpointType]
    channels: frozenset[str]

    def knows_type(self, name: str) -> bool:
        """Whether a touchpoint may be of this type: built in, or custom."""
        return name in self.types or _CUSTOM.fullmatch(name) is not None

    def knows_channel(self, name: str) -> bool:
        """Whether a touchpoint may come by this channel: built in, or custom."""
        return name in self.channels or _CUSTOM.fullmatch(name) is not None


@cache
def catalogue() -> Catalogue:
    """The catalogue, read once."""
    document = _toml("catalogue.toml")
    types = {
        name: TouchpointType(
            name,
            entry["about"],
            _attributes(entry.get("needs", {})),
            _attributes(entry.get("may", {})),
        )
        for name, entry in document["type"].items()
    }
    return Catalogue(types, frozenset(document["channels"]))


@cache
def currencies() -> Mapping[str, int]:
    """Digits of the minor unit by ISO 4217 code, those withdrawn lately included."""
    document = _toml("currencies.toml")
    return {**document["withdrawn"], **document["in_force"]}


@cache
def placeholders() -> Mapping[str, frozenset[str]]:
    """What stands where nobody is meant: by kind, for `any` kind, and mailbox `roles`."""
    return {
        name: frozenset(value.casefold() for value in values)
        for name, values in _toml("placeholders.toml").items()
    }


def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads((folder("schemas") / name).read_text(encoding="utf-8"))


def _attributes(entry: Mapping[str, str | list[str]]) -> dict[str, Attribute]:
    return {
        name: Attribute("string", tuple(kind)) if isinstance(kind, list) else Attribute(kind)
        for name, kind in entry.items()
    }
