"""Reading scores and tracks: what touchpoints are worth, and where they take a lead."""

import functools
import itertools
from typing import Literal, cast

from engine.rulelang import references, values
from engine.rulelang.reader import Node, Table, shown, some, table, tables
from engine.ruleset import Count, Earn, Move, Score, Stage, Timer, Track, When

TIMERS = ("after_silence", "after_stay", "below_score")
MAX_STAGES, MAX_MOVES = 16, 64


def read_score(opened: Table) -> Score:
    """A score and its earning rules."""
    score = Score(
        name=opened.need("name", values.name, ""),
        label=opened.take("label", values.label, {}),
        half_life_us=opened.take("half_life", values.half_life, None),
        floor=opened.take("floor", values.points, -values.MAX_MICRO_POINTS),
        cap=opened.take("cap", values.points, values.MAX_MICRO_POINTS),
        earns=opened.take("earn", tables(_read_earn), ()),
    )
    if score.floor > 0:
        opened.fault("must not be above 0, where a score starts", "floor")
    if score.cap < 0:
        opened.fault("must not be below 0, where a score starts", "cap")
    return score


def _read_earn(opened: Table) -> Earn:
    opened.only_with("every", "at_most")
    return Earn(
        signal=opened.need("signal", references.signal, ""),
        points=opened.need("points", values.points, 0),
        at_most=opened.take("at_most", values.count, None),
        every_us=opened.take("every", values.duration, None),
    )


def read_track(opened: Table) -> Track:
    """A track: its stages, then its moves, which go between them."""
    stages = opened.need("stage", tables(_read_stage, MAX_STAGES), ())
    read_move = functools.partial(_read_move, _Lane(opened, stages))
    return Track(
        name=opened.need("name", values.name, ""),
        label=opened.take("label", values.label, {}),
        stages=stages,
        moves=opened.take("move", tables(read_move, MAX_MOVES), ()),
    )


def _read_stage(opened: Table) -> Stage:
    stage = Stage(
        name=opened.need("name", values.name, ""),
        label=opened.take("label", values.label, {}),
        aliases=opened.take("aliases", some(values.text), ()),
        kind=cast(Literal["open"], opened.take("kind", _KIND, "open")),
        probability=opened.take("probability", values.probability, None),
        time_limit_us=opened.take("time_limit", values.duration, None),
    )
    if stage.name == "none":
        opened.fault("no stage may be called none: that word means no stage yet", "name")
    return stage


_KIND = values.choice("open", "won", "lost", "parked")


class _Lane:
    """What the moves of a track are read against: its stages, and how many tracks come before."""

    def __init__(self, track: Table, stages: tuple[Stage, ...]) -> None:
        self.stages = stages
        self.tracks_before = cast(int, track.node.path[-1])
        self.names = track.node.reading.names.tracks[self.tracks_before][1]

    def left(self, node: Node) -> str:
        """What a move at a touchpoint may leave."""
        return references.stage_of(self.names, "none", "*")(node)

    def left_by_timer(self, node: Node) -> str:
        """What a timed move may leave: a stage by its name."""
        if node.data in ("none", "*"):
            raise node.wrong(f"a timed move leaves stages by name, not {shown(node.data)}")
        return references.stage_of(self.names)(node)

    def sources_by_default(self, to: str) -> tuple[str, ...]:
        """None, and the open stages listed before the one that a move goes to."""
        before = itertools.takewhile(lambda stage: stage.name != to, self.stages)
        return ("none", *(stage.name for stage in before if stage.kind == "open"))


def _read_move(lane: _Lane, opened: Table) -> Move:
    to = opened.need("to", references.stage_of(lane.names), "")
    timer = _read_timer(opened)
    when = table(functools.partial(_read_when, lane.tracks_before))
    move = Move(
        to=to,
        sources=opened.take(
            "from",
            some(lane.left_by_timer if timer else lane.left),
            lane.sources_by_default(to),
        ),
        when=opened.take("when", when, None),
        timer=timer,
    )
    _check_move(opened, move)
    return move


def _check_move(opened: Table, move: Move) -> None:
    timers = [key for key in TIMERS if key in opened]
    if len(timers) > 1:
        opened.fault(f"a timed move has one of {', '.join(TIMERS)}, this has {len(timers)}")
    if timers and "when" in opened:
        opened.fault(f"a move has either `when` or `{timers[0]}`", "when")
    if not timers and "when" not in opened:
        opened.fault(f"says not when: it needs `when` or one of {', '.join(TIMERS)}")
    if timers and "from" not in opened:
        opened.fault("is missing: a timed move names the stages that it leaves", "from")
    elif timers and move.to in move.sources:
        opened.fault(f"a timed move cannot leave the stage it goes to, {shown(move.to)}", "from")


def _read_timer(opened: Table) -> Timer | None:
    opened.only_with("of", "after_silence")
    of = opened.take("of", references.signal, None)
    silence = opened.take("after_silence", values.duration, None)
    stay = opened.take("after_stay", values.duration, None)
    below = opened.take("below_score", table(_read_below), None)
    if "after_silence" in opened:
        return Timer("after_silence", duration_us=silence, of=of)
    if "after_stay" in opened:
        return Timer("after_stay", duration_us=stay)
    return below or (Timer("below_score") if "below_score" in opened else None)


def _read_below(opened: Table) -> Timer:
    return Timer(
        "below_score",
        score=opened.need("score", references.score, None),
        below=opened.need("below", values.points, None),
    )


def _read_when(tracks_before: int, opened: Table) -> When:
    score, at_least, below = references.bounds(opened)
    return When(
        signal=opened.take("signal", some(references.signal), ()),
        seen=opened.take("seen", some(references.signal), ()),
        not_seen=opened.take("not_seen", some(references.signal), ()),
        score=score,
        at_least=at_least,
        below=below,
        count=opened.take("count", table(_read_count), None),
        stage=opened.take("stage", some(references.earlier_place(tracks_before)), ()),
    )


def _read_count(opened: Table) -> Count:
    return Count(
        signal=opened.need("signal", references.signal, ""),
        at_least=opened.need("at_least", values.count, 1),
        within_us=opened.take("within", values.duration, None),
    )
