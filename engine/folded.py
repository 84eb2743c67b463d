"""What folding gives: records of states, visits, clock runs and funnel hits."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from engine.book import Era
from engine.history import Histories
from engine.ruleset import Move, RuleSet, Timer

MAX_SCORES, MAX_TRACKS, MAX_STEPS = 4, 4, 12

LEAD_STATE = np.dtype(
    [
        ("touchpoints", "<i8"),  # folded up to T; 0: the lead does not exist yet
        ("first", "<i8"),  # index into Histories.touches
        ("last", "<i8"),
        ("first_at", "<i8"),
        ("last_at", "<i8"),
        ("seen", "<i8"),  # bit i: signal i was shown
        ("scores", "<i8", (MAX_SCORES,)),  # micro-points as of Folded.scored_at
        ("stage", "<i4", (MAX_TRACKS,)),  # index, -1: none
        ("since", "<i8", (MAX_TRACKS,)),  # when that stage was entered
        ("owner", "<i4"),  # dictionary id, 0: none
        ("value_currency", "<i4"),  # dictionary id, 0: no value
        ("value_minor", "<i8"),
        ("anomalies", "<i8"),
        ("next_due", "<i8"),  # next timed move, or touchpoint that lies ahead of T; NEVER
    ]
)
ENTER, ADVANCE, FALL = 0, 1, 2
DIRECTIONS = ("enter", "advance", "fall")
VISIT = np.dtype(
    [
        ("lead", "<i4"),  # index into Histories.leads
        ("track", "<i4"),
        ("stage", "<i4"),
        ("visit", "<i4"),  # how many-th in this stage, from 1
        ("entered", "<i8"),
        ("left", "<i8"),  # NEVER while open
        ("after", "<i8"),  # index of the last touch applied by then: the cause, where move is 0
        ("move", "<i4"),  # 0: caused by the touch; else the timed move, from 1
        ("direction", "<i4"),
        ("skipped", "<i4"),
        ("era", "<i4"),  # which of Folded.eras judged it; names are those of the last one
    ]
)
OPEN, MET, LATE, CANCELLED, BREACHED = 0, 1, 2, 3, 4
OUTCOMES = ("open", "met", "late", "cancelled", "breached")
CLOCK_RUN = np.dtype(
    [
        ("lead", "<i4"),
        ("clock", "<i4"),
        ("started", "<i8"),
        ("due", "<i8"),
        ("ended", "<i8"),  # NEVER while open
        ("outcome", "<i4"),  # OPEN: running while T <= due, breached after
        ("reserved", "<i4"),
    ]
)
FUNNEL_HIT = np.dtype(
    [
        ("lead", "<i4"),
        ("depth", "<i4"),  # 0: excluded
        ("entered", "<i8"),  # of the attempt; of the first attempt where excluded
        ("reached", "<i8", (MAX_STEPS,)),  # instants; unordered: the k-th step got, in time order
        ("open_until", "<i8"),  # open at T if T < open_until; 0: not open (complete, or excluded)
        ("excluded", "<i4"),
        ("reserved", "<i4"),
    ]
)


@dataclass(frozen=True)
class Folded:
    """Histories folded under a rule book up to an instant.

    Indexes of signals, scores, tracks, stages and clocks are those of the last era's rules.
    """

    histories: Histories
    eras: Sequence[Era]  # those that fold differently, one after another
    as_of: int  # microseconds, UTC
    signals: NDArray[np.int64]  # per touch: bit i is signal i of the last era
    states: NDArray[np.void]  # LEAD_STATE, one per lead
    entries: NDArray[np.void]  # VISIT, per lead in the order that they came about (item order)
    runs: NDArray[np.void]  # CLOCK_RUN, per lead in the order that they began
    hits: tuple[NDArray[np.void], ...]  # FUNNEL_HIT per funnel, by lead, then entered

    @property
    def rules(self) -> RuleSet:
        """The rule set in force at the instant."""
        return self.eras[-1].rules

    @cached_property
    def visits(self) -> NDArray[np.void]:
        """The entries, per lead by track, then time."""
        return _by(self.entries, "track")

    @cached_property
    def clock_runs(self) -> NDArray[np.void]:
        """The runs, per lead by clock, then start."""
        return _by(self.runs, "clock")

    @property
    def scored_at(self) -> NDArray[np.int64]:
        """As of when each lead's scores stand: its last touchpoint, or a boundary after it."""
        scored: NDArray[np.int64] = np.maximum(self.states["last_at"], self.eras[-1].since)
        return scored

    def timer(self, visit: np.void) -> Timer | None:
        """The timed move that caused a visit, in the words of the rules then; None: a touch did."""
        if not visit["move"]:
            return None
        track = self.rules.tracks[visit["track"]].name
        then = self.eras[visit["era"]].rules
        moves = next(one.moves for one in then.tracks if one.name == track)
        move: Move = moves[int(visit["move"]) - 1]
        return move.timer


def _by(records: NDArray[np.void], field: str) -> NDArray[np.void]:
    """Per lead by track or clock; what came about first stays first."""
    places = records["lead"].astype(np.int64) * int(records[field].max(initial=0) + 1)
    return records.take(np.argsort(places + records[field], kind="stable"))
