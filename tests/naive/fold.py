"""The fold: one lead's touchpoints, in happening order, to its state at an instant."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.naive.book import Book
from tests.naive.calendars import due_instant
from tests.naive.decay import decayed, first_tick_below, tick
from tests.naive.rules import Clock, Move, Rules, Score, Track, bounds, names, span
from tests.naive.touchpoints import Touch



@dataclass
class Visit:
    """A stay in a stage; what caused it is a touchpoint or a timed move."""

    track: str
    stage: str
    visit: int
    entered: int
    cause: Touch | Move
    direction: str
    skipped: int
    left: int | None = None


@dataclass
class Run:
    """One run of a clock; `end` is stop or cancel."""

    clock: str
    started: int
    due: int
    ended: int | None = None
    end: str | None = None

    def state(self, at: int) -> str:
        if self.ended is None:
            return "breached" if at > self.due else "running"
        if self.end == "stop":
            return "met" if self.ended <= self.due else "late"
        return "cancelled" if self.ended <= self.due else "breached"


@dataclass
class Item:
    """What a funnel looks at: a touchpoint, or a stage entry and what caused it."""

    at: int
    touch: Touch | None = None
    enters: str | None = None
    cause: Touch | None = None


@dataclass
class Lead:
    """A lead on its way through its history, under the rules in force."""

    rules: Rules
    met: Counter[str]
    touches: list[Touch] = field(default_factory=list)
    scores: dict[str, int] = field(default_factory=dict)
    scored_at: int | None = None
    since: int | None = None  # the last boundary
    windows: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    shown: list[tuple[int, frozenset[str]]] = field(default_factory=list)
    value: dict[str, Any] | None = None
    owner: str | None = None
    anomalies: int = 0
    open: dict[str, Visit] = field(default_factory=dict)
    visits: list[Visit] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)

    def stage(self, track: str) -> str:
        return self.open[track].stage if track in self.open else "none"

    def seen(self) -> set[str]:
        return {signal for _, signals in self.shown for signal in signals}

    def last(self, signal: str | None) -> int | None:
        """When the last touchpoint carrying a signal happened; None asks for any."""
        times = [at for at, signals in self.shown if signal is None or signal in signals]
        return times[-1] if times else None

    def count(self, signal: str, after: int | None) -> int:
        """How many touchpoints carry a signal, all or those later than an instant."""
        return sum(
            signal in signals for at, signals in self.shown if after is None or at > after
        )

    def score_at(self, score: Score, at: int) -> int:
        return decayed(self.scores[score.name], score.half_life, self.scored_at, at)


def fold(touches: list[Touch], book: Book, until: int, met: Counter[str]) -> Lead:
    """The lead as of `until`, all timed moves due up to then applied."""
    boundaries = [at for at in book.boundaries() if at <= until]
    lead = Lead(book.in_force(boundaries[0] - 1 if boundaries else until), met)
    lead.scores = {score.name: 0 for score in lead.rules.scores}
    for touch in touches:
        if touch.at > until:
            break
        while boundaries and boundaries[0] <= touch.at:
            cross(lead, book, boundaries.pop(0))
        apply(lead, touch)
    for boundary in boundaries:
        cross(lead, book, boundary)
    run_timers(lead, until + 1)
    return lead


def apply(lead: Lead, touch: Touch) -> None:
    """Let one touchpoint change a lead."""
    run_timers(lead, touch.at)
    signals = lead.rules.signals_of(touch)
    earn(lead, touch, signals)
    remember(lead, touch, signals)
    lead.items.append(Item(touch.at, touch=touch))
    entered = take_moves(lead, touch, signals)
    for clock in lead.rules.clocks:
        tell(lead, clock, touch.at, signals, entered)


def cross(lead: Lead, book: Book, boundary: int) -> None:
    """Go over from one rule set to the next."""
    run_timers(lead, boundary)
    old = {score.name: lead.score_at(score, boundary) for score in lead.rules.scores}
    lead.rules = book.in_force(boundary)
    lead.scores = {
        score.name: score.clamped(old.get(score.name, 0)) for score in lead.rules.scores
    }
    lead.scored_at = lead.since = boundary
    lead.windows, lead.shown, lead.value = {}, [], None
    for touch in lead.touches:
        recall(lead, touch, lead.rules.signals_of(touch))
    lead.met["boundary"] += 1


# Scores


def earn(lead: Lead, touch: Touch, signals: frozenset[str]) -> None:
    """Bring every score forward, add all that the touchpoint earns in it, clamp."""
    for score in lead.rules.scores:
        value = before = lead.score_at(score, touch.at)
        lead.met["score:decayed"] += value != lead.scores[score.name]
        for number, rule in enumerate(score.earns):
            if rule.signal in signals and may_earn(lead, touch, (score.name, number)):
                value += rule.points
        lead.scores[score.name] = score.clamped(value)
        lead.met["score:earned"] += value != before
        lead.met["score:floor"] += value < score.floor
        lead.met["score:cap"] += value > score.cap
    lead.scored_at = touch.at


def may_earn(lead: Lead, touch: Touch, which: tuple[str, int]) -> bool:
    """Whether the frequency limit of an earning rule, if any, lets a match earn."""
    rule = next(score for score in lead.rules.scores if score.name == which[0]).earns[which[1]]
    if rule.at_most is None:
        return True
    limit = "limit:every" if rule.every is not None else "limit:for_ever"
    opened, matches = lead.windows.get(which, (touch.at, 0))
    if rule.every is not None and touch.at >= opened + rule.every:
        opened, matches = touch.at, 0
        lead.met["limit:window_opened_again"] += 1
    lead.windows[which] = (opened, matches + 1)
    lead.met[f"{limit}:{'granted' if matches < rule.at_most else 'refused'}"] += 1
    return matches < rule.at_most


# Memory


def remember(lead: Lead, touch: Touch, signals: frozenset[str]) -> None:
    lead.touches.append(touch)
    recall(lead, touch, signals)
    if touch.type == "assigned":
        lead.owner = touch.attributes["owner"]


def recall(lead: Lead, touch: Touch, signals: frozenset[str]) -> None:
    """What the rules in force make of a touchpoint for the memory."""
    lead.shown.append((touch.at, signals))
    if lead.rules.value in signals and touch.amount is not None:
        lead.value = touch.amount


# Tracks


def take_moves(lead: Lead, touch: Touch, signals: frozenset[str]) -> set[str]:
    """At most one entry per track; what was entered, as `track.stage`."""
    told, stage = told_stage(lead, touch)
    entered = set()
    for track in lead.rules.tracks:
        if track.name == told:
            to = stage
        else:
            to = next(
                (move.to for move in track.moves if applies(lead, track, move, touch, signals)),
                None,
            )
        if to is not None and enter(lead, track, to, touch.at, touch):
            entered.add(f"{track.name}.{to}")
    return entered


def told_stage(lead: Lead, touch: Touch) -> tuple[str | None, str | None]:
    """The track and the stage that a `stage_changed` names; counts those that name none."""
    if touch.type != "stage_changed":
        return None, None
    wanted, track_name = touch.attributes["stage"], touch.attributes.get("track")
    for track in lead.rules.tracks:
        stage, by = track.resolve(wanted)
        if track_name == track.name or (track_name is None and stage is not None):
            lead.anomalies += stage is None
            lead.met[f"stage_changed:{by}"] += 1
            lead.met["stage_changed:already_there"] += stage == lead.stage(track.name)
            return track.name, stage
    lead.anomalies += 1
    lead.met["stage_changed:unknown" if track_name is None else "stage_changed:unknown_track"] += 1
    return None, None


def applies(
    lead: Lead, track: Track, move: Move, touch: Touch, signals: frozenset[str]
) -> bool:
    """Whether a move may be taken at a touchpoint."""
    here = lead.stage(track.name)
    if move.when is None or move.to == here:
        return False
    if here not in move.sources and move.sources != ["*"]:
        return False
    holds = all(part_holds(lead, part, move.when, touch, signals) for part in WHEN_PARTS)
    lead.met.update(f"when:{part}" for part in WHEN_PARTS if holds and part in move.when)
    return holds


WHEN_PARTS = ("signal", "seen", "not_seen", "score", "count", "stage")


def part_holds(
    lead: Lead, part: str, when: dict[str, Any], touch: Touch, signals: frozenset[str]
) -> bool:
    """Whether one part of `when` holds; a part that is not there does not ask."""
    if part not in when:
        return True
    if part == "signal":
        return any(name in signals for name in names(when["signal"]))
    if part == "seen":
        return all(name in lead.seen() for name in names(when["seen"]))
    if part == "not_seen":
        return not any(name in lead.seen() for name in names(when["not_seen"]))
    if part == "score":
        limits = bounds(when)
        assert limits is not None
        return limits.hold(lead.scores[limits.score])
    if part == "count":
        return count_holds(lead, when["count"], touch.at)
    return any(in_stage(lead, place) for place in names(when["stage"]))


def count_holds(lead: Lead, count: dict[str, Any], now: int) -> bool:
    within = span(count, "within")
    ever = lead.count(count["signal"], None) >= count["at_least"]
    if within is None:
        return ever
    holds = lead.count(count["signal"], now - within) >= count["at_least"]
    lead.met["count:windowed"] += holds
    lead.met["count:window_too_short"] += ever and not holds
    return holds


def in_stage(lead: Lead, place: str) -> bool:
    track, stage = place.split(".")
    return lead.stage(track) == stage


def enter(lead: Lead, track: Track, to: str, at: int, cause: Touch | Move) -> bool:
    """Leave the open visit and enter a stage; False where the lead is in it already."""
    here = lead.stage(track.name)
    if here == to:
        return False
    direction, skipped = "enter", 0
    if here != "none":
        old, new = track.position(here), track.position(to)
        direction = "advance" if new > old else "fall"
        skipped = sum(stage.kind == "open" for stage in track.stages[old + 1 : new])
        lead.open[track.name].left = at
        lead.met["visit:zero_length"] += lead.open[track.name].entered == at
    number = 1 + sum((visit.track, visit.stage) == (track.name, to) for visit in lead.visits)
    visit = Visit(track.name, to, number, at, cause, direction, skipped)
    lead.open[track.name] = visit
    lead.visits.append(visit)
    touch = cause if isinstance(cause, Touch) else None
    lead.items.append(Item(at, enters=f"{track.name}.{to}", cause=touch))
    return True


# Timed moves


def run_timers(lead: Lead, before: int) -> None:
    """Apply every timed move due before an instant, one by one, each at its own."""
    while True:
        dues = [
            (due, place, move.number, track, move)
            for place, track in enumerate(lead.rules.tracks)
            for move in track.moves
            if (due := due_at(lead, track, move)) is not None and due < before
        ]
        if not dues:
            return
        due, _, _, track, move = min(dues, key=lambda one: one[:3])
        note_timer(lead, move, due)
        enter(lead, track, move.to, due, move)
        runs = len(lead.runs)
        for clock in lead.rules.clocks:
            tell(lead, clock, due, frozenset(), {f"{track.name}.{move.to}"})
        lead.met["clock:started_by_a_timer"] += len(lead.runs) - runs


def note_timer(lead: Lead, move: Move, due: int) -> None:
    kind = f"{move.timer}_of" if move.of else move.timer
    lead.met[f"timer:{kind}"] += 1
    lead.met["timer:at_a_touchpoint"] += bool(lead.touches) and lead.touches[-1].at == due
    lead.met["timer:after_a_timer"] += bool(lead.items) and lead.items[-1].cause is None and (
        lead.items[-1].enters is not None
    )
    lead.met["timer:at_the_boundary"] += due == lead.since


def due_at(lead: Lead, track: Track, move: Move) -> int | None:
    """When a timed move is due for the lead where it stands now, or None for never."""
    if move.timer is None or lead.stage(track.name) not in move.sources:
        return None
    since = lead.open[track.name].entered
    if move.timer == "below_score":
        return below_score_due(lead, move, since)
    assert move.span is not None
    if move.timer == "after_silence":
        since = max(since, lead.last(move.of) or since)
    due = since + move.span
    return due if lead.since is None else max(due, lead.since)


def below_score_due(lead: Lead, move: Move, entered: int) -> int | None:
    """The smallest instant from which on a score is seen to be below a bound."""
    limits = move.bounds
    assert limits is not None
    assert limits.below is not None
    score = next(score for score in lead.rules.scores if score.name == limits.score)
    start = max(at for at in (entered, lead.last(None), lead.since) if at is not None)
    if lead.score_at(score, start) < limits.below:
        return start
    if score.half_life is None or lead.scored_at is None:
        return None
    found = first_tick_below(
        lead.scores[score.name], limits.below, score.half_life, lead.scored_at, start
    )
    if found is None:
        return None
    assert found > tick(score.half_life, start)
    return found * (score.half_life // 4096)


# Clocks


def tell(lead: Lead, clock: Clock, at: int, signals: frozenset[str], entered: set[str]) -> None:
    """Stop, then cancel, then start a clock."""

    def told(trigger: dict[str, str] | None) -> bool:
        return trigger is not None and (
            trigger.get("signal") in signals or trigger.get("enters") in entered
        )

    run = next((run for run in lead.runs if run.clock == clock.name and run.ended is None), None)
    for end, trigger in (("stop", clock.stop), ("cancel", clock.cancel)):
        if run is not None and run.ended is None and told(trigger):
            run.ended, run.end = at, end
    if not told(clock.start):
        return
    if run is not None and run.ended is None:
        lead.met["clock:start_while_open"] += 1
        return
    lead.met["clock:stopped_and_started_at_once"] += run is not None and run.ended == at
    lead.runs.append(start_run(lead, clock, at))


def start_run(lead: Lead, clock: Clock, at: int) -> Run:
    due = due_instant(clock.calendar, at, clock.within)
    if clock.calendar is not None:
        lead.met["calendar:run"] += 1
        lead.met["calendar:holiday_between"] += clock.calendar.holiday_between(at, due)
        shift = clock.calendar.offset_us(at) != clock.calendar.offset_us(due)
        lead.met["calendar:clocks_changed_between"] += shift
    return Run(clock.name, at, due)
