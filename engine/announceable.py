"""What folded leads say that can be announced, and when that changes by time alone.

A stage once entered and a clock once breached stay so for as long as nothing else is known.
That a clock runs out soon, and which segments a lead is in, is so or not at an instant.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.announcement import (
    CLOCK_BREACHED,
    CLOCK_DUE_SOON,
    SEGMENT_JOINED,
    SEGMENTS,
    STAGE_ENTERED,
    Cause,
    Key,
    TimedMove,
    TouchpointId,
)
from engine.decay import FACTORS, scores_at, tick_us
from engine.fold_scores import NEVER_BELOW, first_below
from engine.folded import Folded
from engine.history import NEVER
from engine.segments import Flags, members, standing_of

Instants = NDArray[np.int64]  # microseconds, UTC

DUE_BY = 1  # raised whenever leads come to be due at other instants: all are worked out anew


@dataclass(frozen=True)
class Announceable:
    """What some leads, by index, say at an instant."""

    folded: Folded
    facts: list[dict[Key, int]]  # per lead; of a stage the index of its entry, of a clock its due
    members: Flags  # leads x segments of the rules in force; a lead yet to come is in none
    _sources: dict[int, str] = field(default_factory=dict)  # texts, by id

    def holds(self, lead: int | None, key: Key) -> bool:
        """Whether a lead, None for one that there is not, says this."""
        kind, name, _ = key
        if lead is None:
            return False
        if kind not in SEGMENTS:
            return key in self.facts[lead]
        names = [segment.name for segment in self.folded.rules.segments]
        inside = name in names and bool(self.members[lead, names.index(name)])
        return self.exists(lead) and inside == (kind == SEGMENT_JOINED)

    def exists(self, lead: int) -> bool:
        """Whether anything of a lead has happened by the instant."""
        return bool(self.folded.states["touchpoints"][lead])

    def touchpoint(self, touch: int) -> TouchpointId:
        """A touchpoint by its index among the histories."""
        histories = self.folded.histories
        source = int(histories.touches["source"][touch])
        if source not in self._sources:
            self._sources[source] = histories.strings.texts([source])[0]
        return TouchpointId(self._sources[source], histories.event_id(touch))

    def cause(self, lead: int, key: Key, touched: bool) -> Cause:
        """Why it is so; of a segment the last touchpoint, where the lead was touched."""
        if key[0] == STAGE_ENTERED:
            entry = self.folded.entries[self.facts[lead][key]]
            timer = self.folded.timer(entry)
            if timer is not None:
                return TimedMove(timer.kind, int(entry["move"]))
            return self.touchpoint(int(entry["after"]))
        if key[0] in SEGMENTS and touched:
            return self.touchpoint(int(self.folded.states["last"][lead]))
        return None

    def due(self, lead: int, key: Key) -> int | None:
        """When the time of a clock is up."""
        return self.facts[lead][key] if key[0] in (CLOCK_BREACHED, CLOCK_DUE_SOON) else None


def announceable(folded: Folded, soon_us: int | None = None) -> Announceable:
    """What leads say as of the instant that they were folded up to.

    Args:
        folded: The leads.
        soon_us: How long before its time is up a clock is said to be due soon; None: never.
    """
    facts: list[dict[Key, int]] = [{} for _ in folded.histories.leads]
    for lead, key, detail in (*_stages(folded), *_clocks(folded, soon_us)):
        facts[lead].setdefault(key, detail)
    inside = members(standing_of(folded), folded.rules, folded.as_of)
    return Announceable(folded, facts, inside & (folded.states["touchpoints"] > 0)[:, None])


def _stages(folded: Folded) -> Iterator[tuple[int, Key, int]]:
    names = [[f"{t.name}.{stage.name}" for stage in t.stages] for t in folded.rules.tracks]
    columns = (folded.entries[name].tolist() for name in ("lead", "track", "stage", "entered"))
    for entry, (lead, track, stage, entered) in enumerate(zip(*columns, strict=True)):
        yield lead, (STAGE_ENTERED, names[track][stage], entered), entry


def _clocks(folded: Folded, soon_us: int | None) -> Iterator[tuple[int, Key, int]]:
    names = [clock.name for clock in folded.rules.clocks]
    runs = folded.clock_runs
    late = runs[(runs["due"] < folded.as_of) & (runs["ended"] > runs["due"])]
    for lead, clock, due in zip(*(late[name].tolist() for name in _RUN), strict=True):
        yield lead, (CLOCK_BREACHED, names[clock], due), due
    if soon_us is not None:
        still = runs[(runs["ended"] == NEVER) & (runs["due"] >= folded.as_of)]
        soon = np.maximum(still["started"], still["due"] - soon_us)
        told = still[soon <= folded.as_of]
        columns = (told[name].tolist() for name in _RUN)
        since = soon[soon <= folded.as_of].tolist()
        for lead, clock, due, at in zip(*columns, since, strict=True):
            yield lead, (CLOCK_DUE_SOON, names[clock], at), due


_RUN = ("lead", "clock", "due")


class Dues(NamedTuple):
    """When leads have to be looked at again though nothing new is known of them."""

    at: Instants  # per lead; NEVER
    ahead: NDArray[np.bool_]  # per lead: because of a touchpoint that lies ahead


def dues(folded: Folded, soon_us: int | None = None) -> Dues:
    """The next instant of each lead at which it may say something else, time going on.

    What rules that come into force later change is not seen from here.
    """
    starts, states = folded.histories.starts, folded.states
    at = np.ascontiguousarray(states["next_due"])
    nth = starts[:-1] + states["touchpoints"]
    ahead = np.full(len(at), NEVER)
    there = nth < starts[1:]
    ahead[there] = folded.histories.touches["occurred_at"][nth[there]]
    for leads, instants in (*_due_clocks(folded, soon_us), *_due_segments(folded)):
        later = instants > folded.as_of
        np.minimum.at(at, leads[later], instants[later])
    return Dues(at, (ahead == at) & (at != NEVER))


def _due_clocks(folded: Folded, soon_us: int | None) -> Iterator[tuple[Instants, Instants]]:
    """Leads, and when their clocks break or come near to it."""
    runs = folded.clock_runs
    still = runs[(runs["ended"] == NEVER) & (runs["due"] != NEVER)]
    yield still["lead"], still["due"] + 1  # at its due instant it is kept yet
    if soon_us is not None:
        yield still["lead"], np.maximum(still["started"], still["due"] - soon_us)


def _due_segments(folded: Folded) -> Iterator[tuple[Instants, Instants]]:
    """Leads, and when time changes what segments ask about them, but for their stage."""
    leads = np.flatnonzero(folded.states["touchpoints"])
    for segment in folded.rules.segments:
        if segment.silent_for_us is not None:
            yield leads, folded.states["last_at"][leads] + segment.silent_for_us
        for bound in (segment.at_least, segment.below):
            if segment.score is not None and bound is not None:
                names = [score.name for score in folded.rules.scores]
                yield _crossings(folded, names.index(segment.score), bound)


def _crossings(folded: Folded, score: int, bound: int) -> tuple[Instants, Instants]:
    """Leads whose score will pass a bound as it fades, and when.

    What is above nothing falls below a bound; what is below nothing rises above one, which is
    the same turned upside down.
    """
    points = folded.states["scores"][:, score]
    since, tick = folded.scored_at, tick_us(folded.rules.scores[score])
    now = scores_at(folded.states["scores"], since, folded.rules, folded.as_of)[:, score]
    falling = (points > 0) & (now >= bound) & (bound > 0)
    rising = (points < 0) & (now < bound) & (bound <= 0)
    leads = np.flatnonzero((falling | rising) & (tick > 0))
    found = []
    for lead in leads.tolist():
        size, below = (points[lead], bound) if falling[lead] else (-points[lead], 1 - bound)
        span = int(since[lead]), folded.as_of
        found.append(first_below(int(size), span, tick, below, FACTORS))
    return leads, np.array([NEVER if at == NEVER_BELOW else at for at in found], np.int64)
