"""What `export states` and `export funnel` print, but for the id of the lead."""

from typing import Any

from tests.naive.funnels import Search, lines
from tests.naive.lead import Lead, Visit, in_stage
from tests.naive.rules import Funnel, Move, Rules, bounds, names, span
from tests.naive.touchpoints import Touch
from tests.naive.units import instant_text

Line = dict[str, Any]
PARTS = (
    "stage",
    "not_stage",
    "score",
    "seen",
    "not_seen",
    "silent_for",
    "first_channel",
    "last_channel",
    "has_owner",
    "value_at_least",
)


def who(touch: Touch) -> Line:
    return {"source": touch.source, "event_id": touch.event_id}


def scores(lead: Lead, at: int) -> dict[str, int]:
    return {score.name: lead.score_at(score, at) for score in lead.rules.scores}


def state(lead: Lead, rules: Rules, at: int) -> Line:
    """One line of `export states`."""
    first, last = lead.touches[0], lead.touches[-1]
    return {
        "first": who(first),
        "last": who(last),
        "first_at": instant_text(first.at),
        "last_at": instant_text(last.at),
        "touchpoints": len(lead.touches),
        "scores": scores(lead, at),
        "stages": {track.name: current(lead, track.name) for track in lead.rules.tracks},
        "seen": sorted(lead.seen()),
        "owner": lead.owner,
        "value": lead.value,
        "anomalies": lead.anomalies,
        "visits": [
            visit_line(visit)
            for track in lead.rules.tracks
            for visit in lead.visits
            if visit.track == track.name
        ],
        "clocks": [
            {
                "clock": run.clock,
                "started": instant_text(run.started),
                "due": instant_text(run.due),
                "ended": None if run.ended is None else instant_text(run.ended),
                "state": run.state(at),
            }
            for clock in lead.rules.clocks
            for run in lead.runs
            if run.clock == clock.name
        ],
        "segments": sorted(
            segment["name"] for segment in rules.segments if belongs(lead, segment["where"], at)
        ),
    }


def current(lead: Lead, track: str) -> str | None:
    stage = lead.stage(track)
    return None if stage == "none" else stage


def visit_line(visit: Visit) -> Line:
    cause = visit.cause
    return {
        "track": visit.track,
        "stage": visit.stage,
        "visit": visit.visit,
        "entered": instant_text(visit.entered),
        "left": None if visit.left is None else instant_text(visit.left),
        "cause": {"timer": cause.timer, "move": cause.number}
        if isinstance(cause, Move)
        else who(cause),
        "direction": visit.direction,
        "skipped": visit.skipped,
    }


def belongs(lead: Lead, where: Line, at: int) -> bool:
    """Whether a lead is in a segment at an instant."""
    inside = True
    for part in PARTS:
        if part in where:
            holds = part_holds(lead, part, where, at)
            lead.met[f"segment:{part}:{'yes' if holds else 'no'}"] += 1
            inside = inside and holds
    return inside


def part_holds(lead: Lead, part: str, where: Line, at: int) -> bool:
    if part == "stage":
        return any(in_stage(lead, place) for place in names(where[part]))
    if part == "not_stage":
        return not any(in_stage(lead, place) for place in names(where[part]))
    if part == "score":
        limits = bounds(where)
        assert limits is not None
        return limits.hold(scores(lead, at)[limits.score])
    if part == "seen":
        return all(name in lead.seen() for name in names(where[part]))
    if part == "not_seen":
        return not any(name in lead.seen() for name in names(where[part]))
    if part == "silent_for":
        silence = span(where, part)
        assert silence is not None
        return lead.touches[-1].at <= at - silence
    if part == "first_channel":
        return lead.touches[0].channel in names(where[part])
    if part == "last_channel":
        return lead.touches[-1].channel in names(where[part])
    if part == "has_owner":
        return bool((lead.owner is not None) == where[part])
    value, least = lead.value, where["value_at_least"]
    if value is None or value["currency"] != least["currency"]:
        lead.met["segment:value_at_least:other_currency"] += value is not None
        return False
    return bool(value["minor"] >= least["minor"])


def funnel_lines(leads: list[Lead], funnel: Funnel, at: int) -> list[Line]:
    """All lines of `export funnel`, for leads in the order of their states."""
    out = []
    for lead in leads:
        found = lines(Search(funnel, lead, at))
        for line in sorted(found, key=lambda line: line["entered"]):
            line["entered"] = instant_text(line["entered"])
            line["reached_at"] = [instant_text(reached) for reached in line["reached_at"]]
            out.append({"first": who(lead.touches[0]), **line})
    return out
