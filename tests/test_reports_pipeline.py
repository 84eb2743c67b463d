"""Pipeline reports: who stands where with how much, how it ends and how long it takes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.reports.breakdown import By
from engine.reports.pipeline import report
from engine.touchpoint import Money
from tests.read_side import DAY, RULES, frames, touch

VND = Money(1_000_001, "VND")


def opened(at, amount):
    return touch(at, event_id=f"o{at}", type="opportunity_opened", amount=amount)


LEADS = {  # read at day 60
    "buyer": [touch(0), touch(2 * DAY, type="price_asked"), touch(6 * DAY, type="won", amount=VND)],
    "asked": [touch(50 * DAY, type="price_asked"), opened(51 * DAY, VND)],
    "again": [touch(40 * DAY, type="price_asked"), opened(41 * DAY, Money(300, "USD"))],
    "lost": [touch(10 * DAY), touch(13 * DAY, type="lost")],
    "back": [touch(20 * DAY), touch(21 * DAY, type="lost"), touch(52 * DAY, type="reopened")],
    "fresh": [touch(59 * DAY)],
    "mute": [touch(0, type="email_sent")],
}


@pytest.fixture(scope="module")
def world():
    return frames(RULES, LEADS, 60 * DAY)


def track(world, by=None):
    return report(world, by)["tracks"][0]


def stages(document):
    return {stage["stage"]: stage for stage in document["stages"]}


def test_every_stage_counts_who_stands_in_it(world):
    document = report(world)
    assert (document["as_of"], document["leads"]) == ("1970-03-02T00:00:00.000000Z", 7)
    counts = {name: stage["count"] for name, stage in stages(track(world)).items()}
    assert counts == {"visitor": 1, "mql": 3, "customer": 0, "gone": 1, "cold": 1}


def test_money_of_different_currencies_is_never_added(world):
    shown = stages(track(world))
    assert shown["mql"]["value"] == {"USD": 300, "VND": 1_000_001}
    assert shown["cold"]["value"] == {"VND": 1_000_001}
    assert shown["visitor"]["value"] == {}


def test_weighted_value_is_in_whole_minor_units_and_null_without_a_probability(world):
    shown = stages(track(world))
    assert shown["mql"]["weighted"] == {"USD": 75, "VND": 250_000}
    assert shown["cold"]["weighted"] is None
    assert shown["customer"]["weighted"] == {}


def test_age_is_that_of_open_visits(world):
    age = stages(track(world))["mql"]["age"]  # since days 50, 40 and 52
    assert (age["n"], age["median_us"], age["median_days"]) == (3, 10 * DAY, 10)
    assert stages(track(world))["customer"]["age"]["median_us"] is None


def test_a_customer_gone_cold_is_still_won_and_a_reopened_lead_is_lost_no_more(world):
    document = track(world)
    assert (document["won"], document["lost"], document["win_rate"]) == (1, 1, 0.5)


def test_the_win_rate_of_a_stage_is_that_of_all_who_were_in_it(world):
    shown = stages(track(world))
    assert {name: shown[name]["win_rate"] for name in ("visitor", "mql", "cold")} == {
        "visitor": 0.5,
        "mql": 1.0,
        "cold": 1.0,
    }
    assert (shown["gone"]["won"], shown["gone"]["lost"], shown["gone"]["win_rate"]) == (0, 1, 0.0)


def test_win_rate_is_null_where_nothing_has_ended():
    world = frames(RULES, {"a": [touch(0)]}, DAY)
    assert track(world)["win_rate"] is None


def test_cycles_run_from_the_first_touch_to_the_first_won_or_lost_stage(world):
    document = track(world)
    won, lost = document["time_to_won"], document["time_to_lost"]
    assert (won["n"], won["mean_us"], won["median_days"]) == (1, 6 * DAY, 6)
    assert (lost["n"], lost["mean_us"], lost["p90_days"]) == (1, 3 * DAY, 3)


def test_a_lead_won_again_counts_once_with_its_first_win():
    history = [touch(0), touch(DAY, type="won"), touch(2 * DAY, type="reopened")]
    world = frames(RULES, {"a": [*history, touch(5 * DAY, type="won")]}, 6 * DAY)
    assert track(world)["time_to_won"]["median_us"] == DAY


def test_a_breakdown_has_the_same_figures_for_each_bucket(world):
    document = track(world, By(("month",)))
    shown = {bucket["by"]["month"]: bucket for bucket in document["buckets"]}
    counts = {month: stages(bucket)["mql"]["count"] for month, bucket in shown.items()}
    assert counts == {"1970-01": 1, "1970-02": 2, "1970-03": 0}
    assert shown["1970-02"]["win_rate"] is None


TYPES = st.sampled_from(["page_viewed", "price_asked", "won", "lost", "opportunity_opened"])


@st.composite
def worlds(draw):
    leads = {
        f"lead-{number}": [
            touch(
                draw(st.integers(0, 40)) * DAY,
                event_id=f"{number}-{index}",
                type=draw(TYPES),
                channel=draw(st.sampled_from(["email", "phone", "sms"])),
                amount=draw(st.sampled_from([None, VND, Money(7, "USD")])),
            )
            for index in range(draw(st.integers(0, 4)))
        ]
        for number in range(draw(st.integers(0, 8)))
    }
    return frames(RULES, leads, 60 * DAY)


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_buckets_add_up_to_the_total(world):
    document = track(world, By(("channel", "source"), top=2))
    for key in ("won", "lost"):
        assert document[key] == sum(bucket[key] for bucket in document["buckets"])
    for at, stage in enumerate(document["stages"]):
        parts = [bucket["stages"][at] for bucket in document["buckets"]]
        assert stage["count"] == sum(part["count"] for part in parts)
        assert stage["age"]["n"] == sum(part["age"]["n"] for part in parts)
        for currency, minor in stage["value"].items():
            assert minor == sum(part["value"].get(currency, 0) for part in parts)
