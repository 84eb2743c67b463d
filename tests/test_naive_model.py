"""The naive model is right, and the random cases meet what they are for."""

import ast
import json
from collections import Counter
from datetime import datetime, timedelta
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings

from tests.naive import run
from tests.naive.book import Book
from tests.naive.calendars import WEEKDAYS, Calendar
from tests.naive.decay import ENDLESS, TICKS, after, first_tick_below, kept
from tests.naive.fold import fold
from tests.naive.funnels import Search, earliest_choices
from tests.naive.random_books import random_book
from tests.naive.random_histories import FAULTS, random_history
from tests.naive.random_rules import HOLIDAYS, HOURS, ZONES
from tests.naive.rules import read_rules
from tests.naive.touchpoints import Edge, leads
from tests.naive.units import DAY, instant_us
from tests.strategies import (
    Case,
    cases,
    features,
    not_met,
    random_case,
    seeded_cases,
    settled_history,
    shuffled_deliveries,
)

HERE = Path(__file__).parent
UNDERSTOOD = {"rule_book", "known"}  # what conformance cases may need here
CONFORMANCE = {
    case["name"]: case
    for path in sorted((HERE / "conformance" / "cases").glob("*.json"))
    if (case := json.loads(path.read_text(encoding="utf-8")))["needs"] == []
    or set(case["needs"]) <= UNDERSTOOD
}


@pytest.mark.parametrize("name", CONFORMANCE)
def test_a_conformance_case_comes_out_as_written(name: str) -> None:
    case = CONFORMANCE[name]
    book = [(entry["rules"], entry["effective_at"]) for entry in case["book"]]
    asked = [(read["as_of"], read["known"]) for read in case["reads"]]

    outcome = run(book, case["touchpoints"], asked)

    assert outcome.aside == case["aside"]
    for read, expected in zip(outcome.reads, case["reads"], strict=True):
        assert printed(read.states) == printed(expected["states"])
        assert read.funnels == expected["funnels"]


def printed(states: list[dict[str, Any]]) -> str:
    """As text, so that the order of keys counts and true is not 1."""
    return json.dumps(states, ensure_ascii=False)


def test_the_model_imports_nothing_of_the_product() -> None:
    for path in (HERE / "naive").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not any(module.split(".")[0] in ("engine", "numpy") for module in modules)


@pytest.mark.parametrize("r", [0, 1, 2, 2047, 2048, 4095, *range(7, TICKS, 191)])
def test_the_table_of_factors_is_rounded_to_the_nearest(r: int) -> None:
    """(M - ½)^4096 < 2^(22·4096 - r) < (M + ½)^4096, both sides times 2^4096."""
    power = 2 ** (22 * TICKS - r + TICKS)
    assert (2 * kept(r) - 1) ** TICKS < power < (2 * kept(r) + 1) ** TICKS


@pytest.mark.parametrize(("value", "bound"), [(7, 3), (20_000_000, 19_990_000), (5, 1), (9, 9)])
def test_the_first_tick_below_a_bound_is_what_looking_at_every_tick_finds(
    value: int, bound: int
) -> None:
    half_life, since = 3600 * 1_000_000, 17 * DAY
    size = half_life // TICKS
    base = since // size
    for start in (since, since + 50 * size):
        ticks = range(start // size - base + 1, ENDLESS * TICKS)
        wanted = next(base + tick for tick in ticks if after(value, tick) < bound)
        assert first_tick_below(value, bound, half_life, since, start) == wanted


def test_a_score_never_falls_below_a_bound_that_is_not_above_nothing() -> None:
    assert first_tick_below(5, 0, DAY, 0, 0) is None
    assert first_tick_below(-5, -5, DAY, 0, 0) is None


@pytest.mark.parametrize("zone", ZONES)
def test_open_time_is_the_minutes_in_which_the_wall_clock_shows_open_hours(zone: str) -> None:
    random = Random(zone)
    for start_day in ("2025-10-25", "2025-11-01", "2026-03-07", "2026-03-28", "2026-04-04"):
        calendar = Calendar(
            ZoneInfo(zone),
            {day: random.choice(HOURS) for day in WEEKDAYS},
            frozenset(random.sample(HOLIDAYS, 4)),
        )
        start = instant_us(f"{start_day}T00:00:00Z") + random.randrange(24) * (DAY // 24)
        within = random.choice([60, 90, 360, 720, 1440])
        assert calendar.due(start, within * 60_000_000) == minute_by_minute(calendar, start, within)


def minute_by_minute(calendar: Calendar, start: int, minutes: int) -> int:
    moment = start // 1_000_000
    while minutes > 0:
        local = datetime.fromtimestamp(moment, tz=calendar.zone)
        minutes -= is_open(calendar, local)
        moment += 60
    return moment * 1_000_000


def is_open(calendar: Calendar, local: datetime) -> bool:
    if local.date().isoformat() in calendar.closed:
        return False
    spans = [hours.split("-") for hours in calendar.hours[WEEKDAYS[local.weekday()]]]
    return any(opens <= local.strftime("%H:%M") < closes for opens, closes in spans)


def literal_depth(search: Search, entry: int) -> tuple[int, list[int]]:
    """Depth and reached items, every combination of items tried one by one."""
    reached = [entry]
    later = [place for place in search.everyone[entry + 1 :] if search.in_window(entry, place)]
    for depth in range(1, len(search.steps)):
        ends = [chosen[-1] for chosen in combinations(later, depth) if chain(search, entry, chosen)]
        if not ends:
            break
        reached.append(min(ends))
    return len(reached), reached


def chain(search: Search, entry: int, chosen: tuple[int, ...]) -> bool:
    places = (entry, *chosen)
    return all(
        search.follows(places[number - 1], places[number], search.steps[number])
        for number in range(1, len(places))
    )


def searches(seed: int, size: int) -> list[Search]:
    case = random_case(Random(seed), size)
    rules, edge = read_rules(case.rules), Edge(bytes(32))
    for delivery in case.history:
        edge.deliver(delivery)
    folded = [
        fold(touches, Book.of(case.rules), case.instants[0], Counter())
        for touches in leads(edge.accepted)
    ]
    for lead in folded:
        lead.items = lead.items[:20]
    return [Search(funnel, lead, case.instants[0]) for lead in folded for funnel in rules.funnels]


def test_what_chains_reach_is_what_trying_every_combination_of_items_finds() -> None:
    deepest, hasty = 0, 0
    for seed in range(120):
        for search in searches(seed, size=12):
            if search.funnel.order == "unordered" or len(search.steps) > 4:
                continue
            for attempt in search.attempts:
                depth, reached = literal_depth(search, attempt.entry)
                assert attempt.reached == reached, seed
                deepest = max(deepest, depth)
                hasty += earliest_choices(search, attempt.entry) < depth
    assert deepest >= 3
    assert hasty > 0


@pytest.mark.parametrize(("reason", "change"), FAULTS)
def test_each_random_fault_is_set_aside_with_its_first_reason(
    reason: str, change: dict[str, Any]
) -> None:
    good = {"source": "web", "event_id": "1", "type": "won", "occurred_at": 0}
    who = {"identifiers": [{"kind": "user_id", "value": "u"}]}
    outcome = run('name = "none"', [{**good, **who, **change}], [])
    assert outcome.aside == [{"line": 1, "reason": reason}]


def test_a_touchpoint_too_far_ahead_of_its_receipt_is_set_aside() -> None:
    def told(event_id: str, at: int) -> dict[str, Any]:
        who = [{"kind": "user_id", "value": "u"}]
        return {"source": "web", "event_id": event_id, "type": "won", "occurred_at": at} | {
            "identifiers": who
        }

    five_minutes = timedelta(minutes=5) // timedelta(microseconds=1)
    outcome = run(
        'name = "none"', [told("1", five_minutes), told("2", five_minutes + 1)], [], received_at=0
    )
    assert outcome.aside == [{"line": 2, "reason": "time_in_future"}]


def test_seeded_cases_meet_every_feature() -> None:
    met: Counter[str] = Counter()
    for _, case in seeded_cases(250):
        met += features(case.rules, case.history, case.outcome())
    assert not_met(met) == []


def test_one_seed_is_one_case() -> None:
    assert random_case(Random(11)) == random_case(Random(11))


def test_arrival_order_batches_and_repeats_do_not_matter_to_the_model() -> None:
    for seed, case in seeded_cases(50, size=12):
        kept = settled_history(case.history)
        expected = run(case.rules, kept, case.instants)
        batches = shuffled_deliveries(Random(seed), case.history)

        outcome = run(case.rules, [one for batch in batches for one in batch], case.instants)

        assert outcome.reads == expected.reads, seed
        assert {one["reason"] for one in outcome.aside} == {one["reason"] for one in expected.aside}


def test_the_first_deliveries_decide_what_a_history_comes_to() -> None:
    for seed, case in seeded_cases(50, size=12):
        settled = run(case.rules, settled_history(case.history), case.instants)
        assert case.outcome().reads == settled.reads, seed


def test_random_books_cross_boundaries() -> None:
    met: Counter[str] = Counter()
    for seed in range(40):
        random = Random(seed)
        book = random_book(random)
        history = random_history(random, book[-1][0])
        met += run(book, history, ["2026-03-09T00:00:00Z", "2027-01-01T00:00:00Z"]).met
    assert met["boundary"] > 50
    assert met["timer:at_the_boundary"] > 10


@given(cases(size=6))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_delivery_is_accepted_repeated_or_set_aside(case: Case) -> None:
    outcome = case.outcome()
    lines = [*outcome.accepted, *outcome.duplicates, *(one["line"] for one in outcome.aside)]
    assert sorted(lines) == list(range(1, len(case.history) + 1))
