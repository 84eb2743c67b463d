"""Why a lead's scores and stages are what they are: touchpoint by touchpoint, rule by rule."""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from engine.book import Book, Era
from engine.causes import Causes, Names
from engine.errors import NotYet, UnknownName
from engine.fold_eras import faded
from engine.fold_ledger import Stretch, follow
from engine.history import BEGINNING, Histories
from engine.instants import format_instant
from engine.reading import View
from engine.ruleset import RuleSet
from engine.store.facts import Facts

Document = dict[str, Any]
What = Literal["score", "stage"]

TAKEN = ("limit", "decay", "clamp")  # balance = the one before + base - these
COLUMNS = ("base", *TAKEN)
NOTHING = dict.fromkeys(COLUMNS, 0)


def why(
    facts: Facts, lead: int, view: View, what: What | None = None, name: str | None = None
) -> Document:
    """How a lead's score, or all, and the stages of a track, or of all, came about.

    Raises:
        NotYet: Nothing of the lead had happened by then.
        UnknownName: There is no such score or track.
    """
    histories = facts.histories(np.array([lead], np.int64), view.known_at)
    found = explained(histories, view.book, view.as_of, what, name)
    seen_from = {"as_of": found["as_of"], "known_at": view.known_at}
    return {"lead": found["lead"], **seen_from, **found}


def explained(
    histories: Histories,
    book: Book,
    as_of: int,
    what: What | None = None,
    name: str | None = None,
) -> Document:
    """The same of the one lead of a history.

    Of a score: what each touchpoint, each boundary of the rule book and the time since did to
    it, in micro-points; the columns add up to it. Of a track: what caused every visit, and
    what is missing for the stages that the lead could go to.

    Raises:
        NotYet, UnknownName: See `why`.
    """
    eras = book.folded_by(as_of)
    scores, tracks = _asked(eras[-1].rules, what, name)
    if not (histories.touches["occurred_at"] <= as_of).any():
        raise NotYet(format_instant(as_of))
    work, stretches = follow(histories, eras, as_of)
    names = Names(histories)
    found: Document = {
        "lead": histories.leads[0],
        "as_of": format_instant(as_of),
        "rules": [_judging(era) for era in eras],
    }
    if what != "stage":
        ledger = _Ledger(stretches, names, as_of)
        found["scores"] = [ledger.score(score) for score in scores]
    if what != "score":
        causes = Causes(work, stretches, names, as_of)
        found["stages"] = [causes.track(track) for track in tracks]
    return found


def _asked(rules: RuleSet, what: str | None, name: str | None) -> tuple[list[str], list[str]]:
    """The scores and tracks that are asked for."""
    scores, tracks = ([one.name for one in some] for some in (rules.scores, rules.tracks))
    if name is None:
        return scores, tracks
    known = scores if what == "score" else tracks
    if name not in known:
        raise UnknownName("score" if what == "score" else "track", name, known)
    return [name], [name]


def _judging(era: Era) -> Document:
    since = None if era.since == BEGINNING else format_instant(era.since)
    return {"since": since, "name": era.rules.name, "id": era.rules.id}


class _Ledger:
    """The scores of a lead, line by line."""

    def __init__(self, stretches: list[Stretch], names: Names, as_of: int) -> None:
        self._stretches, self._names, self._as_of = stretches, names, as_of

    def score(self, name: str) -> Document:
        """A score, the sum of each column, and the lines."""
        lines = [*self._lines(name)]
        sums = {column: sum(line[column] for line in lines) for column in COLUMNS}
        return {"score": name, "points": lines[-1]["balance"], "sums": sums, "lines": lines}

    def _lines(self, name: str) -> Iterator[Document]:
        """Each with what it added and took, and the balance then, in micro-points."""
        before: Stretch | None = None
        balance = 0
        for stretch in self._stretches:
            rules = stretch.era.rules
            index = _place(rules, name)
            if index is None:
                continue
            if before is not None and stretch.start["touchpoints"][0]:
                start = int(stretch.start["scores"][0, index])
                left = _left(before, name, stretch.era.since)
                line = {"decay": balance - left, "clamp": left - start, "balance": start}
                yield {"what": "boundary", **_judging(stretch.era), **NOTHING, **line}
                balance = start
            for line in self._earned(stretch, index):
                balance = line["balance"]
                yield line
            before = stretch
        assert before is not None, "the last rules have the score"
        left = _left(before, name, self._as_of)
        line = {"decay": balance - left, "balance": left}
        yield {"what": "as_of", "at": format_instant(self._as_of), **NOTHING, **line}

    def _earned(self, stretch: Stretch, index: int) -> Iterator[Document]:
        """A line for each earning rule that a touchpoint matched."""
        score = stretch.era.rules.scores[index]
        at = self._names.histories.touches["occurred_at"].tolist()
        for line in stretch.lines[stretch.lines["score"] == index]:
            rule, touch = int(line["rule"]), int(line["touch"])
            yield {
                "what": "touchpoint",
                "at": format_instant(at[touch]),
                **self._names.of(touch),
                "signal": score.earns[rule].signal,
                "rule": f"score.{score.name}.earn[{rule + 1}]",
                **{column: int(line[column]) for column in (*COLUMNS, "balance")},
            }


def _place(rules: RuleSet, score: str) -> int | None:
    names = [one.name for one in rules.scores]
    return names.index(score) if score in names else None


def _left(stretch: Stretch, score: str, at: int) -> int:
    """What is left of a score at an instant after the last touchpoint of a stretch."""
    index = _place(stretch.era.rules, score)
    return int(faded(stretch.end, stretch.era, at)[0, index])
