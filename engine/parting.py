"""Two folds of the same histories compared: which leads differ, in what, and where they part."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.alike import alike
from engine.decay import scores_at
from engine.fold_apart import BY_TOUCH, PARTED
from engine.fold_pairs import Folds, pair_of
from engine.fold_trace import new_walk, part_leads
from engine.folded import Folded
from engine.parting_keys import Cause, cause_of
from engine.segments import members, standing_of
from engine.shared_names import Shared
from engine.tables import NONE

Numbers = NDArray[np.int64]
_WHERE = 2  # of the 64-bit words of PARTED: say where, before those that say what

SCORE, STAGE, CLOCK, SEGMENT = WHATS = ("score", "stage", "clock", "segment")
BY = ("touchpoint", "timer", "time")
LEADS = pl.Schema(  # a row per lead that differs
    {
        "lead": pl.Int64,  # number
        "id": pl.String,
        "at": pl.Int64,  # where the folds part: microseconds, UTC
        "by": pl.UInt8,  # index into BY; time: nothing happened, and a score or a span ran on
        "position": pl.Int64,  # of the touchpoint; null where it was none
        "key": pl.String,  # of the rule responsible
        "track": pl.String,  # of the timed move; null where it was none
        "timer": pl.String,  # after_silence and the like
        "move": pl.UInt8,  # from 1
        "side": pl.UInt8,  # 0: a move of the first fold, 1: of the second
    }
)
DIFFERENCES = pl.Schema(  # a row per lead and thing that differs
    {
        "lead": pl.Int64,
        "what": pl.UInt8,  # index into WHATS
        "name": pl.UInt8,  # index into Shared.scores, tracks, clocks or segments
        "before": pl.Int64,  # micro-points; index into Shared.stages, or -1; how many runs; 0 or 1
        "after": pl.Int64,
    }
)
RUNS = pl.Schema(  # a row per run, in either fold, of a clock that differs
    {
        "lead": pl.Int64,
        "clock": pl.UInt8,  # index into Shared.clocks
        "side": pl.UInt8,
        "started": pl.Int64,
        "due": pl.Int64,
        "ended": pl.Int64,
        "outcome": pl.UInt8,  # as in CLOCK_RUN
    }
)
_RUN = np.dtype(
    [
        *(("lead", "<i8"), ("clock", "u1"), ("side", "u1")),
        *(("started", "<i8"), ("due", "<i8"), ("ended", "<i8"), ("outcome", "u1")),
    ]
)


class Unlike(NamedTuple):
    """Leads that differ in one thing."""

    what: int  # index into WHATS
    name: int  # index into the names in common
    leads: Numbers  # indexes
    before: Numbers
    after: Numbers


@dataclass(frozen=True)
class Parted:
    """The leads on which two folds differ, in the order in which they were folded."""

    leads: pl.DataFrame  # LEADS
    differences: pl.DataFrame  # DIFFERENCES
    runs: pl.DataFrame  # RUNS

    def frames(self) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """The three, as they are listed."""
        return self.leads, self.differences, self.runs


def compare(before: Folded, after: Folded, points: int = 0) -> Parted:
    """What differs between two folds of the same histories as of the same instant.

    Args:
        points: Scores that lie no more micro-points apart do not differ.
    """
    folds, shared = (before, after), Shared.of(before.rules, after.rules)
    clocks = [*_clocks(folds, shared)]
    unlike = [
        *_scores(folds, shared, points),
        *_stages(folds, shared),
        *clocks,
        *_segments(folds, shared),
    ]
    leads = np.unique(np.concatenate([one.leads for one in unlike] or [np.zeros(0, np.int64)]))
    numbers = before.histories.numbers
    return Parted(
        _partings(folds, shared, leads),
        _differences(unlike, numbers),
        _runs(folds, shared, clocks),
    )


def _scores(folds: Folds, shared: Shared, points: int) -> Iterator[Unlike]:
    values = [scores_at(one.states["scores"], one.scored_at, one.rules, one.as_of) for one in folds]
    for number, name in enumerate(shared.scores):
        before, after = (
            value[:, [score.name for score in one.rules.scores].index(name)]
            for value, one in zip(values, folds, strict=True)
        )
        yield _unlike((0, number), np.abs(after - before) > points, before, after)


def _stages(folds: Folds, shared: Shared) -> Iterator[Unlike]:
    for number, name in enumerate(shared.tracks):
        before, after = (_stage(one, name, shared.stages[number]) for one in folds)
        yield _unlike((1, number), before != after, before, after)


def _stage(folded: Folded, name: str, stages: list[str]) -> Numbers:
    """Where leads stand on a track, as the names in common are numbered."""
    track = [track.name for track in folded.rules.tracks].index(name)
    places = [stages.index(stage.name) for stage in folded.rules.tracks[track].stages]
    numbered: Numbers = np.array([*places, NONE])[folded.states["stage"][:, track]]
    return numbered


def _clocks(folds: Folds, shared: Shared) -> Iterator[Unlike]:
    leads = len(folds[0].states)
    for number, name in enumerate(shared.clocks):
        runs = [_runs_of(one, name) for one in folds]
        before, after = (np.bincount(own["lead"], minlength=leads) for own in runs)
        differs = before != after
        one, other = (own.take(np.flatnonzero(~differs[own["lead"]])) for own in runs)
        for field in ("started", "due", "ended", "outcome"):
            differs[one["lead"][one[field] != other[field]]] = True
        yield _unlike((2, number), differs, before, after)


def _runs_of(folded: Folded, clock: str) -> NDArray[np.void]:
    """The runs of a clock, by lead, then start."""
    names = [clock.name for clock in folded.rules.clocks]
    own = np.flatnonzero(folded.clock_runs["clock"] == names.index(clock))
    return folded.clock_runs.take(own)  # records are picked so in a thirtieth of the time


def _segments(folds: Folds, shared: Shared) -> Iterator[Unlike]:
    if not shared.segments:
        return
    flags = [members(standing_of(one), one.rules, one.as_of) for one in folds]
    exists = folds[0].states["touchpoints"] > 0
    for number, name in enumerate(shared.segments):
        before, after = (
            flag[:, [segment.name for segment in one.rules.segments].index(name)]
            for flag, one in zip(flags, folds, strict=True)
        )
        yield _unlike((3, number), (before != after) & exists, before, after)


def _unlike(
    which: tuple[int, int],
    differs: NDArray[np.bool_],
    before: NDArray[np.generic],
    after: NDArray[np.generic],
) -> Unlike:
    leads = np.flatnonzero(differs)
    return Unlike(*which, leads, before[leads].astype(np.int64), after[leads].astype(np.int64))


def _differences(unlike: list[Unlike], numbers: Numbers) -> pl.DataFrame:
    if not unlike:
        return DIFFERENCES.to_frame()
    leads = np.concatenate([one.leads for one in unlike])
    order, sizes = np.argsort(leads, kind="stable"), [len(one.leads) for one in unlike]
    whats, names = ([getattr(one, key) for one in unlike] for key in ("what", "name"))
    columns = {
        "lead": numbers[leads],
        "what": np.repeat(np.array(whats, np.uint8), sizes),
        "name": np.repeat(np.array(names, np.uint8), sizes),
        "before": np.concatenate([one.before for one in unlike]),
        "after": np.concatenate([one.after for one in unlike]),
    }
    return pl.DataFrame({name: column[order] for name, column in columns.items()}, DIFFERENCES)


def _runs(folds: Folds, shared: Shared, clocks: list[Unlike]) -> pl.DataFrame:
    """The runs behind each clock that differs."""
    found = [np.zeros(0, _RUN)]
    for unlike in clocks:
        wanted = np.zeros(len(folds[0].states), np.bool_)
        wanted[unlike.leads] = True
        for side, folded in enumerate(folds):
            runs = _runs_of(folded, shared.clocks[unlike.name])
            own = runs.take(np.flatnonzero(wanted[runs["lead"]]))
            rows = np.zeros(len(own), _RUN)
            rows["lead"] = folded.histories.numbers[own["lead"]]
            rows["clock"], rows["side"] = unlike.name, side
            for name in RUNS.names()[3:]:
                rows[name] = own[name]
            found.append(rows)
    rows = np.concatenate(found)
    rows = rows.take(np.lexsort((rows["side"], rows["clock"], rows["lead"])))
    return pl.DataFrame({name: np.ascontiguousarray(rows[name]) for name in RUNS}, RUNS)


def _partings(folds: Folds, shared: Shared, leads: Numbers) -> pl.DataFrame:
    """Where the two folds of each lead part, and by which rule."""
    histories = folds[0].histories
    parted = np.zeros(len(leads), PARTED)
    if len(leads):
        part_leads(pair_of(folds, shared, leads), new_walk(), parted)
    position = pl.Series(histories.positions[parted["touch"]], dtype=pl.Int64)
    which, causes = _causes(parted, folds, shared)
    return pl.DataFrame(
        {
            "lead": histories.numbers[leads],
            "id": [histories.leads[lead] for lead in leads.tolist()],
            "at": parted["at"],
            "by": parted["by"],
            "position": position.set(pl.Series(parted["by"] != BY_TOUCH), None),
            **{
                name: pl.Series([cause[at] for cause in causes], dtype=LEADS[name]).gather(which)
                for at, name in enumerate(Cause._fields)
            },
        },
        schema_overrides=LEADS,
        strict=False,
    )


def _causes(parted: NDArray[np.void], folds: Folds, shared: Shared) -> tuple[Numbers, list[Cause]]:
    """Which cause each has, and the causes; what parts alike is looked at once."""
    eras = folds[0].eras, folds[1].eras
    words = parted.view(np.int64).reshape(len(parted), PARTED.itemsize // 8)
    which, first = alike(words[:, _WHERE:])
    return which, [cause_of(row, eras, shared) for row in parted.take(first)]
