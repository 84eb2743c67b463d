"""Rule sets as arrays: what the compiled fold reads. Names become indexes, sets become bits.

Bit 16 of a set of stages stands for "in none". Numbers that are not set are
`NONE`; durations that are not set are 0.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.calendars import open_spans
from engine.decay import FACTORS, TICKS_PER_HALF_LIFE, tick_us
from engine.folded import MAX_SCORES, MAX_TRACKS
from engine.ruleset import Move, RuleSet, Track, Trigger, When, kept

NONE = -1
NO_STAGE = 16  # the bit, and the most stages that a track has
UNBOUNDED = 10**15  # micro-points, beyond every score
AFTER_SILENCE, AFTER_STAY, BELOW_SCORE = 0, 1, 2
TIMER_KINDS = ("after_silence", "after_stay", "below_score")

MAX_MOVES = MAX_TRACKS * 64
MAX_EARNS = MAX_SIGNALS = 64
MAX_CLOCKS = 16


_FROM = ("moves", "signals", "bare")


def _fields(size: int, *names: str) -> list[tuple[str, str, tuple[int]]]:
    return [(name, "<i8", (size,)) for name in names]


# One record, so that compiled code is handed one pointer. Fields named x_start and
# x_end are ranges of indexes into the fields of x.
RULES = np.dtype(
    [
        *((f"{what}_count", "<i8") for what in ("score", "track", "clock", "counted", "ringed")),
        *((f"{what}_count", "<i8") for what in ("earn", "timer")),
        ("timers_wait", "<i8"),  # whether touchpoints only ever put off what is due: no score's
        ("value_signal", "<i8"),  # bits, like every set of signals
        ("clock_signals", "<i8"),  # all that start, stop or cancel a clock
        ("clock_stages", "<i8", (MAX_TRACKS,)),  # by track: those that do, as bits
        *_fields(MAX_SCORES, "tick_us", "floor", "cap", "earn_start", "earn_end", "earn_signals"),
        *_fields(MAX_EARNS, "earn_signal", "earn_points", "earn_at_most", "earn_every_us"),
        *_fields(MAX_TRACKS, "move_start", "move_end", "timer_start", "timer_end", "open_stages"),
        # by track and stage: its moves from there to elsewhere, as bits; what these ask for, and
        # whether there is one that asks for no signal
        *((f"from_{what}", "<i8", (MAX_TRACKS, NO_STAGE + 1)) for what in _FROM),
        *_fields(MAX_MOVES, "move_to", "move_signal", "move_seen"),
        *_fields(MAX_MOVES, "move_not_seen", "move_score", "move_at_least", "move_below"),
        *_fields(MAX_MOVES, "move_count", "move_count_least", "move_within_us", "move_ring"),
        *_fields(MAX_MOVES, "move_asks_stage"),
        ("move_stage", "<i8", (MAX_MOVES, MAX_TRACKS)),
        *_fields(MAX_MOVES, "timer_move", "timer_to", "timer_sources", "timer_kind"),
        *_fields(MAX_MOVES, "timer_us", "timer_signal", "timer_score", "timer_below"),
        *_fields(MAX_SIGNALS, "counted"),  # signals whose counts or last times are asked for
        *_fields(MAX_SIGNALS, "ringed"),  # moves with a windowed count
        *_fields(MAX_CLOCKS, "start_signal", "start_track", "start_stage"),
        *_fields(MAX_CLOCKS, "stop_signal", "stop_track", "stop_stage"),
        *_fields(MAX_CLOCKS, "cancel_signal", "cancel_track", "cancel_stage"),
        *_fields(MAX_CLOCKS, "within_us", "span_start", "span_end"),
        ("factors", "<i8", (TICKS_PER_HALF_LIFE,)),
    ]
)


class RuleTables(NamedTuple):
    """One rule set as arrays."""

    rules: NDArray[np.void]  # RULES, one record
    opens: NDArray[np.int64]  # starts of the open spans of all calendars
    passed: NDArray[np.int64]  # open time of the calendar before each span
    closes: NDArray[np.int64]


def bits(indexes: Iterable[int]) -> int:
    """A set of indexes 0 to 63 as the bits of a signed 64-bit integer."""
    value = sum(1 << index for index in set(indexes))
    return value - (1 << 64) if value >> 63 else value


@kept
def tables_of(rules: RuleSet) -> RuleTables:
    """The arrays of a rule set, made once for each of the last few."""
    names = _Names(rules)
    spans = _spans(rules)
    tables = np.zeros(1, RULES)
    record = tables[0]
    record["factors"] = FACTORS
    record["value_signal"] = bits(names.signals(rules.value))
    _fill_scores(record, rules, names)
    _fill_tracks(record, rules, names)
    _fill_clocks(record, rules, names, spans.bounds)
    return RuleTables(tables, spans.opens, spans.passed, spans.closes)


class _Names:
    """Indexes of a rule set's names."""

    def __init__(self, rules: RuleSet) -> None:
        self._signal = {signal.name: i for i, signal in enumerate(rules.signals)}
        self._score = {score.name: i for i, score in enumerate(rules.scores)}
        self._track = {track.name: i for i, track in enumerate(rules.tracks)}
        self._stages = [
            {"none": NO_STAGE, **{stage.name: i for i, stage in enumerate(track.stages)}}
            for track in rules.tracks
        ]

    def signals(self, *names: str | None) -> list[int]:
        return [self._signal[name] for name in names if name is not None]

    def score(self, name: str | None) -> int:
        return NONE if name is None else self._score[name]

    def stage(self, dotted: str) -> tuple[int, int]:
        track, _, stage = dotted.partition(".")
        index = self._track[track]
        return index, self._stages[index][stage]

    def stage_sets(self, dotted: Iterable[str]) -> list[int]:
        """Per track, the stages named, as bits."""
        sets = [0] * MAX_TRACKS
        for name in dotted:
            track, stage = self.stage(name)
            sets[track] |= 1 << stage
        return sets

    def sources(self, track: int, move: Move) -> set[int]:
        stages = self._stages[track]
        return {stages[name] for name in (stages if "*" in move.sources else move.sources)}

    def to(self, track: int, move: Move) -> int:
        return self._stages[track][move.to]


def _fill(record: np.void, prefix: str, index: int, values: Mapping[str, object]) -> None:
    for name, value in values.items():
        record[prefix + name][index] = value


def _fill_scores(record: np.void, rules: RuleSet, names: _Names) -> None:
    record["score_count"] = len(rules.scores)
    start = 0
    for index, score in enumerate(rules.scores):
        record["tick_us"][index] = tick_us(score)
        record["floor"][index], record["cap"][index] = score.floor, score.cap
        record["earn_start"][index], record["earn_end"][index] = start, start + len(score.earns)
        for number, earn in enumerate(score.earns, start):
            at_most = NONE if earn.at_most is None else earn.at_most
            signal = bits(names.signals(earn.signal))
            values = {"signal": signal, "points": earn.points, "at_most": at_most}
            _fill(record, "earn_", number, {**values, "every_us": earn.every_us or 0})
        record["earn_signals"][index] = bits(names.signals(*(earn.signal for earn in score.earns)))
        start += len(score.earns)
    record["earn_count"] = start


def _fill_tracks(record: np.void, rules: RuleSet, names: _Names) -> None:
    record["track_count"] = len(rules.tracks)
    moves = timers = ring = 0
    for index, track in enumerate(rules.tracks):
        record["open_stages"][index] = _open_stages(track)
        record["move_start"][index], record["timer_start"][index] = moves, timers
        for number, move in enumerate(track.moves, start=1):
            to, sources = names.to(index, move), names.sources(index, move)
            if move.when is not None:
                values = {"to": to, **_when(move.when, names, ring)}
                _fill(record, "move_", moves, values)
                _fill_from(record, index, moves, sources)
                ring += _ring_of(move.when)
                moves += 1
            else:
                values = {"move": number, "to": to, "sources": bits(sources)}
                _fill(record, "timer_", timers, {**values, **_timer(move, names)})
                timers += 1
        record["move_end"][index], record["timer_end"][index] = moves, timers
    record["timer_count"] = timers
    record["timers_wait"] = BELOW_SCORE not in record["timer_kind"][:timers]
    _fill_remembered(record, moves, timers)


def _fill_from(record: np.void, track: int, move: int, sources: set[int]) -> None:
    """Note a move at each stage that it may be taken from."""
    signal, number = record["move_signal"][move], move - record["move_start"][track]
    for stage in sources - {record["move_to"][move]}:
        record["from_moves"][track, stage] |= np.int64(bits([number]))
        record["from_signals"][track, stage] |= signal
        record["from_bare"][track, stage] |= signal == 0


def _open_stages(track: Track) -> int:
    return bits(i for i, stage in enumerate(track.stages) if stage.kind == "open")


def _fill_remembered(record: np.void, moves: int, timers: int) -> None:
    asked = {*record["move_count"][:moves].tolist(), *record["timer_signal"][:timers].tolist()}
    counted = sorted(asked - {NONE})
    ringed = np.flatnonzero(record["move_within_us"][:moves])
    record["counted_count"], record["ringed_count"] = len(counted), len(ringed)
    record["counted"][: len(counted)] = counted
    record["ringed"][: len(ringed)] = ringed


def _ring_of(when: When) -> int:
    return when.count.at_least if when.count and when.count.within_us else 0


def _when(when: When, names: _Names, ring: int) -> dict[str, object]:
    count = when.count
    return {
        "signal": bits(names.signals(*when.signal)),
        "seen": bits(names.signals(*when.seen)),
        "not_seen": bits(names.signals(*when.not_seen)),
        "score": names.score(when.score),
        "at_least": -UNBOUNDED if when.at_least is None else when.at_least,
        "below": UNBOUNDED if when.below is None else when.below,
        "count": NONE if count is None else names.signals(count.signal)[0],
        "count_least": 0 if count is None else count.at_least,
        "within_us": 0 if count is None else count.within_us or 0,
        "ring": ring,
        "asks_stage": int(bool(when.stage)),
        "stage": names.stage_sets(when.stage),
    }


def _timer(move: Move, names: _Names) -> dict[str, object]:
    timer = move.timer
    assert timer is not None
    return {
        "kind": TIMER_KINDS.index(timer.kind),
        "us": timer.duration_us or 0,
        "signal": NONE if timer.of is None else names.signals(timer.of)[0],
        "score": names.score(timer.score),
        "below": UNBOUNDED if timer.below is None else timer.below,
    }


def _fill_clocks(
    record: np.void, rules: RuleSet, names: _Names, bounds: dict[str, tuple[int, int]]
) -> None:
    record["clock_count"] = len(rules.clocks)
    signals, stages = [], []
    for index, clock in enumerate(rules.clocks):
        for part, trigger in (
            ("start", clock.start),
            ("stop", clock.stop),
            ("cancel", clock.cancel),
        ):
            _fill(record, f"{part}_", index, _trigger(trigger, names))
            signals += names.signals(trigger.signal if trigger else None)
            stages += [trigger.enters] if trigger and trigger.enters else []
        record["within_us"][index] = clock.within_us
        start, end = bounds.get(clock.calendar or "", (NONE, NONE))
        record["span_start"][index], record["span_end"][index] = start, end
    record["clock_signals"], record["clock_stages"] = bits(signals), names.stage_sets(stages)


def _trigger(trigger: Trigger | None, names: _Names) -> dict[str, object]:
    if trigger is None:
        return {"signal": 0, "track": NONE, "stage": NONE}
    if trigger.enters is not None:
        track, stage = names.stage(trigger.enters)
        return {"signal": 0, "track": track, "stage": stage}
    return {"signal": bits(names.signals(trigger.signal)), "track": NONE, "stage": NONE}


class _Spans(NamedTuple):
    opens: NDArray[np.int64]
    passed: NDArray[np.int64]
    closes: NDArray[np.int64]
    bounds: dict[str, tuple[int, int]]  # by calendar: its spans


def _spans(rules: RuleSet) -> _Spans:
    empty = np.zeros(0, dtype=np.int64)
    opens, passed, closes = [empty], [empty], [empty]
    bounds, start = {}, 0
    for calendar in rules.calendars:
        first, last = open_spans(calendar)
        length = last - first
        opens.append(first)
        closes.append(last)
        passed.append(np.cumsum(length) - length)
        bounds[calendar.name] = (start, start + len(first))
        start += len(first)
    return _Spans(np.concatenate(opens), np.concatenate(passed), np.concatenate(closes), bounds)
