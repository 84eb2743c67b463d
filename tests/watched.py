"""Leads explained, and checked by the naive model, which is watched while it folds them."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np

from engine.book import Book
from engine.explain import explained
from engine.rulefile import parse
from tests import naive, storeless
from tests.naive import fold as naive_fold
from tests.naive import moves as naive_moves
from tests.naive.book import Book as NaiveBook
from tests.naive.lead import Lead
from tests.naive.moves import WHEN_PARTS, part_holds
from tests.naive.random_books import random_book
from tests.naive.random_histories import random_history
from tests.naive.states import scores
from tests.naive.timers import due_at
from tests.naive.touchpoints import Edge, Touch, leads
from tests.naive.units import DAY, instant_text, instant_us
from tests.strategies import settled_history

TAKEN = ("limit", "decay", "clamp")  # balance = the one before + base - these


@dataclass
class Notes:
    """What the naive model did, in its order."""

    asked: list[tuple[Any, ...]] = field(default_factory=list)  # touch, score, rule, granted
    before: dict[tuple[Any, ...], int] = field(default_factory=dict)  # by touch and score
    after: dict[tuple[Any, ...], int] = field(default_factory=dict)
    moves: dict[tuple[Any, ...], int] = field(default_factory=dict)  # by touch and track
    at_boundary: dict[int, dict[str, int]] = field(default_factory=dict)  # scores not clamped yet


@contextmanager
def watched() -> Iterator[Notes]:
    """The naive model, noting which rules earn and which moves apply."""
    notes = Notes()
    earn, may_earn, cross = naive_fold.earn, naive_fold.may_earn, naive_fold.cross
    applies = naive_moves.applies

    def noting_may_earn(lead: Lead, touch: Touch, which: tuple[str, int]) -> bool:
        granted = may_earn(lead, touch, which)
        notes.asked.append((touch.id, *which, granted))
        return granted

    def noting_earn(lead: Lead, touch: Touch, signals: frozenset[str]) -> None:
        before = scores(lead, touch.at)
        earn(lead, touch, signals)
        notes.before |= {(touch.id, name): points for name, points in before.items()}
        notes.after |= {(touch.id, name): points for name, points in lead.scores.items()}

    def noting_applies(lead: Lead, track: Any, move: Any, touch: Touch, signals: Any) -> bool:
        holds = applies(lead, track, move, touch, signals)
        if holds:
            notes.moves[touch.id, track.name] = move.number
        return holds

    def noting_cross(lead: Lead, book: NaiveBook, boundary: int) -> None:
        notes.at_boundary[boundary] = scores(lead, boundary)
        cross(lead, book, boundary)

    with (
        patch.object(naive_fold, "cross", noting_cross),
        patch.object(naive_fold, "may_earn", noting_may_earn),
        patch.object(naive_fold, "earn", noting_earn),
        patch.object(naive_moves, "applies", noting_applies),
    ):
        yield notes


def cases(seed):
    """Each lead of a random history under a random book: history, books, what was watched."""
    random = Random(seed)
    entries = random_book(random)
    told = settled_history(random_history(random, entries[-1][0]))
    edge = Edge(naive.KEY)
    for delivery in told:
        edge.deliver(delivery)
    known = {touches[0].stream[1].hex(): touches for touches in leads(edge.accepted)}
    found = storeless.histories(storeless.take(told).accepted)
    book = Book.of(
        (None if since is None else instant_us(since), parse(toml)) for toml, since in entries
    )
    boundaries = NaiveBook.of(entries).boundaries()
    for index, lead in enumerate(found.leads):
        touches = known[lead]
        instants = [*(one.at for one in touches), *(at for at in boundaries if at > touches[0].at)]
        beside = random.choice([0, 0, 1, DAY // 4, 3 * DAY, 40 * DAY])
        at = random.choice(instants) + beside
        with watched() as notes:
            folded = naive_fold.fold(touches, NaiveBook.of(entries), at, Counter())
        yield explained(alone(found, index), book, at), folded, notes


def alone(found, index):
    """The history of one lead among others."""
    own = slice(*found.starts[index : index + 2].tolist())
    per_touch = ("touches", "positions", "attribute_at", "event_id_at", "event_id_size")
    rows = {name: getattr(found, name)[own] for name in per_touch}
    size = own.stop - own.start
    return replace(found, leads=[found.leads[index]], starts=np.array([0, size]), **rows)


def check_ledger(score, folded, notes, at):
    """Every line follows from the one before, the sums are the score, the rules are the model's."""
    balance = 0
    for line in score["lines"]:
        balance += line["base"] - sum(line[name] for name in TAKEN)
        assert line["balance"] == balance
        if line["what"] == "boundary":
            faded = notes.at_boundary[instant_us(line["since"])][score["score"]]
            assert line["balance"] + line["clamp"] == faded
    assert score["points"] == balance == scores(folded, at)[score["score"]]
    sums = score["sums"]
    assert sums["base"] - sum(sums[name] for name in TAKEN) == balance

    lines = [line for line in score["lines"] if line["what"] == "touchpoint"]
    asked = [one for one in notes.asked if one[1] == score["score"]]
    assert [(_id(line), line["rule"], line["limit"] == 0) for line in lines] == [
        (touch, f"score.{name}.earn[{number + 1}]", granted)
        for touch, name, number, granted in asked
    ]
    for touch, several in groupby(lines, _id):
        own = list(several)
        before = own[0]["balance"] - own[0]["base"] + own[0]["limit"] + own[0]["clamp"]
        assert before == notes.before[touch, score["score"]]
        assert own[-1]["balance"] == notes.after[touch, score["score"]]
        assert not any(line["decay"] for line in own[1:])
        assert not any(line["clamp"] for line in own[:-1])


def check_visits(track, folded, notes):
    """Every visit is told with the move that the model took, all of whose conditions held."""
    known = [visit for visit in folded.visits if visit.track == track["track"]]
    for visit, wanted in zip(track["visits"], known, strict=True):
        assert (visit["stage"], visit["entered"]) == (wanted.stage, instant_text(wanted.entered))
        key = f"track.{wanted.track}.move"
        if not isinstance(wanted.cause, Touch):
            assert visit["move"] == f"{key}[{wanted.cause.number}]"
            assert visit["timer"]["kind"] == wanted.cause.timer
            continue
        cause = visit["touchpoint"]["source"], visit["touchpoint"]["event_id"]
        assert cause == wanted.cause.id
        number = notes.moves.get((wanted.cause.id, wanted.track))
        if number is None:
            assert visit["told"]["stage"] == wanted.cause.attributes["stage"]
        else:
            assert visit["move"] == f"{key}[{number}]"
            for one in visit["conditions"]:
                assert one["holds"]
                if one["asks"] == "score":
                    assert one["value"] == notes.after[cause, one["score"]]


def check_next(track, folded, dues, at):
    """For each move that the model could take from there: its conditions, or when it is due."""
    rules = next(one for one in folded.rules.tracks if one.name == track["track"])
    here = folded.stage(rules.name)
    ahead = {line["move"]: line for line in track["next"]}
    from_here = [
        move
        for move in rules.moves
        if move.to != here and (here in move.sources or move.sources == ["*"])
    ]
    assert ahead.keys() == {f"track.{rules.name}.move[{move.number}]" for move in from_here}
    for move in from_here:
        line = ahead[f"track.{rules.name}.move[{move.number}]"]
        assert line["to"] == move.to
        if move.when is None:
            due = dues[rules.name, move.number]
            assert line["due"] == (None if due is None else instant_text(due))
            continue
        for part in WHEN_PARTS:
            own = [one["holds"] for one in line["conditions"] if one["asks"] == part]
            assert bool(own) == (part in move.when)
            assert all(own) == part_holds(folded, part, move.when, at, frozenset())
        for one in line["conditions"]:
            if one["asks"] == "score":
                assert one["value"] == folded.scores[one["score"]]
            if one["asks"] == "count":
                after = one["within_us"] and at.at - one["within_us"]
                assert one["value"] == folded.count(one["signal"], after)


def check_counting(timer, due, boundaries):
    """A timed move is due as long after what it counts from as it says, or at a boundary."""
    if due is not None and timer["kind"] != "below_score":
        after = instant_us(timer["counted_from"]) + timer["duration_us"]
        assert instant_us(due) == after or instant_us(due) in [b for b in boundaries if b > after]


def check(seed):
    """What was met with a seed, and how often."""
    met = Counter()
    for found, folded, notes in cases(seed):
        at = instant_us(found["as_of"])
        tracks = {track.name: track for track in folded.rules.tracks}
        dues = {
            (name, move.number): due_at(folded, track, move)
            for name, track in tracks.items()
            for move in track.moves
        }
        for score in found["scores"]:
            check_ledger(score, folded, notes, at)
            met.update(line["what"] for line in score["lines"])
            met.update(name for line in score["lines"] for name in TAKEN if line[name])
        folded.scores = scores(folded, at)
        for track in found["stages"]:
            check_visits(track, folded, notes)
            check_next(track, folded, dues, SimpleNamespace(at=at))
            timed = [(one["timer"], one["entered"]) for one in track["visits"] if "timer" in one]
            timed += [(one["timer"], one["due"]) for one in track["next"] if "timer" in one]
            for timer, due in timed:
                check_counting(timer, due, notes.at_boundary)
                met[timer["kind"]] += 1
            for one in (*track["visits"], *track["next"]):
                met.update(f"{c['asks']} {c['holds']}" for c in one.get("conditions", ()))
                met["told"] += "told" in one
    return met


def _id(line):
    return line["source"], line["event_id"]
