"""Decoding once more what was set aside; loaded and compiled only where there is something."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING

from engine.kafka.registry import Registry
from engine.kafka.settings import REGISTRY
from engine.touchpoint import Arrival

if TYPE_CHECKING:
    from consumers.decode import Decoder


def redecoder(environ: Mapping[str, str]) -> Callable[[tuple[str, int, int], bytes], Arrival]:
    """Makes an arrival of topic, partition and offset, and of a message as it was set aside."""

    @cache
    def decoder() -> "Decoder":
        from consumers.decode import Decoder

        url = environ.get(REGISTRY)
        return Decoder(Registry(url) if url else None)

    return lambda place, data: decoder().again(place, data)
