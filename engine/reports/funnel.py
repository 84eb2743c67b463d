"""A funnel: how many got how far, and who is behind every bar.

A bar is a mask over the attempts. Its count is the sum of the mask and its list
the leads under it, so the two cannot differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.errors import NotObservable, UnknownName
from engine.instants import format_instant
from engine.projections.projection import FUNNEL, LEADS, Frames
from engine.reports.breakdown import Bucket, By, buckets
from engine.reports.times import Spans, spans, statistics
from engine.ruleset import Funnel, Label, RuleSet, Step

NEEDS = (LEADS, FUNNEL)
BARS = ("reached", "immature", "dropped", "excluded")
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Bar:
    """Which attempts: those that reached a step, have not yet, did not, or are excluded."""

    kind: str = "reached"
    step: int = 1  # from 1


@dataclass(frozen=True)
class Attempts:
    """What counts in one funnel: one attempt a lead, or each where all are counted."""

    funnel: Funnel
    leads: pl.Series  # numbers
    entered: NDArray[np.int64]
    depth: NDArray[np.int64]
    excluded: Flags
    open: Flags
    took: Spans  # from the entry to the last step, where it was reached

    def of(self, rows: NDArray[np.int64]) -> "Attempts":
        """Some of them."""
        return Attempts(
            self.funnel,
            self.leads.gather(rows),
            self.entered[rows],
            self.depth[rows],
            self.excluded[rows],
            self.open[rows],
            self.took[rows],
        )


def report(frames: Frames, name: str, by: By | None = None) -> dict[str, Any]:
    """The funnel of this name, as a document; with buckets if it is to be broken down.

    Raises:
        UnknownName: The rule set has no such funnel.
    """
    attempts = _attempts(frames, name)
    return {
        "funnel": name,
        "label": dict(attempts.funnel.label),
        "as_of": format_instant(frames.as_of),
        "counts": "attempts" if attempts.funnel.entry == "every" else "leads",
        **_figures(attempts, frames.rules),
        "buckets": [
            {"by": dict(bucket.by), **_figures(attempts.of(bucket.rows), frames.rules)}
            for bucket in _buckets(frames, attempts, by or By())
        ],
    }


def behind(
    frames: Frames,
    name: str,
    bar: Bar,
    by: By | None = None,
    bucket: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """The leads behind a bar, or behind its part in one bucket of a breakdown, by entry.

    Where attempts are counted, a lead is listed once for each.

    Raises:
        UnknownName: No such funnel, step, kind of bar or bucket.
        NotObservable: The funnel sets no time limit, and the bar would need one.
    """
    attempts = _attempts(frames, name)
    if bucket is not None:
        attempts = attempts.of(_rows(_buckets(frames, attempts, by or By()), bucket))
    which = _mask(attempts, bar)
    chosen = pl.DataFrame({"lead": attempts.leads, "entered": attempts.entered}).filter(which)
    listed = chosen.join(frames[LEADS].select("lead", "id"), on="lead").sort("entered", "id")
    return [
        {"lead": lead, "entered": format_instant(entered)}
        for lead, entered in listed.select("id", "entered").iter_rows()
    ]


def _attempts(frames: Frames, name: str) -> Attempts:
    funnels = {funnel.name: funnel for funnel in frames.rules.funnels}
    if name not in funnels:
        raise UnknownName("funnel", name, funnels)
    rows = frames[FUNNEL].filter(pl.col("funnel") == name)
    complete = (rows["depth"] >= len(funnels[name].steps)).to_numpy()
    return Attempts(
        funnel=funnels[name],
        leads=rows["lead"],
        entered=rows["entered_at"].to_numpy(),
        depth=rows["depth"].to_numpy(),
        excluded=rows["excluded"].to_numpy(),
        open=(rows["open_until"].fill_null(0) > frames.as_of).to_numpy(),
        took=spans(rows["entered_at"], _last(rows["reached_at"]), frames.rules.zone, complete),
    )


def _last(reached: pl.Series) -> pl.Series:
    """The instant of the last step reached, where not all of them are listed but it alone."""
    if reached.dtype == pl.Int64:
        return reached
    return reached.str.json_decode(pl.List(pl.Int64)).list.last()


def _mask(attempts: Attempts, bar: Bar) -> Flags:
    """The attempts behind a bar."""
    steps = len(attempts.funnel.steps)
    if bar.kind not in BARS:
        raise UnknownName("bar", bar.kind, BARS)
    if not 1 <= bar.step <= steps:
        raise UnknownName("step", str(bar.step), map(str, range(1, steps + 1)))
    if bar.kind in ("immature", "dropped") and not attempts.funnel.limits_time:
        raise NotObservable(attempts.funnel.name, bar.kind)
    match bar.kind:
        case "reached":
            which = attempts.depth >= bar.step
        case "immature":
            which = ~attempts.excluded & (attempts.depth < bar.step) & attempts.open
        case "dropped":
            which = ~attempts.excluded & (attempts.depth == bar.step - 1) & ~attempts.open
        case _:
            which = attempts.excluded
    return which


def _count(attempts: Attempts, kind: str, step: int = 1) -> int:
    return int(np.count_nonzero(_mask(attempts, Bar(kind, step))))


def _figures(attempts: Attempts, rules: RuleSet) -> dict[str, Any]:
    steps = range(1, len(attempts.funnel.steps) + 1)
    reached = [_count(attempts, "reached", step) for step in steps]
    complete = _mask(attempts, Bar("reached", len(reached)))
    return {
        "steps": [_step(attempts, rules, step, reached) for step in steps],
        "entered": reached[0],
        "excluded": _count(attempts, "excluded"),
        "convert": statistics(attempts.took[complete]),
    }


def _step(attempts: Attempts, rules: RuleSet, step: int, reached: list[int]) -> dict[str, Any]:
    """One step's figures; what no time limit makes observable, or nobody could do, is null."""
    limited = attempts.funnel.limits_time
    immature = _count(attempts, "immature", step) if limited else None
    dropped = _count(attempts, "dropped", step) if limited and step > 1 else None
    name, label = _called(attempts.funnel, rules, step)
    return {
        "step": step,
        "name": name,
        "label": dict(label),
        "reached": reached[step - 1],
        "rate_first": _rate(reached[step - 1], reached[0]),
        "rate_previous": _rate(reached[step - 1], reached[step - 2]) if step > 1 else None,
        "immature": immature,
        "dropped": dropped,
        "matured_rate": None
        if immature is None
        else _rate(reached[step - 1], reached[0] - immature),
    }


def _rate(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _called(funnel: Funnel, rules: RuleSet, step: int) -> tuple[str, Label]:
    """Name and label of a step; where order is free, a step is how many there are."""
    if funnel.order == "unordered":
        return f"any {step} of {len(funnel.steps)}", {}
    defined = funnel.steps[step - 1]
    name = defined.trigger.signal or defined.trigger.enters or ""
    return name, defined.label or _label(defined, rules)


def _label(step: Step, rules: RuleSet) -> Label:
    """The label of the signal or the stage that a step is made of."""
    if step.trigger.signal:
        return next((s.label for s in rules.signals if s.name == step.trigger.signal), {})
    names = (
        (f"{track.name}.{stage.name}", stage.label)
        for track in rules.tracks
        for stage in track.stages
    )
    return next((label for name, label in names if name == step.trigger.enters), {})


def _buckets(frames: Frames, attempts: Attempts, by: By) -> list[Bucket]:
    return buckets(attempts.leads, frames[LEADS], by, frames.rules.zone)


def _rows(found: list[Bucket], wanted: Mapping[str, str]) -> NDArray[np.int64]:
    for bucket in found:
        if bucket.by == wanted:
            return bucket.rows
    known = [" / ".join(bucket.by.values()) for bucket in found]
    raise UnknownName("bucket", " / ".join(wanted.values()), known)
