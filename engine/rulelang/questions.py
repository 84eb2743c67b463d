"""Reading funnels and segments: questions about leads."""

import functools
from typing import Any, Literal, cast

from engine.rulelang import references, values
from engine.rulelang.reader import INT64, Table, some, table, tables
from engine.ruleset import Exclusion, Funnel, Segment, Step, Trigger

MAX_STEPS = 12
MINOR = values.integer(INT64.start, INT64.stop - 1)
ORDER = values.choice("ordered", "strict", "unordered")
ENTRY = values.choice("first", "any", "every")


def read_trigger(opened: Table) -> Trigger:
    """A signal or a stage entry, exactly one of the two."""
    trigger = Trigger(
        signal=opened.take("signal", references.signal, None),
        enters=opened.take("enters", references.entry, None),
    )
    if ("signal" in opened) == ("enters" in opened):
        opened.fault("needs `signal` or `enters`, exactly one of the two")
    return trigger


def read_funnel(opened: Table) -> Funnel:
    """A funnel: its steps, and what voids an attempt at them."""
    order = opened.take("order", ORDER, "ordered")
    step = functools.partial(_read_step, order)
    given = opened.node.data.get("step")
    exclusion = functools.partial(_read_exclusion, len(given) if isinstance(given, list) else 0)
    funnel = Funnel(
        name=opened.need("name", values.name, ""),
        label=opened.take("label", values.label, {}),
        order=cast(Literal["ordered"], order),
        entry=cast(Literal["first"], opened.take("entry", ENTRY, "first")),
        window_us=opened.take("window", values.duration, None),
        universe=opened.take("universe", some(references.signal), ()),
        steps=opened.need("step", tables(step, MAX_STEPS), ()),
        exclusions=opened.take("exclude", tables(exclusion), ()),
    )
    if "universe" in opened and order != "strict":
        opened.fault('has a meaning only with order = "strict"', "universe")
    if funnel.entry == "every" and "window" not in opened:
        opened.fault('is missing: entry = "every" needs it', "window")
    if "exclude" in opened and order == "unordered":
        opened.fault("an unordered funnel has no exclusions", "exclude")
    return funnel


def _read_step(order: str, opened: Table) -> Step:
    if "within" in opened and order == "unordered":
        opened.fault("a step of an unordered funnel has none", "within")
    elif "within" in opened and opened.node.path[-1] == 0:
        opened.fault("the first step has none: it counts from the step before", "within")
    return Step(
        trigger=read_trigger(opened),
        label=opened.take("label", values.label, {}),
        within_us=opened.take("within", values.duration, None),
    )


def _read_exclusion(steps: int, opened: Table) -> Exclusion:
    """`after` and `before` count the steps from 1."""
    step = values.integer(1, max(steps, 1))
    exclusion = Exclusion(
        signal=opened.need("signal", references.signal, ""),
        after=opened.need("after", step, 0),
        before=opened.need("before", step, 0),
    )
    if 0 < exclusion.before <= exclusion.after:
        opened.fault("must be a later step than `after`", "before")
    return exclusion


def read_segment(opened: Table) -> Segment:
    """A segment: what a lead's state must be like."""
    name = opened.need("name", values.name, "")
    label = opened.take("label", values.label, {})
    where = opened.need("where", table(_read_where), {})
    return Segment(name=name, label=label, **where)


def _read_where(opened: Table) -> dict[str, Any]:
    score, at_least, below = references.bounds(opened)
    minor, currency = opened.take("value_at_least", table(_read_money), (None, None))
    return {
        "stage": opened.take("stage", some(references.place), ()),
        "not_stage": opened.take("not_stage", some(references.place), ()),
        "score": score,
        "at_least": at_least,
        "below": below,
        "seen": opened.take("seen", some(references.signal), ()),
        "not_seen": opened.take("not_seen", some(references.signal), ()),
        "silent_for_us": opened.take("silent_for", values.duration, None),
        "first_channel": opened.take("first_channel", some(values.text), ()),
        "last_channel": opened.take("last_channel", some(values.text), ()),
        "has_owner": opened.take("has_owner", values.boolean, None),
        "value_minor": minor,
        "value_currency": currency,
    }


def _read_money(opened: Table) -> tuple[int | None, str | None]:
    return opened.need("minor", MINOR, None), opened.need("currency", values.currency, None)
