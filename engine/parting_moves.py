"""The rule responsible where two folds part in a stage."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from engine.fold_apart import BY_TOUCH
from engine.fold_touch import UNKNOWN_STAGE
from engine.ruleset import Move, RuleSet, Track
from engine.shared_names import meaning, named
from engine.tables import NONE


class Step(NamedTuple):
    """The step at which two folds part: a PARTED record, and the rules that judged in each."""

    row: np.void
    before: RuleSet
    after: RuleSet

    @property
    def did(self) -> list[int]:
        """What each fold did; see PARTED."""
        did: list[int] = self.row["cause"].tolist()
        return did

    def unlike(self, names: Iterable[str], bits: str = "signals") -> str | None:
        """The first of some signals that one fold alone sees in the touch, or ever saw."""
        places = {signal.name: at for at, signal in enumerate(self.before.signals)}
        seen = int(self.row[bits])
        found = (name for name in names if name in places and seen >> places[name] & 1)
        return next((f"signal.{name}" for name in found), None)

    def redefined(self, names: Iterable[str]) -> str | None:
        """The first of some signals that the two define otherwise."""
        for name in names:
            one, other = named(self.before.signals, name), named(self.after.signals, name)
            if one and other and meaning(one) != meaning(other):
                return f"signal.{name}"
        return None


def stage_key(step: Step, name: str) -> str | None:
    """The key of what took a lead to another stage of a track, or kept it from there."""
    one, other = named(step.before.tracks, name), named(step.after.tracks, name)
    if one is None or other is None:
        return None
    if step.row["by"] == BY_TOUCH:
        told = _told_key(step, name)
        return told or _move_key(step, _taken(step, 0), _taken(step, 1), (one, other))
    moves = [
        _Taken(track.moves[number - 1], number) if number > 0 else None
        for track, number in zip((one, other), step.did, strict=True)
    ]
    return _move_key(step, moves[0], moves[1], (one, other))


class _Taken(NamedTuple):
    """A move that a fold took, and its number in its track."""

    move: Move
    number: int


def _taken(step: Step, side: int) -> _Taken | None:
    """The move that a fold took at a touchpoint: rules as arrays count those alone that it may."""
    rules, chosen = (step.before, step.after)[side], step.did[side]
    if chosen == NONE:
        return None
    moves = [
        _Taken(move, number)
        for track in rules.tracks
        for number, move in enumerate(track.moves, 1)
        if move.when is not None
    ]
    return moves[chosen]


def _move_key(
    step: Step, one: _Taken | None, other: _Taken | None, tracks: tuple[Track, Track]
) -> str | None:
    """Of the moves that the two folds took, the one that differs, or what kept a fold from it."""
    mine, theirs = tracks
    for taken, others in ((one, theirs), (other, mine)):
        if taken is not None and taken.move not in others.moves:
            return f"track.{mine.name}.move[{_number(taken, one, tracks)}]"
    for taken, track, instead in ((one, theirs, other), (other, mine, one)):
        if taken is None:
            continue
        place = track.moves.index(taken.move) + 1
        if instead is None or place < instead.number:
            return _kept_from(step, taken.move)
    first = min((one, other), key=lambda taken: taken.number if taken else 0)
    return f"track.{mine.name}.move[{first.number}]" if first else None


def _number(taken: _Taken, one: _Taken | None, tracks: tuple[Track, Track]) -> int:
    """The number of a move that only one set has: of its version in the first, if there is one."""
    if taken is one:
        return taken.number
    mine, theirs = tracks
    versions = [
        number
        for number, move in enumerate(mine.moves, 1)
        if move.to == taken.move.to and move not in theirs.moves
    ]
    return versions[0] if versions else taken.number


def _kept_from(step: Step, move: Move) -> str | None:
    """Why a move that both sets have was taken in one fold alone."""
    if move.timer is not None:
        return _not_due(step, move)
    when = move.when
    assert when is not None
    counted = [when.count.signal] if when.count else []
    memory = (*when.seen, *when.not_seen)
    return (
        step.unlike(when.signal)
        or step.unlike(memory, "seen")
        or step.redefined((*when.signal, *memory, *counted))
    )


def _not_due(step: Step, move: Move) -> str | None:
    """Why a timed move that both sets have was due in one fold alone."""
    timer = move.timer
    assert timer is not None
    if timer.of is not None:
        return step.redefined([timer.of])
    if timer.score is None:
        return None
    scores = [named(rules.scores, timer.score) for rules in (step.before, step.after)]
    if len({score.half_life_us for score in scores if score}) > 1:
        return f"score.{timer.score}.half_life"
    return None


def _told_key(step: Step, track: str) -> str | None:
    """The stage that a stage_changed means in one of the two, where it moves a lead there."""
    stages = [
        _told(rules, target)
        for rules, target in zip(
            (step.before, step.after), step.row["target"].tolist(), strict=True
        )
    ]
    if stages[0] == stages[1] or not any(stage and stage[0] == track for stage in stages):
        return None
    for told in stages:
        if told is None or told[1] is None:
            continue
        both = [
            found and named(found.stages, told[1])
            for found in (named(rules.tracks, told[0]) for rules in (step.before, step.after))
        ]
        key = f"track.{told[0]}.stage.{told[1]}"
        if None in both:
            return key
        for part, field in (("aliases", "aliases"), ("label", "label")):
            if getattr(both[0], field) != getattr(both[1], field):
                return f"{key}.{part}"
    return f"track.{track}"


def _told(rules: RuleSet, target: int) -> tuple[str, str | None] | None:
    """Track and stage that a target means; no stage where the track does not know it."""
    if target < 0:
        return None
    track = rules.tracks[target >> 5]
    stage = target & UNKNOWN_STAGE
    return track.name, None if stage == UNKNOWN_STAGE else track.stages[stage].name
