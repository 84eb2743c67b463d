"""Where the data that ships with the engine lies: rule sets, schemas, mappings."""

from pathlib import Path

from engine.errors import ResourceMissing

PACKAGE = Path(__file__).resolve().parent


def folder(name: str) -> Path:
    """The folder of shipped data called `name`.

    An installed engine carries it inside its package; a checkout has it beside.

    Raises:
        ResourceMissing: Neither place has it.
    """
    places = [PACKAGE / "_data" / name, PACKAGE.parent / name]
    for place in places:
        if place.is_dir():
            return place
    raise ResourceMissing(name, places)
