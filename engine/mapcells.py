"""Readers of mapping files: cells, and the small values around them."""

import codecs
import re
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, NamedTuple

from msgspec.structs import replace

from engine.cells import UNIX, Cell, Notation, is_instant
from engine.nearest import did_you_mean
from engine.rulelang import values
from engine.rulelang.reader import Node, Reader, Table, described, shown, some, table

UNIT_WIDE = ("utf-16", "utf-32", "utf-7")  # encodings in which a line end is not one byte
PIECE = re.compile(r"\{\{|\}\}|\{([^{}]+)\}|([^{}]+)|[{}]")


def cell_of(
    notation: Notation,
    node: Node,
    *,
    kind: str | None = None,
    timed: bool = False,
    free: bool = False,
) -> Cell:
    """A constant, a text with {columns}, or a table; `free`: `as` may say what it becomes."""
    if isinstance(node.data, dict):
        cell = table(partial(cell_table, notation, kind, timed, free))(node)
    elif isinstance(node.data, str):
        cell = _template(node, notation, kind)
    else:
        cell = Cell(constant=values.scalar(node), kind=kind)  # type: ignore[arg-type]
    if timed:
        _check_times(node, cell)
    return cell


def cell_table(
    notation: Notation, kind: str | None, timed: bool, free: bool, opened: Table
) -> Cell:
    """A cell as a table: where its value comes from, and what becomes of it."""
    if timed:
        notation = replace(
            notation,
            times=opened.take("times", some(time_form), notation.times),
            zone=opened.take("zone", values.zone, notation.zone),
        )
    notation = replace(notation, missing=opened.take("missing", text_list, notation.missing))
    if free:
        kinds = values.choice("text", "integer", "number", "boolean")
        kind = opened.take("as", kinds, kind)
    source = _source(opened, notation, kind)
    opened.only_with("unlisted", "values")
    return replace(
        source,
        extract=opened.take("extract", _pattern, None),
        values=opened.take("values", _value_map, None),
        unlisted=opened.take("unlisted", values.choice("refuse", "keep", "drop"), "refuse"),
        default=opened.take("default", values.scalar, None),
        required=opened.take("required", values.boolean, False),
    )


def _source(opened: Table, notation: Notation, kind: str | None) -> Cell:
    if ("column" in opened) == ("text" in opened):
        opened.fault("must have one of `column` and `text`")
    column = opened.take("column", values.text, "")
    empty = Cell(texts=("", ""), columns=(column,), notation=notation, kind=kind)  # type: ignore[arg-type]
    return opened.take("text", partial(_template, notation=notation, kind=kind), empty)


def _template(node: Node, notation: Notation, kind: str | None) -> Cell:
    """A text in which {column} stands for that column, and {{ for a brace."""
    texts, columns = [""], []
    for match in PIECE.finditer(values.text(node)):
        if match[1]:
            columns.append(match[1])
            texts.append("")
        elif match[0] in "{}":
            raise node.wrong(f"{shown(node.data)} has a lone brace; write {{column}}, or {{{{")
        else:
            texts[-1] += match[2] or match[0][0]
    if not columns:
        return Cell(constant=texts[0], notation=Notation(), kind=kind)  # type: ignore[arg-type]
    return Cell(texts=tuple(texts), columns=tuple(columns), notation=notation, kind=kind)  # type: ignore[arg-type]


def _check_times(node: Node, cell: Cell) -> None:
    if not cell.columns:
        if not is_instant(cell.constant):
            raise node.wrong(f"{described(node.data)} is no instant: write 2026-03-01T08:00:00Z")
    elif cell.notation.zone is None:
        for form in cell.notation.times:
            if form not in UNIX and form != "iso" and "%z" not in form:
                raise node.wrong(f"times as {form} have no offset; say their `zone`")


class Words(NamedTuple):
    """What may stand in a field: which words it knows, the built-in ones, and what others lack."""

    knows: Callable[[str], bool]
    names: Collection[str]
    lack: str = "is not in the catalogue, and does not begin with x_"

    def check(self, node: Node, word: object) -> None:
        """Note a fault where a word is not known."""
        if word is not None and not self.knows(str(word)):
            hint = did_you_mean(str(word), sorted(self.names))
            node.reading.faults.append((node.path, f"{shown(word)} {self.lack}; {hint}"))


def known(read: Reader[Cell], words: Words, node: Node) -> Cell:
    """A cell of which every word that the mapping itself gives is known; faults are noted."""
    cell = read(node)
    words.check(node, cell.constant)
    if isinstance(node.data, dict):
        if "default" in node.data:
            words.check(node.child("default"), cell.default)
        for key, word in (cell.values or {}).items():
            words.check(node.child("values").child(key), word)
    return cell


def named_cells(
    names: Sequence[str] | None, read: Reader[Cell], node: Node
) -> dict[str, Cell | None]:
    """Cells by field; `names` None: the fields are free."""
    if not isinstance(node.data, dict) or not node.data:
        raise node.wrong(f"must be a table of fields, not {described(node.data)}")
    cells: dict[str, Cell | None] = {}
    for key in node.data:
        if names is not None and key not in names:
            raise node.child(key).wrong(f"unknown field; {did_you_mean(key, names)}")
        cells[key] = node.child(key).attempt(read, None)
    return cells


def _value_map(node: Node) -> dict[str, Any]:
    if not isinstance(node.data, dict) or not node.data:
        raise node.wrong(f"must be a table of values, not {described(node.data)}")
    return {key: node.child(key).attempt(values.scalar, None) for key in node.data}


def word_of(node: Node) -> str:
    """A scalar as the text that a row is compared with."""
    value = values.scalar(node)
    return str(value).lower() if isinstance(value, bool) else str(value)


def text_list(node: Node) -> tuple[str, ...]:
    """A list of texts; empty ones, and an empty list, have a meaning here."""
    if not isinstance(node.data, list) or not all(isinstance(text, str) for text in node.data):
        raise node.wrong(f"must be a list of texts, not {described(node.data)}")
    return tuple(node.data)


def time_form(node: Node) -> str:
    """How times are written: iso, a unit since 1970, or a form of strptime."""
    form = values.text(node)
    if form in UNIX or form == "iso":
        return form
    try:
        time.strptime("", form)
    except ValueError as error:
        if "does not match" not in str(error):
            raise node.wrong(f"{shown(form)} is no form of time: {error}") from None
    if "%" not in form:
        raise node.wrong(f"{shown(form)} is none of iso, {', '.join(UNIX)}, or a form as %Y-%m-%d")
    return form


def one_character(node: Node) -> str:
    """A single character that ends no line."""
    if len(values.text(node)) != 1 or node.data in "\r\n\0":
        raise node.wrong(f"must be one character, not {described(node.data)}")
    return values.text(node)


def encoding(node: Node) -> str:
    """The name of an encoding in which a line end is one byte."""
    try:
        name = codecs.lookup(values.text(node)).name
        "".encode(name)
    except (LookupError, UnicodeError):
        raise node.wrong(f"no encoding is called {shown(node.data)}; for example cp1258") from None
    if name.startswith(UNIT_WIDE):
        raise node.wrong(f"{name} has no plain line ends; convert the file to utf-8 first")
    return name


def _pattern(node: Node) -> str:
    """An RE2 expression; an empty one would cut out nothing."""
    values.text(node)
    return values.pattern(node)
