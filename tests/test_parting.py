"""Where two folds part: against the naive model, and one changed key at a time."""

from collections import Counter
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from engine.book import Book
from engine.folding import fold
from engine.parting import BY, WHATS, compare
from engine.rulefile import parse
from engine.shared_names import Shared
from tests.naive.book import Book as NaiveBook
from tests.naive.fold import apply, cross
from tests.naive.fold import fold as naive_fold
from tests.naive.lead import Lead
from tests.naive.random_books import changed
from tests.naive.random_histories import HOUR, STARTS, random_history
from tests.naive.random_rules import Maker, toml_text
from tests.naive.rules import Move
from tests.naive.states import state
from tests.naive.touchpoints import Edge, leads
from tests.naive.units import DAY, instant_us
from tests.nudges import nudged
from tests.storeless import histories, take

NOBODY = Counter()
FAR = 40 * DAY


class Model:
    """Two books, the naive way: every step of a lead is folded anew, and compared by name."""

    def __init__(self, before, after, shared, as_of):
        self.books, self.shared, self.as_of = (before, after), shared, as_of

    def standing(self, lead, book, at):
        """What is compared of a lead."""
        shown = state(lead, book.in_force(at), at)
        runs = [
            (run.clock, run.started, run.due, run.ended, run.end)
            for run in sorted(lead.runs, key=lambda run: (run.clock, run.started))
            if run.clock in self.shared.clocks
        ]
        told = {
            **{("score", name): shown["scores"].get(name, 0) for name in self.shared.scores},
            **{("stage", name): shown["stages"].get(name) for name in self.shared.tracks},
            **{
                ("clock", name): [run for run in runs if run[0] == name]
                for name in self.shared.clocks
            },
        }
        if all(one.in_force(at) is one.in_force(self.as_of) for one in self.books):
            segments = {
                ("segment", name): name in shown["segments"] for name in self.shared.segments
            }
            told |= segments
        return told

    def differences(self, touches, at):
        """What differs as of an instant: both values, by what it is."""
        one, other = (
            self.standing(naive_fold(touches, book, at, NOBODY), book, at) for book in self.books
        )
        both = one.keys() & other.keys()
        return {what: (one[what], other[what]) for what in both if one[what] != other[what]}

    def parting(self, touches):
        """(by what, which touch or None, when) the two part first."""
        for index, touch in enumerate(touches):
            if touch.at > self.as_of:
                break
            known = touches[: index + 1]
            one, other = (
                self.standing(applied(known, book), book, touch.at) for book in self.books
            )
            if one != other:
                return "touchpoint", touch, touch.at
            later = [one.at for one in touches[index + 1 :]]
            until = min([*later[:1], self.as_of + 1]) - 1
            for at in self.timed(known, until):
                if self.differences(known, at):
                    return "timer", None, at
        return "time", None, self.as_of

    def timed(self, touches, until):
        """When timed moves were taken after the last of some touches, in either book."""
        return sorted(
            {
                visit.entered
                for book in self.books
                for visit in naive_fold(touches, book, until, NOBODY).visits
                if isinstance(visit.cause, Move) and visit.entered >= touches[-1].at
                if until >= touches[-1].at
            }
        )


def applied(touches, book):
    """A lead directly after its last touch: what is due at the same instant comes later."""
    last = touches[-1].at
    boundaries = [at for at in book.boundaries() if at <= last]
    lead = Lead(book.in_force(boundaries[0] - 1 if boundaries else last), NOBODY)
    lead.scores = {score.name: 0 for score in lead.rules.scores}
    for touch in touches:
        while boundaries and boundaries[0] <= touch.at:
            cross(lead, book, boundaries.pop(0))
        apply(lead, touch)
    return lead


def engine_book(entries):
    return Book.of((since, parse(toml)) for toml, since in entries)


def random_books(random):
    """A book of one or two rule sets, another to compare with, and the key if one alone differs."""
    rules = Maker(random).make()
    if random.random() < 0.7:
        other, key = nudged(random, rules)
        return [(toml_text(rules), None)], [(toml_text(other), None)], key
    tables = [rules, changed(random, rules)]
    tables.append(nudged(random, random.choice(tables))[0])
    first, second, third = map(toml_text, tables)
    since = instant_us(f"{random.choice(STARTS)}T00:00:00Z") + random.randrange(20) * 6 * HOUR
    return [(first, None), (second, since)], [(third, None)], None


def named(found, touch):
    """Source and event id of a touch."""
    (source,) = found.strings.texts([int(found.touches["source"][touch])])
    return source, found.event_id(touch)


def check_case(seed):
    """Compare as the engine does and as the naive model does; what was met."""
    random = Random(seed)
    before, after, key = random_books(random)
    told = random_history(random, after[0][0])
    found = histories(take(told).accepted)
    found = replace(found, numbers=np.arange(len(found.leads)))
    books = engine_book(before), engine_book(after)
    as_of = int(found.touches["occurred_at"].max(initial=0)) + random.choice([0, DAY, FAR, -HOUR])
    one, other = (fold(found, book, as_of) for book in books)
    shared = Shared.of(one.rules, other.rules)
    parted = compare(one, other)
    model = Model(NaiveBook.of(before), NaiveBook.of(after), shared, as_of)
    edge = Edge(bytes(32))
    for delivery in told:
        edge.deliver(delivery)
    people = {touches[0].id: touches for touches in leads(edge.accepted)}
    met = Counter()
    listed = {row["lead"]: row for row in parted.leads.iter_rows(named=True)}
    for lead, begin in enumerate(found.starts[:-1].tolist()):
        touches = people[named(found, begin)]
        differ = model.differences(touches, as_of) if touches[0].at <= as_of else {}
        rows = parted.differences.filter(lead=lead).iter_rows(named=True)
        assert {told_of(row, shared) for row in rows} == {*differ}, seed
        if not differ:
            assert lead not in listed, seed
            continue
        by, touch, at = model.parting(touches)
        row = listed[lead]
        position = row["position"]
        touch_there = np.flatnonzero(found.positions == position)
        parting = None if position is None else named(found, *touch_there.tolist())
        assert (BY[row["by"]], parting, row["at"]) == (by, touch and touch.id, at), seed
        assert key in (None, row["key"]), seed
        met.update([by, *(what for what, _ in differ), "key:" + part_of(row["key"])])
        met["two eras"] += len(one.eras) > 1
    return met


def part_of(key):
    """What a key is about, without names and numbers: score.earn.points."""
    first, *rest = key.split("[")[0].split(".")
    return ".".join([first, *rest[1:]])


def told_of(row, shared):
    names = (shared.scores, shared.tracks, shared.clocks, shared.segments)[row["what"]]
    return WHATS[row["what"]], names[row["name"]]


@pytest.mark.parametrize("sweep", range(2))
def test_folds_part_where_folding_every_step_anew_says(sweep, say):
    met = sum(map(check_case, range(200 + 120 * sweep, 320 + 120 * sweep)), Counter())
    say(f"parting, sweep {sweep}: {', '.join(f'{name} {n}' for name, n in sorted(met.items()))}")
    assert min(met[name] for name in (*BY, *WHATS, "two eras")) > 3
