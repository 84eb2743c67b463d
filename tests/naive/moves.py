"""Tracks: which stage a lead goes to at a touchpoint."""

from typing import Any

from tests.naive.lead import Item, Lead, Visit, in_stage
from tests.naive.rules import Move, Track, bounds, names, span
from tests.naive.touchpoints import Touch


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


def applies(lead: Lead, track: Track, move: Move, touch: Touch, signals: frozenset[str]) -> bool:
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
    least: int = count["at_least"]
    ever = lead.count(count["signal"], None) >= least
    if within is None:
        return ever
    holds = lead.count(count["signal"], now - within) >= least
    lead.met["count:windowed"] += holds
    lead.met["count:window_too_short"] += ever and not holds
    return holds


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
