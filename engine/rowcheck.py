"""Whether a file is what it is taken for, before anything of it is recorded."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from engine.errors import ForeignFile, Refused, WrongEncoding
from engine.mapping import RowMapping, flatten
from engine.nearest import guess
from engine.rowfile import BOM, RawRow
from engine.strict_json import parse_object

SAMPLE = 1 << 16  # bytes from the beginning of a file
WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
DELIMITERS = ",;\t|"
MANY = 8  # one byte in so many is NUL: two bytes a character


def check_encoding(path: Path, sample: bytes, encoding: str) -> None:
    """Refuse a file whose lines with letters beyond ASCII mostly do not decode.

    One such line may be a damaged one and is left to be set aside.

    Raises:
        WrongEncoding: With what to do.
    """
    convert = f"convert it first: iconv -f utf-16 -t utf-8 {path} > NEW"
    if sample.startswith(WIDE_MARKS) or sample.count(0) * MANY > len(sample) > 0:
        raise WrongEncoding(path, encoding, convert)
    whole = sample[: sample.rfind(b"\n") + 1] or sample
    telling = [line for line in whole.split(b"\n") if not line.isascii()]
    broken = sum(not _decodes(line, encoding) for line in telling)
    if broken > 1 and 2 * broken > len(telling):
        raise WrongEncoding(
            path,
            encoding,
            'say which it is in the mapping (encoding = "cp1258" for Vietnamese, "cp874" for '
            f"Thai, ...), or convert it first: iconv -f CP1258 -t UTF-8 {path} > NEW",
        )


def check_json_lines(path: Path, sample: bytes, mappings: Sequence[str]) -> None:
    """Refuse a file of which no line begins as a JSON object does; an empty one passes.

    Raises:
        ForeignFile: With what to do.
    """
    lines = [line.strip() for line in sample.removeprefix(BOM).split(b"\n")]
    lines = [line for line in lines if line]
    if not lines or any(line.startswith(b"{") for line in lines):
        return
    if lines[0].startswith(b"["):
        fix = f"write one object a line: jq -c '.[]' {path} > NEW.jsonl"
        raise ForeignFile(path, "is a JSON array", fix)
    known = f"name the mapping that reads it: --mapping FILE, or one of {', '.join(mappings)}"
    raise ForeignFile(path, "is not JSON Lines", known)


def check_paths(path: Path, sample: bytes, needed: Sequence[str]) -> None:
    """Refuse JSON Lines of which no object has anything that the mapping names.

    Raises:
        ForeignFile: With what the objects have.
    """
    whole = sample[: sample.rfind(b"\n") + 1] or sample
    found: dict[str, None] = {}
    for line in whole.removeprefix(BOM).split(b"\n"):
        with suppress(Refused):
            found |= dict.fromkeys(flatten(parse_object(line)))
    if found and needed and not found.keys() & set(needed):
        told = f"has none of {_listed(needed)} (it has {_listed(list(found))})"
        raise ForeignFile(path, told, "name another mapping")


def check_heading(path: Path, first: RawRow | None, mapping: RowMapping) -> tuple[str, ...]:
    """The columns of a CSV file, from its first row or, where it has no heading, its mapping.

    Raises:
        ForeignFile: The first row cannot be read, or has not all columns that the mapping names.
    """
    if not mapping.columns:
        return check_columns(path, first, mapping.columns_used, mapping.delimiter)
    if first and not first.problem and len(first.fields) != len(mapping.columns):
        told = f"has {len(first.fields)} columns, the mapping names {len(mapping.columns)}"
        raise ForeignFile(path, told, "mend its `columns` or its `delimiter`, or name another")
    return mapping.columns


def check_columns(
    path: Path, first: RawRow | None, needed: Sequence[str], delimiter: str
) -> tuple[str, ...]:
    """The columns that a heading names.

    Raises:
        ForeignFile: It cannot be read, or has not all columns that are needed.
    """
    if first is None:
        raise ForeignFile(path, "is empty", "name a CSV file with a heading line")
    if first.problem:
        told = f"has a heading line that cannot be read ({first.problem})"
        raise ForeignFile(path, told, "mend it, or set the mapping's encoding and quote")
    heading = tuple(first.fields)
    missing = [name for name in needed if heading.count(name) != 1]
    if missing:
        sure = _is_heading(heading, needed)
        has = f"it has {_listed(heading)}" if sure else f"{len(heading)} fields in its first line"
        told = f"has no column {_listed(missing)} ({has})"
        raise ForeignFile(path, told, _advice(missing[0], heading, delimiter, sure))
    return heading


def _is_heading(first: Sequence[str], needed: Sequence[str]) -> bool:
    """Whether a first line surely names columns: else it may be somebody's, and is not shown."""
    return not {name.casefold() for name in needed}.isdisjoint(name.casefold() for name in first)


def _advice(missing: str, heading: Sequence[str], delimiter: str, sure: bool) -> str:
    if missing in heading:
        return f"rename one of the columns {missing}, of which there are several"
    other = next((mark for mark in DELIMITERS if mark != delimiter and mark in heading[0]), None)
    if len(heading) == 1 and other:
        return f"set delimiter = {other!r} in the mapping"
    if not sure:
        return "give it a heading line, or name its `columns` in the mapping, or name another"
    return f"{guess(missing, heading)} mend the mapping, or name another".lstrip()


def _listed(names: Sequence[str], most: int = 30) -> str:
    shown = [name if len(name) <= 40 else f"{name[:37]}..." for name in names[:most]]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(shown) + more


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
