"""What took a lead from stage to stage, and what would take it on: as documents."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.fold_eras import faded
from engine.fold_ledger import Stretch
from engine.fold_many import Work
from engine.folded import ADVANCE, DIRECTIONS, ENTER, FALL
from engine.history import NEVER, STRING, Histories
from engine.instants import format_instant
from engine.ruleset import Count, Move, RuleSet, Timer, Track, When
from engine.tables import NONE

Document = dict[str, Any]


class Names:
    """What touchpoints of a history are called."""

    def __init__(self, histories: Histories) -> None:
        self.histories = histories
        ids = np.unique([histories.touches["source"], histories.touches["type"]]).tolist()
        self._text = dict(zip(ids, histories.strings.texts(ids), strict=True))

    def of(self, touch: int) -> Document:
        """A touchpoint by its source and event id, its type, and where it is recorded."""
        found = self.histories
        return {
            "source": self._text[int(found.touches["source"][touch])],
            "event_id": found.event_id(touch),
            "type": self._text[int(found.touches["type"][touch])],
            "position": int(found.positions[touch]),
        }

    def told(self, touch: int) -> Document:
        """What a stage_changed says: a stage, and a track or none."""
        found = self.histories
        first = int(found.attribute_at[touch])
        own = found.attributes[first : first + int(found.touches["attributes"][touch])]
        said = {int(one["name"]): int(one["bits"]) for one in own if one["tag"] == STRING}
        ids = [said.get(name, 0) for name in found.strings.ids(["stage", "track"])]
        stage, track = found.strings.texts(ids)
        return {"stage": stage, "track": track if ids[1] else None}


class Stand(NamedTuple):
    """Where a lead stands at an instant at which a move is looked at."""

    stretch: Stretch
    lead: np.void  # LEAD_STATE
    at: int  # microseconds, UTC
    happened: NDArray[np.int64]  # when the touches so far did
    carried: int  # signals of the one that happens now, as bits

    @property
    def rules(self) -> RuleSet:
        """The rules that judge."""
        return self.stretch.era.rules

    def place_of(self, signal: str) -> int:
        """Which bit a signal is."""
        return [one.name for one in self.rules.signals].index(signal)

    def points(self, score: str) -> int:
        """A score in micro-points."""
        index = [one.name for one in self.rules.scores].index(score)
        return int(faded(np.array([self.lead]), self.stretch.era, self.at)[0, index])

    def stages(self) -> list[str]:
        """Where it stands on every track, as rules name it."""
        return [
            f"{track.name}.{_stage(track, int(self.lead['stage'][index])) or 'none'}"
            for index, track in enumerate(self.rules.tracks)
        ]

    def carrying(self, signal: str) -> NDArray[np.int64]:
        """The touches so far that carry a signal, by index."""
        signals = self.stretch.signals[: len(self.happened)]
        return np.flatnonzero(signals >> self.place_of(signal) & 1)


class Causes:
    """The stages of a lead, visit by visit, and what comes next."""

    def __init__(self, work: Work, stretches: Sequence[Stretch], names: Names, as_of: int) -> None:
        self._entries, self._stretches = work.entries, stretches
        self._names, self._as_of = names, as_of
        self._at: NDArray[np.int64] = names.histories.touches["occurred_at"]
        self._decided = [(s, place) for s in stretches for place in range(len(s.entries))]

    def track(self, name: str) -> Document:
        """Where a lead stands on a track, how it came there, and where it could go."""
        tracks = self._stretches[-1].era.rules.tracks
        index = [track.name for track in tracks].index(name)
        own = np.flatnonzero(self._entries["track"] == index).tolist()
        visits = [
            self._visit(tracks[index], entry, left)
            for entry, left in zip(own, [None, *own], strict=False)
        ]
        return {
            "track": name,
            "stage": visits[-1]["stage"] if visits else None,
            "since": visits[-1]["entered"] if visits else None,
            "visits": visits,
            "next": self._next(index),
        }

    def _visit(self, track: Track, number: int, left: int | None) -> Document:
        """A visit by its entry, and by that of the one that it follows."""
        visit, (stretch, _) = self._entries[number], self._decided[number]
        rules = stretch.era.rules
        since = NEVER if left is None else int(self._entries["entered"][left])
        return {
            "stage": _stage(track, int(visit["stage"])),
            "visit": int(visit["visit"]),
            "entered": format_instant(int(visit["entered"])),
            "left": None if visit["left"] == NEVER else format_instant(int(visit["left"])),
            "direction": DIRECTIONS[visit["direction"]],
            "rules": {"name": rules.name, "id": rules.id},
            **self._cause(track.name, number, since),
        }

    def _cause(self, track: str, number: int, since: int) -> Document:
        """What took the lead there: a touchpoint, by a move or by its word, or a timed move."""
        visit, (stretch, place) = self._entries[number], self._decided[number]
        chosen, touch = int(stretch.moves[place]), int(visit["after"])
        if not chosen:
            return {"touchpoint": self._names.of(touch), "told": self._names.told(touch)}
        move, key = _move(stretch.era.rules, track, chosen)
        timed = move.timer is not None
        carried = 0 if timed else int(stretch.signals[touch])
        happened, at = self._at[: touch + 1], int(visit["entered"])
        stand = Stand(stretch, stretch.stood[place], at, happened, carried)
        if move.timer is not None:
            return {"move": key, "timer": self._timer(move.timer, stand, since)}
        conditions = list(_conditions(move.when or When(), stand))
        return {"touchpoint": self._names.of(touch), "move": key, "conditions": conditions}

    def _next(self, index: int) -> list[Document]:
        """What each move asks that leaves where the lead stands; to later stages first."""
        last = self._stretches[-1]
        lead, track = last.end[0], last.era.rules.tracks[index]
        here = int(lead["stage"][index])
        stand = Stand(last, lead, self._as_of, self._at[self._at <= self._as_of], 0)
        places = [stage.name for stage in track.stages]
        found = []
        for number, move in enumerate(track.moves, 1):
            to = places.index(move.to)
            if to == here or not _leaves(move, _stage(track, here)):
                continue
            direction = ENTER if here == NONE else ADVANCE if to > here else FALL
            line: Document = {"to": move.to, "direction": DIRECTIONS[direction]}
            line["move"] = _key(track.name, number)
            if move.timer is None:
                line["conditions"] = list(_conditions(move.when or When(), stand))
            else:
                due = last.due.get((index, number))
                line["timer"] = self._timer(move.timer, stand, int(lead["since"][index]))
                line["due"] = None if due is None else format_instant(due)
            found.append((to < here, to if to > here else 0, line))
        return [line for *_, line in sorted(found, key=lambda one: one[:2])]

    def _timer(self, timer: Timer, stand: Stand, since: int) -> Document:
        """What a timed move counts from, `since` when the lead is in the stage that it leaves."""
        if timer.kind == "below_score":
            points = stand.points(str(timer.score))
            return {"kind": timer.kind, "score": timer.score, "below": timer.below, "value": points}
        touch = None
        if timer.kind == "after_silence":
            every = np.arange(len(stand.happened))
            heard = every if timer.of is None else stand.carrying(timer.of)
            if len(heard) and stand.happened[heard[-1]] >= since:
                touch, since = int(heard[-1]), int(stand.happened[heard[-1]])
        return {
            "kind": timer.kind,
            "of": timer.of,
            "duration_us": timer.duration_us,
            "counted_from": format_instant(since),
            "touchpoint": None if touch is None else self._names.of(touch),
        }


def _stage(track: Track, index: int) -> str | None:
    return None if index == NONE else track.stages[index].name


def _key(track: str, number: int) -> str:
    return f"track.{track}.move[{number}]"


def _move(rules: RuleSet, track: str, number: int) -> tuple[Move, str]:
    """A move by its track and number, and what it is called."""
    moves = next(one.moves for one in rules.tracks if one.name == track)
    return moves[number - 1], _key(track, number)


def _leaves(move: Move, stage: str | None) -> bool:
    return "*" in move.sources or (stage or "none") in move.sources


def _conditions(when: When, stand: Stand) -> Iterator[Document]:
    """All that a move asks, with what there is, and whether that will do."""
    if when.signal:
        carried = [name for name in when.signal if stand.carried >> stand.place_of(name) & 1]
        yield _asked("signal", {"any_of": list(when.signal)}, carried, bool(carried))
    for asks, names in (("seen", when.seen), ("not_seen", when.not_seen)):
        for name in names:
            seen = bool(stand.lead["seen"] >> stand.place_of(name) & 1)
            yield _asked(asks, {"signal": name}, seen, seen is (asks == "seen"))
    if when.score is not None:
        points = stand.points(when.score)
        enough = when.at_least is None or points >= when.at_least
        bounds = {"score": when.score, "at_least": when.at_least, "below": when.below}
        yield _asked(
            "score", bounds, points, enough and (when.below is None or points < when.below)
        )
    if when.count is not None:
        yield _counted(when.count, stand)
    if when.stage:
        here = [stage for stage in stand.stages() if stage in when.stage]
        yield _asked("stage", {"any_of": list(when.stage)}, here, bool(here))


def _counted(count: Count, stand: Stand) -> Document:
    """How many touchpoints carry a signal, ever or lately."""
    carrying = stand.happened[stand.carrying(count.signal)]
    if count.within_us is not None:
        carrying = carrying[carrying > stand.at - count.within_us]
    wanted = {
        "signal": count.signal,
        "at_least": count.at_least,
        "within_us": count.within_us,
    }
    return _asked("count", wanted, len(carrying), len(carrying) >= count.at_least)


def _asked(asks: str, wanted: Document, value: object, holds: bool) -> Document:
    return {"asks": asks, **wanted, "value": value, "holds": holds}
