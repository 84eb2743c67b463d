"""States and funnel lines as documents: the forms in which they leave the engine."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.decay import scores_at
from engine.folded import BREACHED, DIRECTIONS, OPEN, OUTCOMES, Folded
from engine.history import NEVER
from engine.instants import format_instant
from engine.segments import members, standing_of

Document = dict[str, Any]


def state_documents(folded: Folded) -> Iterator[Document]:
    """One document per lead that has a folded touchpoint, ordered by its first touchpoint."""
    return _Documents(folded).states()


def funnel_documents(folded: Folded, name: str) -> Iterator[Document]:
    """One document per lead with an attempt (with `every`: per attempt), ordered as states are."""
    return _Documents(folded).funnel(name)


class _Documents:
    """The texts behind a fold's numbers, fetched once."""

    def __init__(self, folded: Folded) -> None:
        self.folded, self.rules, self.touches = folded, folded.rules, folded.histories.touches
        used = (self.touches["source"], folded.states["owner"], folded.states["value_currency"])
        ids = np.unique(np.concatenate([column.ravel() for column in used]))
        texts = folded.histories.strings.texts(ids.tolist())
        self.text = dict(zip(ids.tolist(), texts, strict=True))

    def order(self) -> list[int]:
        """The leads that exist, by the (source, event_id) of their first touchpoint."""
        states = self.folded.states
        leads = np.flatnonzero(states["touchpoints"] > 0).tolist()
        return sorted(leads, key=lambda lead: self._bytes(int(states[lead]["first"])))

    def _bytes(self, touch: int) -> tuple[bytes, bytes]:
        name = self.name(touch)
        return name["source"].encode(), name["event_id"].encode()

    def name(self, touch: int) -> dict[str, str]:
        """A touchpoint by its source and event id."""
        source = self.text[int(self.touches[touch]["source"])]
        return {"source": source, "event_id": self.folded.histories.event_id(touch)}

    def states(self) -> Iterator[Document]:
        folded, rules = self.folded, self.rules
        scores = scores_at(folded.states["scores"], folded.scored_at, rules, folded.as_of)
        flags = members(standing_of(folded), rules, folded.as_of)
        visits, runs = _bounds(folded, folded.visits), _bounds(folded, folded.clock_runs)
        for lead in self.order():
            yield {
                "lead": folded.histories.leads[lead],
                **self._facts(folded.states[lead]),
                "scores": {s.name: int(scores[lead, i]) for i, s in enumerate(rules.scores)},
                "stages": self._stages(folded.states[lead]),
                "seen": self._seen(int(folded.states[lead]["seen"])),
                **self._worth(folded.states[lead]),
                "visits": [self._visit(folded.visits[i]) for i in range(*visits[lead : lead + 2])],
                "clocks": [self._run(folded.clock_runs[i]) for i in range(*runs[lead : lead + 2])],
                "segments": sorted(s.name for i, s in enumerate(rules.segments) if flags[lead, i]),
            }

    def _facts(self, state: np.void) -> Document:
        return {
            "first": self.name(int(state["first"])),
            "last": self.name(int(state["last"])),
            "first_at": format_instant(int(state["first_at"])),
            "last_at": format_instant(int(state["last_at"])),
            "touchpoints": int(state["touchpoints"]),
        }

    def _stages(self, state: np.void) -> dict[str, str | None]:
        chosen = zip(self.rules.tracks, state["stage"].tolist(), strict=False)
        return {track.name: track.stages[i].name if i >= 0 else None for track, i in chosen}

    def _seen(self, seen: int) -> list[str]:
        return sorted(s.name for i, s in enumerate(self.rules.signals) if seen >> i & 1)

    def _worth(self, state: np.void) -> Document:
        owner, currency = int(state["owner"]), int(state["value_currency"])
        value = {"minor": int(state["value_minor"]), "currency": self.text[currency]}
        return {
            "owner": self.text[owner] if owner else None,
            "value": value if currency else None,
            "anomalies": int(state["anomalies"]),
        }

    def _visit(self, visit: np.void) -> Document:
        track = self.rules.tracks[visit["track"]]
        timer = self.folded.timer(visit)
        timed = {"timer": timer.kind, "move": int(visit["move"])} if timer else None
        return {
            "track": track.name,
            "stage": track.stages[visit["stage"]].name,
            "visit": int(visit["visit"]),
            "entered": format_instant(int(visit["entered"])),
            "left": _instant_or_none(visit["left"]),
            "cause": timed or self.name(int(visit["after"])),
            "direction": DIRECTIONS[visit["direction"]],
            "skipped": int(visit["skipped"]),
        }

    def _run(self, run: np.void) -> Document:
        outcome = OUTCOMES[run["outcome"]]
        if run["outcome"] == OPEN:
            outcome = "running" if self.folded.as_of <= run["due"] else OUTCOMES[BREACHED]
        return {
            "clock": self.rules.clocks[run["clock"]].name,
            "started": format_instant(int(run["started"])),
            "due": _instant_or_none(run["due"]),
            "ended": _instant_or_none(run["ended"]),
            "state": outcome,
        }

    def funnel(self, name: str) -> Iterator[Document]:
        index = [funnel.name for funnel in self.rules.funnels].index(name)
        funnel, hits = self.rules.funnels[index], self.folded.hits[index]
        bounds = _bounds(self.folded, hits)
        for lead in self.order():
            for hit in hits[bounds[lead] : bounds[lead + 1]]:
                reached = hit["reached"][: hit["depth"]]
                is_open = not hit["excluded"] and bool(self.folded.as_of < hit["open_until"])
                yield {
                    "first": self.name(int(self.folded.states[lead]["first"])),
                    "entered": format_instant(int(hit["entered"])),
                    "depth": int(hit["depth"]),
                    "reached_at": [format_instant(int(at)) for at in reached],
                    "excluded": bool(hit["excluded"]),
                    "open": is_open if funnel.limits_time else None,
                }


def _bounds(folded: Folded, records: NDArray[np.void]) -> list[int]:
    """Where each lead's records start."""
    leads = np.arange(len(folded.states) + 1)
    bounds: list[int] = np.searchsorted(records["lead"], leads).tolist()
    return bounds


def _instant_or_none(at: int) -> str | None:
    return None if at == NEVER else format_instant(int(at))
