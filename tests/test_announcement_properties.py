"""What is announced against the naive model: random people, rules, steps and deaths."""

from collections import Counter
from random import Random

import pytest

from engine import announcements
from engine.announcement import KINDS
from engine.store.facts import Facts
from tests.announcing import (
    Died,
    World,
    check_each,
    check_segments,
    check_what_stands,
    what_is_so,
)
from tests.naive.random_books import random_book
from tests.naive.random_people import random_people
from tests.naive.random_rules import random_rules
from tests.naive.units import DAY, instant_us
from tests.storing import seeds_over_each
from tests.strategies import settled_history


def world(facts, random, book):
    """A store of these rules, a history to come, and an announcer that may have begun."""
    history = settled_history(random_people(random, book[-1][0], size=30))
    first = min(instant_us(one["occurred_at"]) for one in history)
    made = World(facts, random, max(1, first + random.choice([-DAY, 0, DAY // 2])))
    for entry in book:
        made.publish(entry)
    return made, history


def one_rule_set(random):
    return [(random_rules(random), None)]


def several(random):
    book = random_book(random)
    return [(book[0][0], None), *book[1:]]


@pytest.fixture
def mortal(monkeypatch):
    """Announcers may die wherever something was written, and be followed by others."""
    random = Random(7)

    def die(name):
        if random.randrange(100) < 12:
            raise Died

    monkeypatch.setattr(announcements, "reached", die)


@seeds_over_each(sqlite=40, postgresql=5)
def test_what_stands_is_what_the_naive_model_comes_to(seed, facts_url, mortal):
    random = Random(seed)
    with Facts.open(facts_url) as facts:
        made, history = world(facts, random, one_rule_set(random))
        made.announcer.begin()
        made.live(history)
        check_what_stands(made)
        check_segments(made)
        check_each(made)


@seeds_over_each(sqlite=30, postgresql=5)
def test_so_it_is_where_rules_come_into_force_one_after_another(seed, facts_url, mortal):
    random = Random(1_000 + seed)
    with Facts.open(facts_url) as facts:
        made, history = world(facts, random, several(random))
        made.announcer.begin()
        made.live(history)
        check_what_stands(made)
        check_each(made)


@seeds_over_each(sqlite=30, postgresql=5)
def test_so_it_is_where_rules_are_published_meanwhile(seed, facts_url, mortal):
    random = Random(2_000 + seed)
    with Facts.open(facts_url) as facts:
        book = random_book(random)
        made, history = world(facts, random, [(book[0][0], None)])
        made.announcer.begin()
        made.live(history, book[1:])
        check_what_stands(made)
        check_each(made)


@seeds_over_each(sqlite=20, postgresql=5)
def test_begun_in_the_middle_it_tells_all_but_what_was_so_already(seed, facts_url, mortal):
    random = Random(3_000 + seed)
    with Facts.open(facts_url) as facts:
        made, history = world(facts, random, one_rule_set(random))
        made.record(*history[: len(history) // 2])
        made.announcer.begin()
        began = what_is_so(made)
        made.live(history[len(history) // 2 :])
        check_what_stands(made, began)
        check_segments(made)
        check_each(made)


@seeds_over_each(sqlite=20, postgresql=5)
def test_from_the_beginning_it_tells_all(seed, facts_url, mortal):
    random = Random(4_000 + seed)
    with Facts.open(facts_url) as facts:
        made, history = world(facts, random, one_rule_set(random))
        for one in history:
            made.record(one)
            made.clock.now += random.choice([0, 1, DAY // 4])
        made.announcer.begin(from_beginning=True)
        made.announce()
        check_what_stands(made)
        check_segments(made)
        check_each(made)


def test_random_worlds_meet_all_that_can_be_told(tmp_path, mortal, say):
    kinds, deaths = Counter(), 0
    for seed in range(12):
        random = Random(5_000 + seed)
        with Facts.open(tmp_path / f"{seed}.db") as facts:
            made, history = world(facts, random, one_rule_set(random))
            made.announcer.begin()
            made.live(history)
            kinds.update(one.kind for one in made.told())
            deaths += made.deaths
    assert all(kinds[kind] > 1 for kind in KINDS), kinds
    assert deaths > 20
    said = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    say(f"announcements of 12 random worlds: {said}; {deaths} deaths")
