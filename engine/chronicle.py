"""What happened to a lead, in line: touchpoints, and at their instants what they led to."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from engine.announcement import Announcement, document
from engine.folded import Folded
from engine.instants import format_instant
from engine.kinship import Kinship, Told, doer, told, why
from engine.ruleset import RuleSet
from engine.states import state_documents
from engine.touchpoint import Identifier, Touchpoint

Document = dict[str, Any]

# What comes first, of what is of one instant: other rules judge what happens then, timed moves
# are due once all has happened, and a clock is met until the instant is over.
BOUNDARY, HAPPENED, TIMED, CLOCK, BREACH, ANNOUNCED = range(6)
ITSELF, BELONGS, LED_TO = range(3)  # and of what is of one touchpoint
ENDED, STARTED = range(2)  # and of clocks


class Known(NamedTuple):
    """What is known of a lead."""

    touches: Sequence[Told]  # in happening order, those that do not count as well
    void: Mapping[int, Told | None]  # by position: what retracted it; None: its type never counts
    kin: Kinship | None  # None: nothing joins it, it is anonymous
    announced: Sequence[Announcement]


class _Line(NamedTuple):
    """A line, after what it is sorted by."""

    at: str
    rank: int
    order: tuple[int, ...]
    document: Document


def happening(touchpoint: Touchpoint) -> tuple[int, int, bytes, bytes]:
    """What touchpoints are put in happening order by."""
    strings = touchpoint.source.encode(), touchpoint.event_id.encode()
    return touchpoint.occurred_at, touchpoint.sequence, *strings


def chronicle(known: Known, folded: Folded) -> list[Document]:
    """All lines up to the instant that the lead was folded at, and who it is, whenever told."""
    written = _Chronicle(known, folded)
    return [line.document for line in sorted(written.lines(), key=lambda line: line[:3])]


class _Chronicle:
    def __init__(self, known: Known, folded: Folded) -> None:
        self._known, self._folded = known, folded
        self._state = next(iter(state_documents(folded)), None)
        self._places = {one.position: place for place, one in enumerate(known.touches)}

    def lines(self) -> Iterator[_Line]:
        """Every line, in any order."""
        for place, one in enumerate(self._known.touches):
            if one.touchpoint.occurred_at <= self._folded.as_of:
                line = self._touchpoint(one)
                yield _Line(line["at"], HAPPENED, (place, ITSELF), line)
        yield from self._identifiers()
        yield from self._announcements()
        if self._state is not None:
            yield from self._boundaries(self._state["first_at"])
            yield from self._stages(self._state["visits"])
            yield from _clocks(self._state["clocks"])

    def _touchpoint(self, one: Told) -> Document:
        touch, void = one.touchpoint, self._known.void
        kind = "retracted" if void.get(one.position) else "never folded"
        by = void.get(one.position)
        return {
            "what": "touchpoint",
            **_named(one),
            "channel": touch.channel,
            "actor": doer(touch),
            "stream": _identifier(touch.stream),
            "attributes": dict(touch.attributes),
            "counts": one.position not in void,
            "void": kind if one.position in void else None,
            "retracted_by": {**told(by), **why(by.touchpoint)} if by else None,
        }

    def _boundaries(self, first_at: str) -> Iterator[_Line]:
        for era in self._folded.eras[1:]:
            at = format_instant(era.since)
            if at > first_at:
                line = {"what": "boundary", "at": at, "rules": _rules(era.rules)}
                yield _Line(at, BOUNDARY, (), line)

    def _stages(self, visits: Sequence[Document]) -> Iterator[_Line]:
        """Each entry after the touchpoint that caused it, or at the instant of its timed move."""
        entries = self._folded.entries
        came_about = np.lexsort((entries["track"], entries["lead"])).tolist()
        for number, visit in zip(came_about, visits, strict=True):
            entry = entries[number]
            kept = ("track", "stage", "visit", "direction", "skipped", "cause")
            line = {"what": "stage", "at": visit["entered"], **{name: visit[name] for name in kept}}
            line["rules"] = _rules(self._folded.eras[entry["era"]].rules)
            place = self._places[int(self._folded.histories.positions[entry["after"]])]
            if entry["move"]:
                yield _Line(line["at"], TIMED, (number,), line)
            else:
                yield _Line(line["at"], HAPPENED, (place, LED_TO, number), line)

    def _identifiers(self) -> Iterator[_Line]:
        """Each identifier with the touchpoint by which it came to belong, and to which other."""
        for number, (who, to, by) in enumerate(self._belonging()):
            if by is not None:
                whose = {"identifier": _identifier(who), "to": _identifier(to) if to else None}
                line = {"what": "identifier", **_named(by), **whose}
                place = self._places.get(by.position, len(self._places))
                yield _Line(line["at"], HAPPENED, (place, BELONGS, number), line)

    def _announcements(self) -> Iterator[_Line]:
        """What was told of it, at the instants at which that came about."""
        for one in self._known.announced:
            if one.at <= self._folded.as_of:
                line = {"what": "announcement", "at": "", **document(one)}
                yield _Line(line["at"], ANNOUNCED, (one.number,), line)

    def _belonging(self) -> Iterator[tuple[Identifier, Identifier | None, Told | None]]:
        kin = self._known.kin
        if kin is None:
            named = [who for one in self._counted() for who in one.touchpoint.identifiers]
            for who in dict.fromkeys(named):
                yield who, None, self._first_naming(who)
            return
        for number, tie in kin.strong:
            who = kin.named[number]
            if tie is None:
                yield who, None, self._first_naming(who)
            else:
                yield who, kin.named[tie.one], kin.told[tie.position]
        for one in kin.weak:
            who = kin.named[one.number]
            came_by = self._first_naming(who) if one.came_by is None else kin.told[one.came_by]
            yield who, None, came_by

    def _counted(self) -> list[Told]:
        return [one for one in self._known.touches if one.position not in self._known.void]

    def _first_naming(self, who: Identifier) -> Told | None:
        """The first touchpoint recorded that names somebody; what counts comes first."""
        for some in (self._counted(), self._known.touches):
            naming = [one for one in some if who in one.touchpoint.identifiers]
            if naming:
                return min(naming, key=lambda one: one.position)
        return None


def _clocks(runs: Sequence[Document]) -> Iterator[_Line]:
    """When each run of a clock started, ran out, and was stopped or cancelled."""
    for number, run in enumerate(runs):
        happened = [(run["started"], CLOCK, STARTED, "started")]
        if run["state"] in ("late", "breached"):
            happened.append((run["due"], BREACH, ENDED, "breached"))
        if run["ended"] is not None:
            how = "cancelled" if run["state"] == "breached" else run["state"]
            happened.append((run["ended"], CLOCK, ENDED, how))
        for at, rank, order, what in happened:
            line = {"what": "clock", "at": at, "clock": run["clock"], "happened": what}
            yield _Line(at, rank, (order, number), {**line, "due": run["due"]})


def _named(one: Told) -> Document:
    """A touchpoint by what all of them have, in the order of a line."""
    found = told(one)
    at = {"at": found.pop("occurred_at"), "recorded_at": found.pop("recorded_at")}
    return {**at, "position": found.pop("position"), **found}


def _identifier(who: Identifier) -> Document:
    return {"kind": who.kind, "digest": who.digest}


def _rules(rules: RuleSet) -> Document:
    return {"name": rules.name, "id": rules.id}
