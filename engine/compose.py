"""One rule file made of several, whose tracks run side by side over the same touchpoints.

Signals, scores and calendars are words that the rest is said with: two files may
share one where both define it exactly alike, and it stands in the result once.
Tracks, funnels, clocks and segments are what a file is there for: two of one name
clash, alike or not. So do different time zones and different `value` signals.
Comments are not carried over.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import rulefile
from engine.errors import Clash, Fault, RulesClash, RulesInvalid
from engine.ruleid import canonical
from engine.rulelang.lines import line_of, locate
from engine.rulelang.reader import Path as KeyPath
from engine.rulelang.values import LANGUAGES
from engine.rulelang.writer import write

SHARED = ("signal", "score", "calendar")
KINDS = ("signal", "score", "track", "funnel", "clock", "calendar", "segment")
MAX_NAME = 48


def compose_files(paths: Iterable[str | Path], name: str | None = None) -> str:
    """As `compose`, of files.

    Raises:
        RulesUnreadable: One of them cannot be read.
    """
    return compose([(str(path), rulefile.read(path)) for path in paths], name)


def compose(sources: Sequence[tuple[str, str]], name: str | None = None) -> str:
    """The TOML text of one rule set made of several, given as (origin, text), in their order.

    Without a name, theirs are joined by underscores, as far as a name may go.

    Raises:
        RulesInvalid: One of them has faults, or together they are beyond a limit.
        RulesClash: They say different things under one name; each clash has both places.
    """
    parts = [_part(origin, text) for origin, text in sources]
    clashes: list[Clash] = []
    document = _heading(parts, name, clashes)
    for kind in KINDS:
        document[kind] = _merged(kind, parts, clashes)
    if clashes:
        raise RulesClash(clashes)
    names = ", ".join(part.document["name"] for part in parts)
    text = f"# Composed of {names}.\n" + write(
        {key: item for key, item in document.items() if item}
    )
    _check(text)
    return text


@dataclass(frozen=True)
class _Part:
    """One of the files: what it says, and where."""

    origin: str
    document: dict[str, Any]
    lines: dict[KeyPath, int]

    def place(self, *path: str | int) -> str:
        """Where something stands, as people look for it."""
        line = line_of(path, self.lines)
        return self.origin if line is None else f"{self.origin} line {line}"


def _part(origin: str, text: str) -> _Part:
    rulefile.parse(text, origin)
    return _Part(origin, rulefile.decode(text, origin), dict(locate(text)))


def _heading(parts: Sequence[_Part], name: str | None, clashes: list[Clash]) -> dict[str, Any]:
    joined = "_".join(part.document["name"] for part in parts)[:MAX_NAME]
    labels = [part.document.get("label", {}) for part in parts]
    return {
        "name": name or joined,
        "label": {
            language: " + ".join(label[language] for label in labels)
            for language in LANGUAGES
            if all(language in label for label in labels)
        },
        "zone": _agreed("zone", parts, "UTC", clashes),
        "value": _agreed(
            "value", [part for part in parts if "value" in part.document], "", clashes
        ),
    }


def _agreed(key: str, parts: Sequence[_Part], default: str, clashes: list[Clash]) -> str:
    """The one value that all these parts have; the first one's, and clashes, where they differ."""
    if not parts:
        return default
    first, *others = parts
    agreed: str = first.document.get(key, default)
    for other in others:
        said = other.document.get(key, default)
        if said != agreed:
            what = f"another {key} ({agreed}, {said})"
            clashes.append(Clash(what, first.place(key), other.place(key)))
    return agreed


def _merged(kind: str, parts: Sequence[_Part], clashes: list[Clash]) -> list[dict[str, Any]]:
    found: dict[str, tuple[dict[str, Any], str]] = {}
    for part in parts:
        for index, item in enumerate(part.document.get(kind, ())):
            place = part.place(kind, index)
            known, first = found.setdefault(item["name"], (item, place))
            alike = kind in SHARED and canonical(known) == canonical(item)
            if known is not item and not alike:
                clashes.append(Clash(f"{kind} `{item['name']}`", first, place))
    return [item for item, _ in found.values()]


def _check(text: str) -> None:
    """Limits hold for the whole; what is over one has a key, but a line in no file yet."""
    try:
        rulefile.parse(text, "the composed rule set")
    except RulesInvalid as invalid:
        faults = [Fault(fault.key, None, fault.message) for fault in invalid.faults]
        raise RulesInvalid(invalid.origin, faults) from invalid
