"""Mapping files: TOML in, a checked `RowMapping` out, or every fault that it has."""

import hashlib
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from engine import resources
from engine.catalogue import catalogue, currencies
from engine.cells import Amount, Cell, Notation
from engine.errors import Fault, MappingInvalid, MappingUnreadable, RulesInvalid
from engine.mapcells import (
    Words,
    cell_of,
    cell_table,
    encoding,
    known,
    named_cells,
    one_character,
    text_list,
    time_form,
    word_of,
)
from engine.mapping import Lookup, Outline, Requirement, RowMapping
from engine.rulefile import MAX_FILE, TOO_LONG, decode, placed, read_bounded
from engine.rulelang import values
from engine.rulelang.reader import (
    Names,
    Node,
    Reader,
    Reading,
    Table,
    described,
    many,
    shown,
    some,
    table,
    tables,
)
from engine.touchpoint import CAMPAIGN_FIELDS, KINDS, PERSONAL_FIELDS

TEXT_FIELDS = ("source", "event_id", "time_quality", "deal", "account")
ACTOR_FIELDS = ("kind", "id")


class Parts(Struct, kw_only=True):
    """What a table says about touchpoints; what it leaves open is taken from `every`."""

    said: frozenset[str] = frozenset()  # its keys, faulty ones included
    fields: dict[str, Cell] = {}
    occurred_at: Cell | None = None
    missing_time: Cell | None = None
    identifiers: tuple[Mapping[str, Cell], ...] = ()
    mentions: tuple[Mapping[str, Cell], ...] = ()
    amount: Amount | None = None
    when: tuple[Requirement, ...] = ()


def shipped() -> dict[str, Path]:
    """The mappings that come with the engine: file by name, sorted by name."""
    return {path.stem: path for path in sorted(resources.folder("mappings").glob("*.toml"))}


def load(reference: str) -> RowMapping:
    """The mapping that ships under a name, or that of a file.

    Raises:
        MappingUnreadable: Neither is there, or the file cannot be read.
        MappingInvalid: It has faults; all of them are listed.
    """
    known = shipped()
    path = known.get(reference) or Path(reference)
    try:
        data = read_bounded(path)
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MappingInvalid(str(path), [Fault("", None, "is not UTF-8 text")]) from error
    except (OSError, ValueError) as error:
        raise MappingUnreadable(reference, error, known) from error
    if len(data) > MAX_FILE:
        raise MappingInvalid(str(path), [TOO_LONG])
    return parse(text, reference if reference in known else str(path.resolve()))


def parse(text: str, origin: str = "mapping") -> RowMapping:
    """The mapping that a TOML text describes; `origin` finds it again, and names it in messages.

    Raises:
        MappingInvalid: It has faults; all of them are listed, sorted by line.
    """
    try:
        document = decode(text, origin)
    except RulesInvalid as invalid:
        raise MappingInvalid(origin, invalid.faults) from None
    reading = Reading(Names("UTC", (), (), (), ()))
    mapping = _mapping(Table(Node(document, (), reading)), origin)
    if reading.faults:
        raise MappingInvalid(origin, placed(reading.faults, text))
    canonical = json.dumps(document, sort_keys=True, default=str)
    return replace(mapping, id=hashlib.sha256(canonical.encode()).hexdigest())


def _mapping(root: Table, origin: str) -> RowMapping:
    notation = Notation(
        missing=root.take("missing", text_list, ("",)),
        times=root.take("times", some(time_form), ("iso",)),
        zone=root.take("zone", values.zone, None),
        decimal=root.take("decimal", one_character, "."),
        thousands=root.take("thousands", one_character, ""),
    )
    missing_time = root.take("missing_time", partial(cell_of, notation, timed=True), None)
    every = root.take("every", table(partial(_parts, notation)), Parts())
    if every.missing_time is None:
        every.missing_time = missing_time
    outline = partial(_outline, notation, every)
    mapping = RowMapping(
        id="",
        origin=origin,
        name=root.need("name", values.name, ""),
        notation=notation,
        format=root.take("format", values.choice("csv", "jsonl"), "csv"),  # type: ignore[arg-type]
        delimiter=root.take("delimiter", one_character, ","),
        quote=root.take("quote", one_character, '"'),
        encoding=root.take("encoding", encoding, "utf-8"),
        columns=root.take("columns", many(values.text), ()),
        lookups=root.take("lookup", tables(partial(_lookup, notation)), ()),
        outlines=root.need("touchpoint", tables(outline), ()),
    )
    root.take("about", values.text, "")
    if mapping.format == "jsonl":
        for key in ("delimiter", "quote", "encoding", "columns"):
            if key in root:
                root.fault('has a meaning only with format = "csv"', key)
    root.close()
    return mapping


def _lookup(notation: Notation, opened: Table) -> Lookup:
    name = opened.need("name", values.name, "")
    key = opened.need("key", values.text, "")
    unmatched = opened.take("unmatched", values.choice("keep", "refuse"), "keep")
    return Lookup(
        name=name,
        file=opened.need("file", values.text, ""),
        key=key,
        by=opened.take("by", partial(cell_of, notation), Cell(texts=("", ""), columns=(key,))),
        refuse=unmatched == "refuse",
        delimiter=opened.take("delimiter", one_character, ","),
        encoding=opened.take("encoding", encoding, "utf-8"),
    )


def _outline(notation: Notation, every: Parts, opened: Table) -> Outline:
    own = _parts(notation, opened)
    fields = every.fields | own.fields
    for needed in ("source", "type", "occurred_at"):
        if needed not in own.said | every.said:
            opened.fault("is missing here and in `every`", needed)
    occurred_at = own.occurred_at or every.occurred_at
    return Outline(
        fields=fields,
        occurred_at=occurred_at or Cell(),
        missing_time=own.missing_time or every.missing_time,
        when=every.when + own.when,
        identifiers=own.identifiers or every.identifiers,
        mentions=own.mentions or every.mentions,
        amount=own.amount or every.amount,
    )


def _parts(notation: Notation, opened: Table) -> Parts:
    text = partial(cell_of, notation, kind="text")
    timed = partial(cell_of, notation, timed=True)
    fields: dict[str, Cell | None] = {name: opened.take(name, text, None) for name in TEXT_FIELDS}
    types = Words(catalogue().knows_type, catalogue().types)
    channels = Words(catalogue().knows_channel, catalogue().channels)
    fields["type"] = opened.take("type", partial(known, text, types), None)
    fields["channel"] = opened.take("channel", partial(known, text, channels), None)
    fields["sequence"] = opened.take("sequence", partial(cell_of, notation, kind="integer"), None)
    for head, names, read in (
        ("campaign", CAMPAIGN_FIELDS, text),
        ("actor", ACTOR_FIELDS, text),
        ("personal", PERSONAL_FIELDS, text),
        ("attributes", None, partial(cell_of, notation, free=True)),
    ):
        for name, cell in opened.take(head, partial(named_cells, names, read), {}).items():
            fields[f"{head}.{name}"] = cell
    return Parts(
        said=frozenset(opened.node.data),
        fields={name: cell for name, cell in fields.items() if cell is not None},
        occurred_at=opened.take("occurred_at", timed, None),
        missing_time=opened.take("missing_time", timed, None),
        identifiers=opened.take("identifiers", many(partial(_entry, text, "namespace")), ()),
        mentions=opened.take("mentions", many(partial(_entry, text, "role")), ()),
        amount=opened.take("amount", partial(_amount, notation), None),
        when=opened.take("when", _requirements, ()),
    )


def _entry(read: Reader[Cell], extra: str, node: Node) -> dict[str, Cell]:
    """An identifier (with a `namespace`) or a mention (with a `role`)."""

    def inside(opened: Table) -> dict[str, Cell]:
        kinds = Words(KINDS.__contains__, KINDS, "is no kind of identifier")
        kind = partial(known, read, kinds)
        found = {"kind": opened.need("kind", kind, Cell()), extra: opened.take(extra, read, None)}
        found["value"] = opened.need("value", read, Cell())
        return {name: cell for name, cell in found.items() if cell is not None}

    return table(inside)(node)


def _amount(notation: Notation, node: Node) -> Amount:
    def inside(opened: Table) -> Amount:
        currency = partial(cell_of, notation, kind="text")
        found = Amount(
            currency=opened.need("currency", currency, Cell()),
            exponent=opened.take("exponent", values.integer(0, 9), None),
            number=cell_table(notation, None, False, False, opened),
        )
        code = found.currency.constant
        if code is not None and found.exponent is None and code not in currencies():
            opened.fault(f"{shown(code)} is no currency of ISO 4217", "currency")
        return found

    return table(inside)(node)


def _requirements(node: Node) -> tuple[Requirement, ...]:
    if not isinstance(node.data, dict) or not node.data:
        raise node.wrong(f"must be a table of columns, not {described(node.data)}")
    found: list[Requirement] = []
    for column in node.data:
        found += node.child(column).attempt(partial(_of_column, column), ())
    return tuple(found)


def _of_column(column: str, node: Node) -> tuple[Requirement, ...]:
    """A scalar means: is; a list means: one of; a table has operators, and-ed."""
    if not isinstance(node.data, dict):
        return (Requirement(column, "in", some(word_of)(node)),)

    def inside(opened: Table) -> tuple[Requirement, ...]:
        listed = opened.take("in", many(word_of), None) or opened.take("is", some(word_of), None)
        unwanted = opened.take("not", some(word_of), None)
        there = opened.take("exists", values.boolean, None)
        found = [
            None if listed is None else Requirement(column, "in", listed),
            None if unwanted is None else Requirement(column, "not", unwanted),
            None if there is None else Requirement(column, "exists", there=there),
        ]
        return tuple(requirement for requirement in found if requirement)

    return table(inside)(node)
