"""Timed moves and clocks: what falls due, and when."""

from tests.naive.calendars import due_instant
from tests.naive.decay import TICKS, first_tick_below, tick
from tests.naive.lead import Lead, Run
from tests.naive.moves import enter
from tests.naive.rules import Clock, Move, Track


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
    lead.met["timer:after_a_timer"] += (
        bool(lead.items) and lead.items[-1].cause is None and (lead.items[-1].enters is not None)
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
    return found * (score.half_life // TICKS)


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
