"""The decayed score and the stage of every lead, in SQL: ClickHouse under the same rules.

The SQL is made from the rule set: its signals, its scores with limits and bounds, and its
first track with silences, once and for all leads; no second score or track is told, no visit,
clock, segment or funnel, and nothing is compared. ClickHouse gets a table of its own, made
before it is timed, in the order of the fold and with a column for each attribute that the
rules ask about, so that it need not join. The engine must come to the same for every lead.
"""

import time
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from engine.book import Book
from engine.decay import TICKS_PER_HALF_LIFE, scores_at, tick_us
from engine.fold_eras import fold_all
from engine.history import BOOLEAN, DOUBLE, LONG, STRING, Histories, ranges
from engine.journal.files import write_frame
from engine.journal.journal import Journal, columns_folded
from engine.rulefile import load, shipped
from engine.ruleset import Condition, Earn, Move, RuleSet, Score, Signal, Track
from engine.signals import PREFIX, TEXT_FIELDS, fields_of
from engine.touchpoint import Scalar

NEVER = -(10**17)
ABSENT = -(2**63)
TAG_BITS = 3  # a value is its number, and behind it what it is: a text, a number or a flag
CLOSE = 100  # micro-points: the engine rounds at each touchpoint, ClickHouse counts in floats


class Answer(NamedTuple):
    """What a query came to."""

    seconds: float
    leads: int
    differing: int  # from what the engine says, in score or stage


def asked(folder: Path, place: Path, as_of: int) -> Answer:
    """Write the table, time the query on all cores, and look whether it says what the engine does.

    Args:
        folder: Of the journal.
        place: An empty folder, for the table.
        as_of: Microseconds, UTC.
    """
    chdb: Any = import_module("chdb")  # typed in part, and not always there
    journal, rules = Journal.open(folder), load(shipped()["default"])
    for bucket in journal.buckets:
        histories = journal.read(bucket, columns_folded([rules]))
        write_frame(place, f"{bucket}.parquet", _table(histories, rules))
    sql = _Query(journal, rules).text(f"{place}/*.parquet", as_of)
    chdb.query("SELECT 1", "Arrow")  # what loads once
    begun = time.perf_counter()
    told = chdb.query(sql, "Arrow")
    seconds = time.perf_counter() - begun
    return Answer(seconds, *_compared(journal, rules, as_of, told.bytes()))


def _table(histories: Histories, rules: RuleSet) -> pl.DataFrame:
    """A row for each touchpoint: lead, place in happening order, instant, and what rules ask."""
    touches = histories.touches
    counts = touches["attributes"].astype(np.int64)
    held = histories.attributes[ranges(histories.attribute_at, counts)]
    of_touch = np.repeat(np.arange(len(touches)), counts)
    columns = {
        "lead": np.repeat(histories.numbers, np.diff(histories.starts)),
        "place": np.arange(len(touches)),
        "at": np.ascontiguousarray(touches["occurred_at"]),
    }
    for field in fields_of(rules):
        if field in TEXT_FIELDS:
            columns[_column(field)] = np.ascontiguousarray(touches[TEXT_FIELDS[field]])
            continue
        assert field.startswith(PREFIX), f"{field} is not said in SQL yet"
        (name,) = histories.strings.ids([field.removeprefix(PREFIX)])
        rows = np.flatnonzero(held["name"] == (name or -1))
        assert DOUBLE not in held["tag"][rows], f"{field} has numbers with a point"
        column = columns[_column(field)] = np.full(len(touches), ABSENT)
        bits = held["bits"][rows]
        assert np.all(np.abs(bits) < 1 << (62 - TAG_BITS)), f"{field} has too large a number"
        column[of_touch[rows]] = bits << TAG_BITS | held["tag"][rows]
    return pl.DataFrame(columns)


def _column(field: str) -> str:
    return field.replace(".", "_")


class _Query:
    """A step takes what is carried (a) and a touchpoint (x: instant, signals, place) on."""

    def __init__(self, journal: Journal, rules: RuleSet) -> None:
        self._strings, self._rules = journal.strings, rules
        self._texts = f"file('{journal.folder / journal.manifest.strings.name}')"
        self._bits = {signal.name: 1 << at for at, signal in enumerate(rules.signals)}
        self._carried: dict[str, tuple[str, str]] = {}  # by name: at first, and the next

    def text(self, files: str, as_of: int) -> str:
        """Lead, micro-points of the first score, and index of the stage or -1."""
        rules, track = self._rules, self._rules.tracks[0]
        self._carry("at", "toInt64(0)", "x.1")
        for place, score in enumerate(rules.scores):
            self._carry_windows(place, score)
            self._carry(f"score{place}", "0.", self._score(place, score))
        self._carry("seen", "toInt64(0)", f"bitOr({self._had('seen')}, x.2)")
        self._carry_stage(track)
        first, step = (", ".join(one[at] for one in self._carried.values()) for at in (0, 1))
        for at, name in enumerate(self._carried, 1):
            step = step.replace(self._had(name), f"a.{at}")
        ends = {name: f"carried.{at}" for at, name in enumerate(self._carried, 1)}
        points = f"{ends['score0']} * {_faded(ends['at'], str(as_of), rules.scores[0])}"
        stage = self._after_silence(track, ends, str(as_of + 1))
        signals = " + ".join(self._signal(signal) for signal in rules.signals)
        touch = f"(assumeNotNull(at), toInt64({signals}), assumeNotNull(place))"
        ordered = f"arraySort(x -> x.3, groupArray({touch}))"
        return (
            f"SELECT lead, {points}, {stage} FROM (SELECT assumeNotNull(lead) AS lead, "
            f"arrayFold((a, x) -> ({step}), {ordered}, ({first})) AS carried "
            f"FROM file('{files}') GROUP BY lead) ORDER BY lead"
        )

    def _carry(self, name: str, first: str, following: str) -> None:
        self._carried[name] = first, following

    def _had(self, name: str) -> str:
        """What was carried to the touchpoint: a place that is numbered once all are known."""
        return f"{{{name}}}"

    def _signal(self, signal: Signal) -> str:
        groups = [" AND ".join(map(self._condition, group)) for group in signal.any]
        parts = [*map(self._condition, signal.conditions)]
        parts += [" OR ".join(f"({group})" for group in groups)] if groups else []
        held = " AND ".join(f"({part})" for part in parts)
        return f"if({held}, {self._bits[signal.name]}, 0)"

    def _condition(self, condition: Condition) -> str:
        column, said = f"assumeNotNull({_column(condition.field)})", []
        for name, operand in condition.operators.items():
            if name in ("is", "in"):
                said.append(f"{column} IN ({self._values(condition.field, operand)})")
            elif name == "not":
                said.append(f"{column} NOT IN ({self._values(condition.field, operand)})")
            else:
                assert condition.field.startswith(PREFIX), (
                    f"{name} of a text is not said in SQL yet"
                )
                said.append(self._of_attribute(column, name, operand))
        return " AND ".join(said)

    def _of_attribute(self, column: str, name: str, operand: Any) -> str:
        if name == "exists":
            return f"{column} {'!=' if operand else '='} {ABSENT}"
        if name == "at_least":
            assert isinstance(operand, int), f"at_least {operand} is not said in SQL yet"
            tag = f"bitAnd({column}, {(1 << TAG_BITS) - 1})"
            return f"{column} >= {operand << TAG_BITS} AND {tag} = {LONG}"
        assert name == "matches", f"{name} is not said in SQL yet"
        texts = f"SELECT bitShiftLeft(id, {TAG_BITS}) + {STRING} FROM {self._texts}"
        return f"{column} IN ({texts} WHERE match(text, '{operand}'))"

    def _values(self, field: str, operand: Any) -> str:
        values: Iterable[Scalar] = operand
        return ", ".join(str(self._value(field, value)) for value in values)

    def _value(self, field: str, value: Scalar) -> int:
        if isinstance(value, bool):
            return int(value) << TAG_BITS | BOOLEAN
        assert isinstance(value, str), f"{value} is not said in SQL yet"
        number = self._strings.ids([value])[0] or -1
        return number if field in TEXT_FIELDS else number << TAG_BITS | STRING

    def _carries(self, names: Iterable[str], signals: str = "x.2") -> str:
        return f"bitAnd({signals}, {sum(self._bits[name] for name in names)}) > 0"

    def _carry_windows(self, place: int, score: Score) -> None:
        for at, earn in enumerate(score.earns):
            if earn.at_most is None:
                continue
            since, used = f"since{place}_{at}", f"used{place}_{at}"
            matched, opens = self._carries([earn.signal]), self._opens(since, earn)
            if earn.every_us:
                following = f"if({matched} AND {opens}, x.1, {self._had(since)})"
                self._carry(since, f"toInt64({NEVER})", following)
            count = f"if({opens}, 1, {self._had(used)} + 1)"
            self._carry(used, "toInt64(0)", f"if({matched}, {count}, {self._had(used)})")

    def _opens(self, since: str, earn: Earn) -> str:
        return f"x.1 >= {self._had(since)} + {earn.every_us}" if earn.every_us else "false"

    def _score(self, place: int, score: Score) -> str:
        sums = [f"{self._had(f'score{place}')} * {_faded(self._had('at'), 'x.1', score)}"]
        for at, earn in enumerate(score.earns):
            gets = self._carries([earn.signal])
            if earn.at_most is not None:
                gets += f" AND {self._following(f'used{place}_{at}')} <= {earn.at_most}"
            sums.append(f"if({gets}, {earn.points}, 0)")
        return f"least({score.cap}., greatest({score.floor}., {' + '.join(sums)}))"

    def _following(self, name: str) -> str:
        return self._carried[name][1]

    def _carry_stage(self, track: Track) -> None:
        had = {name: self._had(name) for name in ("stage", "entered", "heard")}
        stood = self._after_silence(track, had, "x.1")
        moves = ", ".join(self._move(track, move, stood) for move in track.moves if move.when)
        goes = f"multiIf({moves}, {stood})"
        self._carry("stage", "toInt64(-1)", goes)
        self._carry("entered", "toInt64(0)", f"if({goes} != {stood}, x.1, {had['entered']})")
        heard = self._carries([_silence(track).of])
        self._carry("heard", f"toInt64({NEVER})", f"if({heard}, x.1, {had['heard']})")

    def _after_silence(self, track: Track, had: dict[str, str], until: str) -> str:
        """The stage that is left of one, timed moves before an instant applied."""
        silence = _silence(track)
        due = f"greatest({had['entered']}, {had['heard']}) + {silence.after_us}"
        fell = f"{had['stage']} IN ({silence.sources}) AND {due} < {until}"
        return f"if({fell}, {silence.to}, {had['stage']})"

    def _move(self, track: Track, move: Move, stood: str) -> str:
        when = move.when
        assert when
        assert (when.count, when.stage, when.below) == (None, (), None), "not said in SQL yet"
        (to,), sources = _places(track, [move.to]), _places(track, move.sources)
        held = [f"{stood} IN ({', '.join(str(one) for one in sources if one != to)})"]
        held += [self._carries(when.signal)] if when.signal else []
        held += [self._carries([name], self._following("seen")) for name in when.seen]
        held += [f"NOT {self._carries([name], self._following('seen'))}" for name in when.not_seen]
        if when.score:
            place = [score.name for score in self._rules.scores].index(when.score)
            held.append(f"{self._following(f'score{place}')} >= {(when.at_least or 0) - 0.5}")
        return f"{' AND '.join(held)}, toInt64({to})"


class _Silence(NamedTuple):
    """The timed move of a track, places told as numbers."""

    sources: str
    to: int
    after_us: int
    of: str


def _silence(track: Track) -> _Silence:
    """The one timed move that there is; others are not said in SQL yet."""
    ((move, timer),) = ((move, move.timer) for move in track.moves if move.timer)
    sources, (to,) = _places(track, move.sources), _places(track, [move.to])
    assert timer.of, f"{timer.kind} of whatever happens is not said in SQL yet"
    assert to not in sources, "a timed move that begins where it ends is not said in SQL yet"
    return _Silence(", ".join(map(str, sources)), to, timer.duration_us or 0, timer.of)


def _places(track: Track, names: Iterable[str]) -> list[int]:
    known = {"none": -1} | {stage.name: at for at, stage in enumerate(track.stages)}
    return sorted(known.values()) if "*" in names else [known[name] for name in names]


def _faded(since: str, until: str, score: Score) -> str:
    """What is left of a point: counted in whole ticks, as the engine does."""
    tick = tick_us(score)
    if not tick:
        return "1"
    return f"exp2((intDiv({since}, {tick}) - intDiv({until}, {tick})) / {TICKS_PER_HALF_LIFE})"


def _compared(journal: Journal, rules: RuleSet, as_of: int, arrow: bytes) -> tuple[int, int]:
    """How many leads there are, and for how many the engine says something else."""
    rows = pl.read_ipc(arrow)
    lead, points, stage = (rows[name].to_numpy() for name in rows.columns)
    differing = 0
    for bucket in journal.buckets:
        histories = journal.read(bucket, columns_folded([rules]))
        states = fold_all(histories, Book.always(rules).eras, as_of).states
        scores = scores_at(states["scores"], states["last_at"], rules, as_of)[:, 0]
        at = np.searchsorted(lead, histories.numbers)
        off = np.abs(points[at] - scores) > CLOSE
        differing += int((off | (stage[at] != states["stage"][:, 0])).sum())
    return len(lead), differing
