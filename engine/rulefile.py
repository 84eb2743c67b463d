"""Rule files: TOML text in, a checked `RuleSet` out, or every fault that it has."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from msgspec import structs

from engine import resources
from engine.errors import Fault, RulesInvalid, RulesUnreadable
from engine.ruleid import fold_id, rule_id
from engine.rulelang import clocks, limits, questions, reader, references, signals, tracks, values
from engine.rulelang.lines import line_of, locate
from engine.rulelang.reader import Names, Node, Reading, Table, shown_path, tables
from engine.ruleset import RuleSet

SYNTAX = re.compile(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)")
MAX_FILE = 1 << 20  # bytes
MOST_DOTS = 200  # in a line
TOO_LONG = Fault("", None, f"has more than {MAX_FILE} bytes")


def read_bounded(path: Path) -> bytes:
    """The bytes of a file, and no more than one beyond MAX_FILE, since some have no end."""
    with path.open("rb") as file:
        return file.read(MAX_FILE + 1)


def load(path: str | Path) -> RuleSet:
    """The rule set of a file.

    Raises:
        RulesUnreadable: There is no such file, or it cannot be read.
        RulesInvalid: It has faults; all of them are listed.
    """
    return parse(read(path), str(path))


def read(path: str | Path) -> str:
    """The text of a rule file, which must be UTF-8; a byte order mark is passed over.

    Raises:
        RulesUnreadable: There is no such file, or it cannot be read.
        RulesInvalid: It is not UTF-8.
    """
    try:
        data = read_bounded(Path(path))
    except (OSError, ValueError) as error:
        raise RulesUnreadable(str(path), error, shipped()) from error
    if len(data) > MAX_FILE:
        raise RulesInvalid(str(path), [TOO_LONG])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RulesInvalid(str(path), [Fault("", line, "is not UTF-8 text")]) from error


def parse(text: str, origin: str = "rules") -> RuleSet:
    """The rule set that a TOML text describes; `origin` says in messages where it came from.

    Raises:
        RulesInvalid: It has faults; all of them are listed, sorted by line.
    """
    document = decode(text, origin)
    reading = Reading(_names(document))
    rules = _read(Table(Node(document, (), reading)))
    if reading.faults:
        raise RulesInvalid(origin, placed(reading.faults, text))
    return structs.replace(rules, id=rule_id(document), fold_id=fold_id(document))


def decode(text: str, origin: str = "rules") -> dict[str, Any]:
    """What TOML makes of a text, numbers with a fraction as exact decimals.

    Raises:
        RulesInvalid: It is no TOML.
    """
    for number, told in enumerate(text.splitlines(), 1):
        if told.count(".") > MOST_DOTS:  # a key takes as long to read as its parts, squared
            what = f"has more than {MOST_DOTS} dots; write what it says in several lines"
            raise RulesInvalid(origin, [Fault("", number, what)])
    try:
        text.encode()
        return tomllib.loads(text, parse_float=_decimal)
    except RecursionError:
        fault = Fault("", None, "is nested too deep")
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        fault = Fault("", line, "holds half a surrogate pair, which is no character")
    except ValueError as error:
        fault = _syntax_fault(str(error), text)
    raise RulesInvalid(origin, [fault])


def shipped() -> dict[str, Path]:
    """The rule sets that come with the engine: file by name, sorted by name."""
    return {path.stem: path for path in sorted(resources.folder("rules").glob("*.toml"))}


def file_of(reference: str) -> Path:
    """The file of the rule set that ships under a name; else the reference is a path."""
    return shipped().get(reference) or Path(reference)


def _names(document: Mapping[str, Any]) -> Names:
    zone, tracks = document.get("zone"), document.get("track")
    stages = [_named(track.get("stage")) for track in _tables(tracks)]
    return Names(
        zone=zone if isinstance(zone, str) else "UTC",
        signals=_named(document.get("signal")),
        scores=_named(document.get("score")),
        calendars=_named(document.get("calendar")),
        tracks=tuple(zip(_named(tracks), stages, strict=True)),
    )


def _named(items: object) -> tuple[str, ...]:
    """The names in an array of tables, one per table; empty where it has none."""
    names = (table.get("name") for table in _tables(items))
    return tuple(name if isinstance(name, str) else "" for name in names)


def _tables(items: object) -> list[dict[str, Any]]:
    """The tables of an array that nobody has checked yet; empty where something else stands."""
    found = items if isinstance(items, list) else ()
    return [item if isinstance(item, dict) else {} for item in found]


def _read(root: Table) -> RuleSet:
    rules = RuleSet(
        id="",
        fold_id="",
        name=root.need("name", values.name, ""),
        label=root.take("label", values.label, {}),
        zone=root.take("zone", values.zone, "UTC"),
        value=root.take("value", references.signal, None),
        signals=root.take("signal", tables(signals.read_signal, 64), ()),
        scores=root.take("score", tables(tracks.read_score, 4), ()),
        tracks=root.take("track", tables(tracks.read_track, 4), ()),
        funnels=root.take("funnel", tables(questions.read_funnel, 16), ()),
        clocks=root.take("clock", tables(clocks.read_clock, 16), ()),
        calendars=root.take("calendar", tables(clocks.read_calendar), ()),
        segments=root.take("segment", tables(questions.read_segment, 32), ()),
    )
    root.close()
    for path, message in limits.findings(rules.scores, rules.tracks):
        root.fault(message, *path)
    return rules


def placed(faults: Sequence[tuple[reader.Path, str]], text: str) -> list[Fault]:
    """The faults with their lines, sorted by them; those of the file as a whole first."""
    lines = locate(text)
    found = [Fault(shown_path(path), line_of(path, lines), words) for path, words in faults]
    return sorted(found, key=lambda fault: fault.line or 0)


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent beyond all decimals
        return Decimal("inf")


def _syntax_fault(message: str, text: str) -> Fault:
    match = SYNTAX.fullmatch(message)
    if match is None and "digits" in message:  # Python's limit, and its advice
        return Fault("", None, "is no TOML: a number has too many digits")
    if match is None:
        return Fault("", None, f"is no TOML: {message}")
    line = int(match[2]) if match[2] else text.count("\n") + 1
    return Fault("", line, f"is no TOML: {match[1]}")
