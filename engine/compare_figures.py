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

STAGE, SCORE, CLOCK, FUNNEL = "stage.", "score.", "clock.", "funnel."
OWNER, VALUE, SEGMENTS, MADE_OF = "owner", "value", "segments", "made_of"


def figures(folded: Folded) -> dict[str, dict[str, Any]]:
    """The figures of each lead that exists, by its id."""
    found = {document["lead"]: _of_state(folded, document) for document in state_documents(folded)}
    for asked, hits in zip(folded.rules.funnels, folded.hits, strict=True):
        for hit in hits:
            attempts = found[folded.histories.leads[hit["lead"]]][FUNNEL + asked.name]
            attempts.append(
                {
                    "entered": format_instant(int(hit["entered"])),
                    "depth": int(hit["depth"]),
                    "excluded": bool(hit["excluded"]),
                }
            )
    return found


def counts(lead: Figures) -> Counter[str]:
    """How much a lead adds to each figure that is counted."""
    found = Counter({"leads": 1})
    for name, value in lead.items():
        if name.startswith(STAGE) and value is not None:
            place = f"pipeline.{name.removeprefix(STAGE)}.{value}"
            found[f"{place}.leads"] += 1
            if lead[VALUE]:
                found[f"{place}.value.{lead[VALUE]['currency']}"] += lead[VALUE]["minor"]
        elif name.startswith(FUNNEL):
            for attempt in value:
                found[f"{name}.excluded"] += attempt["excluded"]
                found.update(f"{name}.{step}" for step in range(1, attempt["depth"] + 1))
    return found


def totals(frames: Frames) -> dict[str, int]:
    """What the reports say of all leads, by the names of those figures."""
    return {name: total for name, total in _reported(frames) if total}


def _of_state(folded: Folded, document: Mapping[str, Any]) -> dict[str, Any]:
    runs: dict[str, list[Any]] = {CLOCK + clock.name: [] for clock in folded.rules.clocks}
    for run in document["clocks"]:
        runs[CLOCK + run["clock"]].append({key: run[key] for key in run if key != "clock"})
    return {
        **{STAGE + track: stage for track, stage in document["stages"].items()},
        **{SCORE + score: points for score, points in document["scores"].items()},
        **runs,
        SEGMENTS: document["segments"],
        OWNER: document["owner"],
        VALUE: document["value"],
        **{FUNNEL + asked.name: [] for asked in folded.rules.funnels},
    }


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
