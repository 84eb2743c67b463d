"""What folded leads say that can be announced, and until when they go on saying so."""

from random import Random

import numpy as np
import pytest

from engine.announceable import announceable, dues
from engine.announcement import TimedMove, TouchpointId
from engine.book import Book
from engine.folding import fold
from engine.history import NEVER
from engine.rulefile import parse
from tests.naive.decay import first_tick_below
from tests.naive.random_books import random_book
from tests.naive.random_histories import random_history
from tests.naive.random_rules import random_rules
from tests.naive.units import instant_us
from tests.read_side import DAY, HOUR, MINUTE, RULES, folded, histories, touch
from tests.storeless import histories as storeless_histories
from tests.storeless import take
from tests.strategies import random_instants

ASKED = [touch(DAY), touch(2 * DAY, type="price_asked")]  # a visitor, then an mql: to be answered
ANSWER_DUE = 3 * DAY  # within a day


def said(as_of, *touchpoints, rules=RULES, soon_us=None):
    return announceable(folded(rules, {"an": list(touchpoints)}, as_of), soon_us)


def facts(as_of, *touchpoints, **more):
    return set(said(as_of, *touchpoints, **more).facts[0])


def due(as_of, *touchpoints, rules=RULES, soon_us=None):
    found = dues(folded(rules, {"an": list(touchpoints)}, as_of), soon_us)
    return found.at.tolist()[0], found.ahead.tolist()[0]


def inside(as_of, *touchpoints):
    """The segments that the one lead is in."""
    found = said(as_of, *touchpoints)
    names = [segment.name for segment in found.folded.rules.segments]
    return {name for name, member in zip(names, found.members[0], strict=True) if member}


VISITOR, MQL = ("stage_entered", "life.visitor", DAY), ("stage_entered", "life.mql", 2 * DAY)
LATE = ("clock_breached", "answer", ANSWER_DUE)


def test_every_stage_that_was_entered_is_said_even_if_it_was_left():
    assert facts(2 * DAY, *ASKED) == {VISITOR, MQL}
    assert facts(2 * DAY - 1, *ASKED) == {VISITOR}


def test_a_stage_entered_twice_at_one_instant_is_said_once():
    twice = [
        touch(DAY, sequence=1),
        touch(DAY, sequence=2, type="won", event_id="2"),
        touch(DAY, sequence=3, type="price_asked", event_id="3"),
        touch(DAY, sequence=4, type="lost", event_id="4"),
        touch(DAY, sequence=5, type="reopened", event_id="5"),
    ]
    entered = [key for key in said(DAY, *twice).facts[0] if key[1] == "life.mql"]
    assert entered == [("stage_entered", "life.mql", DAY)]


def test_a_clock_is_breached_from_the_microsecond_after_it_was_due():
    assert facts(ANSWER_DUE, *ASKED) == {VISITOR, MQL}
    assert facts(ANSWER_DUE + 1, *ASKED) == {VISITOR, MQL, LATE}


@pytest.mark.parametrize(("stopped", "breached"), [(ANSWER_DUE, False), (ANSWER_DUE + 1, True)])
def test_a_clock_that_was_stopped_too_late_stays_breached(stopped, breached):
    bought = touch(stopped, type="won")
    assert (LATE in facts(9 * DAY, *ASKED, bought)) is breached


def test_a_clock_is_due_soon_until_it_is_due_or_stopped():
    soon = ("clock_due_soon", "answer", ANSWER_DUE - HOUR)
    for as_of, told in (
        (ANSWER_DUE - HOUR - 1, False),
        (ANSWER_DUE - HOUR, True),
        (ANSWER_DUE, True),
        (ANSWER_DUE + 1, False),
    ):
        assert (soon in facts(as_of, *ASKED, soon_us=HOUR)) is told
    bought = touch(ANSWER_DUE - MINUTE, type="won")
    assert soon not in facts(ANSWER_DUE, *ASKED, bought, soon_us=HOUR)
    assert soon not in facts(ANSWER_DUE, *ASKED)


def test_a_clock_that_has_less_time_than_is_soon_is_due_soon_from_its_start():
    asked = ("clock_due_soon", "answer", 2 * DAY)
    assert asked in facts(2 * DAY, *ASKED, soon_us=30 * DAY)


def test_nothing_is_said_of_a_lead_that_is_yet_to_come():
    before = said(DAY - 1, *ASKED)
    assert (before.facts, before.members.any(), before.exists(0)) == ([{}], False, False)


def test_a_lead_says_of_a_segment_whether_it_is_in_it():
    keen, silent = ("segment_joined", "keen", 0), ("segment_joined", "silent", 0)
    there = said(DAY, *ASKED)  # 8 points, and 6 make keen
    assert (there.holds(0, keen), there.holds(0, silent)) == (True, False)
    assert there.holds(0, ("segment_left", "silent", 0))
    assert not there.holds(0, ("segment_left", "keen", 0))
    assert not there.holds(0, ("segment_joined", "unheard_of", 0))
    assert not there.holds(None, ("segment_left", "silent", 0))
    assert not said(0, *ASKED).holds(0, ("segment_left", "silent", 0))  # not there yet
    assert there.holds(0, VISITOR)
    assert not there.holds(0, MQL)


def test_why_it_is_so_is_the_touchpoint_or_the_timed_move_that_did_it():
    cold = ("stage_entered", "life.cold", 31 * DAY)
    found = said(31 * DAY, touch(DAY))
    assert found.cause(0, VISITOR, touched=True) == TouchpointId("web", f"e{DAY}")
    assert found.cause(0, cold, touched=False) == TimedMove("after_silence", 5)
    joined = ("segment_joined", "silent", 21 * DAY)
    assert found.cause(0, joined, touched=False) is None
    assert found.cause(0, joined, touched=True) == TouchpointId("web", f"e{DAY}")
    breached = said(ANSWER_DUE + 1, *ASKED)
    assert (breached.cause(0, LATE, touched=True), breached.due(0, LATE)) == (None, ANSWER_DUE)
    assert breached.due(0, MQL) is None


# When it changes by time alone

KEEN_UNTIL = first_tick_below(8_000_000, 6_000_000, 30 * DAY, DAY, DAY) * (30 * DAY // 4096)


@pytest.mark.parametrize(
    ("as_of", "at"),
    [
        (DAY, KEEN_UNTIL),  # the score fades below what makes keen
        (KEEN_UNTIL, 21 * DAY),  # silent for 20 days
        (21 * DAY, 31 * DAY),  # and for 30: cold
        (31 * DAY, NEVER),
    ],
)
def test_a_lead_is_due_when_time_changes_what_it_says_next(as_of, at):
    assert due(as_of, touch(DAY)) == (at, False)


def test_a_clock_is_due_where_it_comes_near_to_its_end_and_right_after_it():
    assert due(2 * DAY, *ASKED) == (ANSWER_DUE + 1, False)
    assert due(2 * DAY, *ASKED, soon_us=HOUR) == (ANSWER_DUE - HOUR, False)
    assert due(ANSWER_DUE - HOUR, *ASKED, soon_us=HOUR) == (ANSWER_DUE + 1, False)
    assert due(ANSWER_DUE, *ASKED) == (ANSWER_DUE + 1, False)
    assert due(ANSWER_DUE + 1, *ASKED)[0] > ANSWER_DUE + 1


def test_a_touchpoint_that_lies_ahead_is_told_from_what_time_alone_does():
    assert due(DAY, touch(DAY), touch(DAY + HOUR)) == (DAY + HOUR, True)
    assert due(DAY, touch(DAY), touch(28 * DAY)) == (KEEN_UNTIL, False)
    assert due(0, touch(DAY)) == (DAY, True)


RISING = """
name = "rising"
[[signal]]
name = "bad"
type = "ticket_opened"
[[score]]
name = "health"
half_life = "1d"
floor = -100
[[score.earn]]
signal = "bad"
points = -8
[[segment]]
name = "well"
where = { score = "health", at_least = -1 }
[[segment]]
name = "fine"
where = { score = "health", below = 0 }
"""


def test_a_score_below_nothing_rises_above_a_bound_when_its_size_falls_below_it():
    opened = touch(DAY, type="ticket_opened")
    tick = DAY // 4096
    well = first_tick_below(8_000_000, 1_000_001, DAY, DAY, DAY) * tick  # -1 or more: not below it
    nothing_left = first_tick_below(8_000_000, 1, DAY, DAY, DAY) * tick
    assert due(DAY, opened, rules=RISING) == (well, False)
    assert due(well, opened, rules=RISING) == (nothing_left, False)
    assert due(nothing_left, opened, rules=RISING) == (NEVER, False)
    assert [said(at, opened, rules=RISING).members.tolist()[0] for at in (well - 1, well)] == [
        [False, True],
        [True, True],
    ]
    assert said(nothing_left, opened, rules=RISING).members.tolist() == [[True, False]]


def everything(histories_, book, at, soon_us):
    """All that leads say, lead by lead."""
    found = announceable(fold(histories_, book, at), soon_us)
    rules = found.folded.rules
    inside = [
        [s.name for s, m in zip(rules.segments, row, strict=True) if m] for row in found.members
    ]
    return [(set(one), names) for one, names in zip(found.facts, inside, strict=True)]


@pytest.mark.parametrize("seed", range(120))
def test_until_a_lead_is_due_it_says_the_same(seed):
    random = Random(seed)
    text = random_rules(random)
    history = random_history(random, text, size=10)
    found = storeless_histories(take(history).accepted)
    book, soon_us = Book.always(parse(text)), random.choice([None, HOUR, DAY])
    for at in random_instants(random, text, history):
        now = everything(found, book, at, soon_us)
        for lead, until in enumerate(dues(fold(found, book, at), soon_us).at.tolist()):
            last = min(until - 1, instant_us("2099-12-31T00:00:00Z"))
            for later in {last, random.randint(at, max(at, last))}:
                assert everything(found, book, later, soon_us)[lead] == now[lead]


@pytest.mark.parametrize("seed", range(60))
def test_until_a_lead_is_due_it_says_the_same_after_a_change_of_rules_too(seed):
    random = Random(1_000 + seed)
    entries = random_book(random)
    book = Book.of(
        (None if since is None else instant_us(since), parse(toml)) for toml, since in entries
    )
    history = random_history(random, entries[-1][0], size=10)
    found = storeless_histories(take(history).accepted)
    if not len(found.touches):
        return
    times = sorted({*found.touches["occurred_at"].tolist(), *(era.since for era in book.eras)})
    at = max(0, random.choice(times) + random.choice([0, 1, DAY]))
    now = everything(found, book, at, HOUR)
    era = book.next_after(at) or NEVER
    for lead, until in enumerate(dues(fold(found, book, at), HOUR).at.tolist()):
        last = min(until, era, instant_us("2099-12-31T00:00:00Z")) - 1
        assert everything(found, book, max(at, last), HOUR)[lead] == now[lead]


def test_no_leads_say_nothing():
    none = fold(histories({}), Book.always(parse(RULES)), DAY)
    assert announceable(none).facts == []
    assert np.array_equal(dues(none).at, np.array([], np.int64))
