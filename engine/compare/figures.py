"""What two states of knowledge are compared by: where each lead stands, and what counts it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from engine.folded import Folded
from engine.instants import format_instant
from engine.projections.projection import Frames
from engine.reports import funnel, pipeline
from engine.states import state_documents

Figures = Mapping[str, Any]  # of one lead, by name, as JSON has them

STAGE, VISITS, SCORE, CLOCK, FUNNEL = "stage.", "visits.", "score.", "clock.", "funnel."
VALUE, MADE_OF = "value", "made_of"
AS_THEY_ARE = ("touchpoints", "segments", "owner", VALUE)


def figures(folded: Folded) -> dict[str, dict[str, Any]]:
    """The figures of each lead that exists, by its id; what is nothing is left out."""
    found = {document["lead"]: _of_state(document) for document in state_documents(folded)}
    for asked, hits in zip(folded.rules.funnels, folded.hits, strict=True):
        for hit in hits:
            own = found[folded.histories.leads[hit["lead"]]]
            own.setdefault(FUNNEL + asked.name, []).append(
                {
                    "entered": format_instant(int(hit["entered"])),
                    "depth": int(hit["depth"]),
                    "excluded": bool(hit["excluded"]),
                }
            )
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
        elif name.startswith(FUNNEL):
            for attempt in figure:
                found[f"{name}.excluded"] += attempt["excluded"]
                found.update(f"{name}.{step}" for step in range(1, attempt["depth"] + 1))
    return Counter({name: many for name, many in found.items() if many})


def totals(frames: Frames) -> dict[str, int]:
    """What the reports say of all leads, by the names of those figures."""
    return {name: total for name, total in _reported(frames) if total}


def _of_state(document: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        **{STAGE + track: stage for track, stage in document["stages"].items()},
        **{SCORE + score: points for score, points in document["scores"].items()},
        **{name: document[name] for name in AS_THEY_ARE},
        "anomalies": document["anomalies"] or None,
    }
    for visit in document["visits"]:
        told = {key: visit[key] for key in ("stage", "entered")}
        found.setdefault(VISITS + visit["track"], []).append(told)
    for run in document["clocks"]:
        told = {key: run[key] for key in run if key != "clock"}
        found.setdefault(CLOCK + run["clock"], []).append(told)
    return {name: figure for name, figure in found.items() if figure not in (None, [])}


def _reported(frames: Frames) -> Iterator[tuple[str, int]]:
    report = pipeline.report(frames)
    yield "leads", report["leads"]
    for track in report["tracks"]:
        for stage in track["stages"]:
            place = f"pipeline.{track['track']}.{stage['stage']}"
            yield f"{place}.leads", stage["count"]
            yield from ((f"{place}.value.{unit}", sum_) for unit, sum_ in stage["value"].items())
    for asked in frames.rules.funnels:
        document = funnel.report(frames, asked.name)
        yield f"{FUNNEL}{asked.name}.excluded", document["excluded"]
        for step in document["steps"]:
            yield f"{FUNNEL}{asked.name}.{step['step']}", step["reached"]
