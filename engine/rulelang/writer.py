"""Writing rule documents as TOML, in the layout in which people write them."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from engine.rulelang.signals import GROUPS

BARE = re.compile(r"[A-Za-z0-9_-]+")


def write(document: Mapping[str, Any]) -> str:
    """The TOML text of a document: plain keys first, then its arrays of tables in their order."""
    return "\n".join(_table(document, "")) + "\n"


def _table(table: Mapping[str, Any], header: str) -> Iterator[str]:
    arrays = {key: value for key, value in table.items() if _is_tables(value)}
    for key, value in table.items():
        if key in GROUPS and isinstance(value, dict) and value:
            yield from (f"{key}.{_key(part)} = {_value(item)}" for part, item in value.items())
        elif key not in arrays:
            yield f"{_key(key)} = {_value(value)}"
    for key, items in arrays.items():
        inner = f"{header}.{_key(key)}" if header else _key(key)
        for item in items:
            yield f"\n[[{inner}]]" if not header else f"[[{inner}]]"
            yield from _table(item, inner)


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and {type(item) for item in value} == {dict}


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        pairs = (f"{_key(key)} = {_value(item)}" for key, item in value.items())
        return f"{{ {', '.join(pairs)} }}"
    return str(value)


def _key(key: str) -> str:
    return key if BARE.fullmatch(key) else _text(key)


def _text(text: str) -> str:
    """JSON's escapes are TOML's, but for the one control character that JSON lets stand."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
