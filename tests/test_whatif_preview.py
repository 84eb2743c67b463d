"""What lies ahead is told before rule sets are compared."""

import time

from engine.book import Book
from engine.instants import DAY_US
from engine.journal.journal import Journal
from engine.rulefile import parse
from engine.whatif.whatif import Question, Share, WhatIf, history
from tests.storing import store, touch
from tests.test_whatif import RULES


class Slow(Question):
    """Takes its time."""

    def __call__(self, histories) -> Share:
        time.sleep(0.002 * len(histories.touches))
        return super().__call__(histories)


def test_a_preview_says_how_long_it_will_take_within_a_factor_of_two(facts_file, tmp_path):
    store(facts_file, *(touch(f"{lead}", f"email:{lead}") for lead in range(1280)))
    found = Journal.open(tmp_path / "journal")
    found.extend(facts_file, per_bucket=128)
    assert len(found.buckets) == 10
    rules = Book.always(parse(RULES))
    compared = WhatIf(found, Slow(rules, rules, DAY_US))
    preview = compared.preview()
    begun = time.perf_counter()
    assert compared.outcome().leads == 1280
    took = time.perf_counter() - begun
    assert (preview.touchpoints, preview.leads) == (1280, 1280)
    assert 0.5 * took <= preview.seconds <= 2 * took


def test_a_preview_of_what_was_known_tells_leads_and_what_they_had_not_identifiers(
    facts_file, tmp_path
):
    store(facts_file, *(touch(f"{n}", f"email:{n}", f"phone:{n}") for n in range(5)))
    store(facts_file, touch("late", "email:late"))
    rules = Book.always(parse(RULES))
    known = history(facts_file, tmp_path / "journal", known_at=5)
    preview = WhatIf(known, Question(rules, rules, DAY_US)).preview()
    assert (preview.touchpoints, preview.leads) == (5, 5)
