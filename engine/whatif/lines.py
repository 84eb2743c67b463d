"""What a comparison found, as documents and as rows: whom it concerns, and which figures."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.book import Book
from engine.folded import BREACHED, OPEN, OUTCOMES
from engine.history import NEVER, Histories
from engine.instants import format_instant
from engine.journal.journal import Journal
from engine.journal.making import bucket_of
from engine.parting import BY, CLOCK, SCORE, SEGMENT, STAGE, WHATS, Parted
from engine.whatif.whatif import CHUNK, Outcome, Stored, both_reports

Document = dict[str, Any]
Name = tuple[str, str]  # source, event id
Row = Mapping[str, Any]

COLUMNS = (
    *("lead", "what", "name", "before", "after"),
    *("parted_at", "source", "event_id", "track", "timer", "move", "key"),
)
NAMED = ("position", "source", "event_id")  # columns of a journal: what touchpoints are called
_AT_ONCE = 5_000  # leads whose documents are made together
_LEFT_OUT = {"label", "as_of"}  # of reports: no figures


def summary(outcome: Outcome) -> Document:
    """What was compared, how many leads differ and in what, by which rules, and all figures."""
    question, parted = outcome.question, outcome.parted
    before, after = both_reports(question, outcome.before, outcome.after)
    keys = parted.leads["key"].value_counts().sort("count", "key", descending=[True, False])
    return {
        "before": _book(question.before, question.as_of),
        "after": _book(question.after, question.as_of),
        "as_of": format_instant(question.as_of),
        "points": question.points,
        "touchpoints": outcome.touchpoints,
        "leads": outcome.leads,
        "differing": len(parted.leads),
        "differing_in": _differing(outcome),
        "only_before": question.shared.before,
        "only_after": question.shared.after,
        "moves": _moves(outcome),
        "keys": [{"key": key, "leads": leads} for key, leads in keys.iter_rows()],
        "pipeline": {"before": before["pipeline"], "after": after["pipeline"]},
        "funnels": [
            {
                "funnel": name,
                "before": before["funnels"].get(name),
                "after": after["funnels"].get(name),
            }
            for name in dict.fromkeys((*before["funnels"], *after["funnels"]))
        ],
    }


def _book(book: Book, as_of: int) -> Document:
    """A book by the rule set in force, and all rule sets that judged by then."""
    rules = book.at(as_of)
    eras = [
        {"name": era.rules.name, "id": era.rules.id, "from": _from(number, era.since)}
        for number, era in enumerate(book.until(as_of).eras)
    ]
    return {"name": rules.name, "id": rules.id, "book": eras}


def _from(number: int, since: int) -> str | None:
    return format_instant(since) if number else None


def _differing(outcome: Outcome) -> list[Document]:
    """In how many leads each thing differs."""
    counts = outcome.parted.differences.group_by("what", "name").len().sort("what", "name")
    return [
        {"what": WHATS[what], "name": _names(outcome, WHATS[what])[name], "leads": leads}
        for what, name, leads in counts.iter_rows()
    ]


def _moves(outcome: Outcome) -> list[Document]:
    """From which stage to which leads go, most first."""
    shared = outcome.question.shared
    moved = outcome.parted.differences.filter(what=WHATS.index(STAGE))
    counts = moved.group_by("name", "before", "after").len()
    rows = counts.sort("name", "len", "before", "after", descending=[False, True, False, False])
    return [
        {
            "track": shared.tracks[track],
            "before": _stage(shared.stages[track], before),
            "after": _stage(shared.stages[track], after),
            "leads": leads,
        }
        for track, before, after, leads in rows.iter_rows()
    ]


def _stage(stages: list[str], index: int) -> str | None:
    return None if index < 0 else stages[index]


def _names(outcome: Outcome, what: str) -> list[str]:
    """The names in common of one kind."""
    shared = outcome.question.shared
    kinds = {SCORE: shared.scores, STAGE: shared.tracks, CLOCK: shared.clocks}
    return kinds.get(what, shared.segments)


def lead_documents(
    outcome: Outcome, source: Journal | Stored, most: int | None
) -> Iterator[Document]:
    """A document per lead that differs: all as they became known, or so many, foremost first."""
    parted = outcome.parted
    leads = parted.leads.sort("lead") if most is None else _foremost(parted, most)
    for start in range(0, len(leads), _AT_ONCE):
        some = leads[start : start + _AT_ONCE]
        called = touchpoints_named(source, some)
        differences, runs = _grouped(parted.differences, some), _grouped(parted.runs, some)
        for row in some.iter_rows(named=True):
            number = row["lead"]
            yield {
                "lead": row["id"],
                "parted": _parting(row, called),
                "differences": [
                    _difference(outcome, one, runs.get(number, [])) for one in differences[number]
                ],
            }


def _foremost(parted: Parted, most: int) -> pl.DataFrame:
    """The leads that stand in other stages, then the others; by how far their scores are apart."""
    what, apart = pl.col("what"), (pl.col("after") - pl.col("before")).abs()
    weights = parted.differences.group_by("lead").agg(
        moved=(what == WHATS.index(STAGE)).any(),
        points=apart.filter(what == WHATS.index(SCORE)).max().fill_null(0),
    )
    weighed = parted.leads.join(weights, on="lead", maintain_order="left")
    return weighed.sort("moved", "points", "lead", descending=[True, True, False]).head(most)


def _grouped(rows: pl.DataFrame, leads: pl.DataFrame) -> dict[int, list[Row]]:
    """Rows of some leads, by lead."""
    found: dict[int, list[Row]] = {}
    for row in rows.join(leads, on="lead", how="semi", maintain_order="left").iter_rows(named=True):
        found.setdefault(row["lead"], []).append(row)
    return found


def touchpoints_named(source: Journal | Stored, leads: pl.DataFrame) -> dict[int, Name]:
    """What the touchpoints are called at which the folds of some leads part, by position."""
    known = leads.filter(pl.col("position").is_not_null())
    numbers, positions = known["lead"].to_numpy(), known["position"].to_numpy()
    if isinstance(source, Stored):
        buckets = np.searchsorted(source.numbers, numbers) // CHUNK
    else:
        buckets = bucket_of(numbers, len(source.buckets))
    called: dict[int, Name] = {}
    for bucket in np.unique(buckets).tolist():
        called |= _called(source.read(bucket, NAMED), positions[buckets == bucket])
    return called


def _called(histories: Histories, positions: NDArray[np.int64]) -> dict[int, Name]:
    touches = np.flatnonzero(np.isin(histories.positions, positions)).tolist()
    sources = histories.strings.texts(histories.touches["source"][touches].tolist())
    return {
        int(histories.positions[touch]): (source, histories.event_id(touch))
        for touch, source in zip(touches, sources, strict=True)
    }


def _parting(row: Row, called: Mapping[int, Name]) -> Document:
    """Where the two folds of a lead part; neither touchpoint nor timer: time alone did it."""
    timer = touchpoint = None
    if BY[row["by"]] == "touchpoint":
        source, event_id = called[row["position"]]
        touchpoint = {"source": source, "event_id": event_id}
    if BY[row["by"]] == "timer":
        of = "after" if row["side"] else "before"
        timer = {"track": row["track"], "timer": row["timer"], "move": row["move"], "rules": of}
    at = format_instant(row["at"])
    return {"at": at, "touchpoint": touchpoint, "timer": timer, "key": row["key"]}


def _difference(outcome: Outcome, row: Row, runs: Iterable[Row]) -> Document:
    """One thing that differs, and both values."""
    what, number = WHATS[row["what"]], row["name"]
    values = [row["before"], row["after"]]
    if what == STAGE:
        stages = outcome.question.shared.stages[number]
        values = [_stage(stages, value) for value in values]
    if what == SEGMENT:
        values = [bool(value) for value in values]
    if what == CLOCK:
        as_of = outcome.question.as_of
        own = [run for run in runs if run["clock"] == number]
        values = [[_run(run, as_of) for run in own if run["side"] == side] for side in (0, 1)]
    name = _names(outcome, what)[number]
    return {"what": what, "name": name, "before": values[0], "after": values[1]}


def _run(run: Row, as_of: int) -> Document:
    """A run of a clock, as states have it."""
    state = OUTCOMES[run["outcome"]]
    if run["outcome"] == OPEN:
        state = "running" if as_of <= run["due"] else OUTCOMES[BREACHED]
    return {
        "started": format_instant(run["started"]),
        "due": _instant(run["due"]),
        "ended": _instant(run["ended"]),
        "state": state,
    }


def _instant(at: int) -> str | None:
    return None if at == NEVER else format_instant(at)


def rows(documents: Iterable[Document]) -> Iterator[tuple[str, ...]]:
    """COLUMNS of each lead and thing that differs, as text."""
    for lead in documents:
        parted, touchpoint = lead["parted"], lead["parted"]["touchpoint"] or {}
        timer = parted["timer"] or {}
        where = (
            parted["at"],
            *(touchpoint.get(key, "") for key in ("source", "event_id")),
            *(str(timer.get(key, "")) for key in ("track", "timer", "move")),
            parted["key"],
        )
        for one in lead["differences"]:
            values = (shown(one["what"], one[side]) for side in ("before", "after"))
            yield (lead["lead"], one["what"], one["name"], *values, *where)


def shown(what: str, value: Any, when: Callable[[str], str] = str) -> str:
    """A value for people, and how instants are to be written."""
    if what == SCORE:
        return points(value)
    if what == SEGMENT:
        return "in" if value else "out"
    if what == CLOCK:
        due = ((run["state"], when(run["due"]) if run["due"] else "never") for run in value)
        return "; ".join(f"{state}, due {at}" for state, at in due) or "none"
    return value or "none"


def points(micro: int) -> str:
    """Micro-points as points, exactly, with as many decimals as they have."""
    sign, (whole, rest) = "-" * (micro < 0), divmod(abs(micro), 10**6)
    return f"{sign}{whole}.{rest:06d}".rstrip("0").rstrip(".")


def figures(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The figures that differ between two reports, by where they stand; None: there is none.

    Of tracks, stages and steps those that both have.
    """
    if isinstance(before, dict) or isinstance(after, dict):
        was, now = before or {}, after or {}
        for key in dict.fromkeys((*was, *now)):
            if key not in _LEFT_OUT:
                yield from figures(was.get(key), now.get(key), f"{path}.{key}".lstrip("."))
    elif isinstance(before, list) or isinstance(after, list):
        one, other = (_by_name(side or []) for side in (before, after))
        for key in (key for key in one if key in other):
            yield from figures(one[key], other[key], f"{path}.{key}".lstrip("."))
    elif before != after:
        yield path, before, after


def _by_name(some: list[Any]) -> dict[str, Any]:
    """Stages, steps and tracks by their names."""
    return {str(one.get("stage") or one.get("track") or one.get("step")): one for one in some}
