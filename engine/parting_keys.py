"""The rule responsible where two folds part, named by its key.

What has no name (earning rules, moves) is numbered from 1 as it stands in the first
rule set, or in the second where that alone has it.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from engine.book import Era
from engine.fold_apart import BY_TIMER, CAPPED, CLAMPED, CLOCK, DUE, FADED, SCORE, STAGE, STARTED
from engine.folded import CANCELLED, OPEN
from engine.parting_moves import Step, stage_key
from engine.ruleset import Clock, Earn, RuleSet, Score, Segment, Trigger
from engine.shared_names import Shared, meaning, named

BOOK = "rule_book"  # no rule differs: a boundary between two rule sets of one book did it


class Cause(NamedTuple):
    """What parted two folds."""

    key: str
    track: str | None = None  # of the timed move, where one did it
    timer: str | None = None  # after_silence and the like
    move: int | None = None  # from 1
    side: int | None = None  # the fold in which it came


def cause_of(row: np.void, eras: tuple[Sequence[Era], Sequence[Era]], shared: Shared) -> Cause:
    """What parted two folds, of a PARTED record."""
    before, after = (own[at].rules for own, at in zip(eras, row["era"].tolist(), strict=True))
    key = _key(row, before, after, shared)
    if key is None:
        key = BOOK if max(map(len, eras)) > 1 else _whole(row, shared)
    if row["by"] != BY_TIMER:
        return Cause(key)
    side, number = int(row["side"]), int(row["move"])
    track = (before, after)[side].tracks[int(row["track"])]
    timer = track.moves[number - 1].timer
    return Cause(key, track.name, timer.kind if timer else None, number, side)


def _key(row: np.void, before: RuleSet, after: RuleSet, shared: Shared) -> str | None:
    """The key of the rule responsible; None where all that acted are alike."""
    step, number = Step(row, before, after), int(row["name"])
    if row["what"] == SCORE:
        return _score_key(step, shared.scores[number])
    if row["what"] == STAGE:
        return stage_key(step, shared.tracks[number])
    if row["what"] == CLOCK:
        return _clock_key(step, shared.clocks[number])
    return _segment_key(step, shared.asked[number])


def _whole(row: np.void, shared: Shared) -> str:
    """What differs, by its own key."""
    kinds = (
        ("score", shared.scores),
        ("track", shared.tracks),
        ("clock", shared.clocks),
        ("segment", shared.asked),
    )
    kind, names = kinds[int(row["what"]) - SCORE]
    return f"{kind}.{names[int(row['name'])]}"


def _score_key(step: Step, name: str) -> str | None:
    one, other = named(step.before.scores, name), named(step.after.scores, name)
    if one is None or other is None:
        return None
    how = int(step.row["how"])
    if how == FADED:
        return f"score.{name}.half_life" if one.half_life_us != other.half_life_us else None
    if how == CLAMPED:
        bound = "cap" if CAPPED in step.did else "floor"
        return f"score.{name}.{bound}"
    return _earning_key(step, one, other)


def _earning_key(step: Step, one: Score, other: Score) -> str | None:
    """Of what was earned in one of the two alone, the first: its rule, or a part of it."""
    mine, theirs = _granted(step, 0, one), _granted(step, 1, other)
    _cancel(mine, theirs, lambda earn: earn)
    _cancel(mine, theirs, lambda earn: (earn.signal, earn.points))
    gave, earn = (one, mine[0]) if mine else (other, theirs[0])
    lacked = other if mine else one
    if unlike := step.unlike([earn.signal]):
        return unlike
    alike = [twin for twin in lacked.earns if twin.signal == earn.signal]
    if not alike:
        return f"score.{one.name}.earn[{gave.earns.index(earn) + 1}]"
    twin = min(alike, key=lambda twin: (twin.points != earn.points, twin not in (*mine, *theirs)))
    number = one.earns.index(earn if mine else twin) + 1
    for part in ("points", "at_most", "every_us"):
        if getattr(twin, part) != getattr(earn, part):
            return f"score.{one.name}.earn[{number}].{part.removesuffix('_us')}"
    return step.redefined([earn.signal])


def _cancel(mine: list[Earn], theirs: list[Earn], what: Callable[[Earn], object]) -> None:
    """Leave out what was earned alike in both."""
    for earn in [*mine]:
        twin = next((twin for twin in theirs if what(twin) == what(earn)), None)
        if twin is not None:
            mine.remove(earn)
            theirs.remove(twin)


def _granted(step: Step, side: int, score: Score) -> list[Earn]:
    """The earning rules of a score that gave something."""
    scores = (step.before, step.after)[side].scores
    first = sum(len(earlier.earns) for earlier in scores[: scores.index(score)])
    return [earn for at, earn in enumerate(score.earns) if step.did[side] >> (first + at) & 1]


def _clock_key(step: Step, name: str) -> str | None:
    one, other = named(step.before.clocks, name), named(step.after.clocks, name)
    if one is None or other is None:
        return None
    if step.row["how"] == DUE:
        return _due_key(step, one, other)
    part = "start"
    if step.row["how"] != STARTED:
        part = "cancel" if CANCELLED in step.did and OPEN in step.did else "stop"
    triggers: tuple[Trigger | None, Trigger | None] = getattr(one, part), getattr(other, part)
    if triggers[0] != triggers[1]:
        return f"clock.{name}.{part}"
    signals = [trigger.signal for trigger in triggers if trigger and trigger.signal]
    return step.unlike(signals) or step.redefined(signals)


def _due_key(step: Step, one: Clock, other: Clock) -> str | None:
    for part in ("within_us", "calendar"):
        if getattr(one, part) != getattr(other, part):
            return f"clock.{one.name}.{part.removesuffix('_us')}"
    calendars = [named(rules.calendars, one.calendar or "") for rules in (step.before, step.after)]
    for part in ("zone", "hours", "holidays"):
        if len({repr(getattr(calendar, part, None)) for calendar in calendars}) > 1:
            return f"calendar.{one.calendar}.{part}"
    return None


def _segment_key(step: Step, name: str) -> str | None:
    one, other = named(step.before.segments, name), named(step.after.segments, name)
    assert one is not None
    if other is None or meaning(one) != meaning(other):
        return f"segment.{name}.where"
    asked = (*one.seen, *one.not_seen)
    return step.unlike(asked, "seen") or step.redefined(asked) or _value_key(step, one)


def _value_key(step: Step, segment: Segment) -> str | None:
    if segment.value_minor is None or step.before.value is None:
        return "value"
    if step.before.value != step.after.value:
        return "value"
    return step.redefined([step.before.value])
