"""What two states of knowledge are compared by: where each lead stands, and what counts it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from engine.folded import Folded
from engine.instants import format_instant
from engine.projections.projection import Frames
from engine.reports import funnel, pipeline
from engine.ruleset import Funnel, RuleSet
from engine.states import state_documents

Figures = Mapping[str, Any]  # of one lead, by name, as JSON has them

STAGE, VISITS, OUTCOME = "stage.", "visits.", "outcome."
SCORE, CLOCK, FUNNEL = "score.", "clock.", "funnel."
VALUE, MADE_OF = "value", "made_of"
OUTCOMES = ("won", "lost")
AS_THEY_ARE = ("touchpoints", "segments", "owner", VALUE)


def figures(folded: Folded) -> dict[str, dict[str, Any]]:
    """The figures of each lead that exists, by its id; what is nothing is left out."""
    rules, documents = folded.rules, state_documents(folded)
    found = {document["lead"]: _of_state(document, rules) for document in documents}
    for asked, hits in zip(rules.funnels, folded.hits, strict=True):
        for hit in hits:
            own = found[folded.histories.leads[hit["lead"]]]
            attempt = _of_attempt(hit, asked, folded.as_of)
            own.setdefault(FUNNEL + asked.name, []).append(attempt)
    return found


def counts(lead: Figures) -> Counter[str]:
    """How much a lead adds to each figure that is counted; nothing where there is no lead."""
    found = Counter({"leads": 1} if lead else {})
    value = lead.get(VALUE)
    for name, figure in lead.items():
        if name.startswith(STAGE):
            place = f"pipeline.{name.removeprefix(STAGE)}.{figure}"
            found[f"{place}.leads"] += 1
            if value:
                found[f"{place}.value.{value['currency']}"] += value["minor"]
        elif name.startswith(OUTCOME):
            track = name.removeprefix(OUTCOME)
            found[f"pipeline.{track}.{figure}"] += 1
            been_in = {visit["stage"] for visit in lead[VISITS + track]}
            found.update(f"pipeline.{track}.{stage}.{figure}" for stage in been_in)
        elif name.startswith(FUNNEL):
            for attempt in figure:
                depth = attempt["depth"]
                found[f"{name}.excluded"] += attempt["excluded"]
                found.update(f"{name}.{step}" for step in range(1, depth + 1))
                if attempt["open"]:
                    short_of = range(depth + 1, attempt["of"] + 1)
                    found.update(f"{name}.{step}.immature" for step in short_of)
                found[f"{name}.{depth + 1}.dropped"] += attempt["open"] is False
    return Counter({name: many for name, many in found.items() if many})


def totals(frames: Frames) -> dict[str, int]:
    """What the reports say of all leads, by the names of those figures."""
    return {name: total for name, total in _reported(frames) if total}


def _of_state(document: Mapping[str, Any], rules: RuleSet) -> dict[str, Any]:
    kinds = {(t.name, stage.name): stage.kind for t in rules.tracks for stage in t.stages}
    found = {
        **{STAGE + track: stage for track, stage in document["stages"].items()},
        **{SCORE + score: points for score, points in document["scores"].items()},
        **{name: document[name] for name in AS_THEY_ARE},
        "anomalies": document["anomalies"] or None,
    }
    for visit in document["visits"]:
        told = {key: visit[key] for key in ("stage", "entered")}
        found.setdefault(VISITS + visit["track"], []).append(told)
        kind = kinds[visit["track"], visit["stage"]]
        if kind != "parked":  # as the pipeline says it: the last stage of another kind
            found[OUTCOME + visit["track"]] = None if kind == "open" else kind
    for run in document["clocks"]:
        told = {key: run[key] for key in run if key != "clock"}
        found.setdefault(CLOCK + run["clock"], []).append(told)
    return {name: figure for name, figure in found.items() if figure not in (None, [])}


def _of_attempt(hit: np.void, asked: Funnel, as_of: int) -> dict[str, Any]:
    """How far it came; `open`: whether it can still go on, null where it need not or may not."""
    depth, steps, excluded = int(hit["depth"]), len(asked.steps), bool(hit["excluded"])
    is_short = asked.limits_time and not excluded and depth < steps
    return {
        "entered": format_instant(int(hit["entered"])),
        "depth": depth,
        "of": steps,
        "excluded": excluded,
        "open": bool(hit["open_until"] > as_of) if is_short else None,
    }


def _reported(frames: Frames) -> Iterator[tuple[str, int]]:
    report = pipeline.report(frames)
    yield "leads", report["leads"]
    for track in report["tracks"]:
        of_track = f"pipeline.{track['track']}"
        yield from ((f"{of_track}.{outcome}", track[outcome]) for outcome in OUTCOMES)
        for stage in track["stages"]:
            place = f"{of_track}.{stage['stage']}"
            yield f"{place}.leads", stage["count"]
            yield from ((f"{place}.{outcome}", stage[outcome]) for outcome in OUTCOMES)
            yield from ((f"{place}.value.{unit}", sum_) for unit, sum_ in stage["value"].items())
    for asked in frames.rules.funnels:
        document = funnel.report(frames, asked.name)
        yield f"{FUNNEL}{asked.name}.excluded", document["excluded"]
        for step in document["steps"]:
            place = f"{FUNNEL}{asked.name}.{step['step']}"
            yield place, step["reached"]
            yield from ((f"{place}.{bar}", step[bar] or 0) for bar in ("immature", "dropped"))
