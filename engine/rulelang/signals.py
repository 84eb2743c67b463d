"""Reading signals: what a touchpoint must be like."""

import functools

from engine.rulelang import values
from engine.rulelang.reader import Node, Table, many, table, tables
from engine.ruleset import Condition, Signal
from engine.touchpoint import CAMPAIGN_FIELDS, Scalar

FIELDS = ("type", "channel", "source")
GROUPS: dict[str, tuple[str, ...]] = {
    "campaign": CAMPAIGN_FIELDS,
    "actor": ("kind", "id"),
    "amount": ("minor", "currency"),
    "attributes": (),  # any name
}
Operand = Scalar | tuple[Scalar, ...]
Conditions = tuple[Condition, ...]


def read_signal(opened: Table) -> Signal:
    """A signal: its conditions, and groups of which at least one must hold."""
    signal = Signal(
        name=opened.need("name", values.name, ""),
        label=opened.take("label", values.label, {}),
        conditions=conditions(opened),
        any=opened.take("any", tables(conditions), ()),
    )
    if set(opened.node.data) <= {"name", "label"}:
        opened.fault("has no condition: say what a touchpoint must be like")
    return signal


def conditions(opened: Table) -> Conditions:
    """The conditions that stand directly in a table."""
    found: list[Condition] = []
    for field in FIELDS:
        found += opened.take(field, functools.partial(_condition, field), ())
    for group, parts in GROUPS.items():
        found += opened.take(group, functools.partial(_group, group, parts), ())
    return tuple(found)


def _group(group: str, parts: tuple[str, ...], node: Node) -> Conditions:
    def read(opened: Table) -> Conditions:
        found: list[Condition] = []
        for part in parts or node.data:
            found += opened.take(part, functools.partial(_condition, f"{group}.{part}"), ())
        return tuple(found)

    return table(read)(node)


def _condition(field: str, node: Node) -> Conditions:
    return (Condition(field, _operators(node)),)


def _operators(node: Node) -> dict[str, Operand]:
    if isinstance(node.data, dict):
        return table(_read_operators)(node)
    if isinstance(node.data, list):
        return {"in": many(values.scalar)(node)}
    return {"is": (values.scalar(node),)}


def _read_operators(opened: Table) -> dict[str, Operand]:
    given: dict[str, Operand | None] = {
        "is": opened.take("is", _one, None),
        "not": opened.take("not", _one_or_more, None),
        "in": opened.take("in", many(values.scalar), None),
        "at_least": opened.take("at_least", values.plain, None),
        "at_most": opened.take("at_most", values.plain, None),
        "starts_with": opened.take("starts_with", values.words, None),
        "contains": opened.take("contains", values.words, None),
        "matches": opened.take("matches", values.pattern, None),
        "exists": opened.take("exists", values.boolean, None),
    }
    return {operator: operand for operator, operand in given.items() if operand is not None}


def _one(node: Node) -> tuple[Scalar, ...]:
    return (values.scalar(node),)


def _one_or_more(node: Node) -> tuple[Scalar, ...]:
    return many(values.scalar)(node) if isinstance(node.data, list) else _one(node)
