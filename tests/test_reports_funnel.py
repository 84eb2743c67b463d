"""Funnel reports: what each step's figures mean, and who is behind every bar."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import NotObservable, UnknownName
from engine.reports.breakdown import By
from engine.reports.funnel import BARS, Bar, behind, report
from tests.read_side import DAY, RULES, frames, touch

LEADS = {  # in the funnel sale: view, then life.mql, then won, within 60 days; read at day 70
    "all": [touch(0), touch(DAY, type="price_asked"), touch(4 * DAY, type="won")],
    "two": [touch(DAY), touch(2 * DAY, type="price_asked")],  # until day 61: dropped at 3
    "one": [touch(2 * DAY, channel="email")],  # until day 62: dropped at 2
    "young": [touch(50 * DAY, channel="email")],  # until day 110: immature
    "half": [touch(60 * DAY), touch(61 * DAY, type="price_asked")],  # immature at 3
    "void": [touch(3 * DAY), touch(4 * DAY, type="ticket_opened")],
    "never": [touch(3 * DAY, type="email_sent")],
}


@pytest.fixture(scope="module")
def world():
    return frames(RULES, LEADS, 70 * DAY)


def ids(world, *bar, **where):
    return [lead["lead"] for lead in behind(world, "sale", Bar(*bar), **where)]


def test_every_step_tells_reached_rates_immature_and_dropped(world):
    steps = report(world, "sale")["steps"]
    keys = ("reached", "rate_first", "rate_previous", "immature", "dropped", "matured_rate")
    assert [tuple(step[key] for key in keys) for step in steps] == [
        (5, 1.0, None, 0, None, 1.0),
        (3, 3 / 5, 3 / 5, 1, 1, 3 / 4),
        (1, 1 / 5, 1 / 3, 2, 1, 1 / 3),
    ]


def test_excluded_leads_are_in_no_step_and_counted_beside(world):
    document = report(world, "sale")
    assert (document["entered"], document["excluded"]) == (5, 1)
    assert ids(world, "excluded") == ["void"]


def test_the_document_says_what_it_counts_and_when(world):
    document = report(world, "sale")
    assert list(document) == [
        "funnel",
        "label",
        "as_of",
        "counts",
        "steps",
        "entered",
        "excluded",
        "convert",
        "buckets",
    ]
    assert document["as_of"] == "1970-03-12T00:00:00.000000Z"
    assert document["counts"] == "leads"


def test_steps_are_called_by_their_labels_or_those_of_what_they_ask(world):
    steps = report(world, "sale")["steps"]
    assert [(step["name"], step["label"]) for step in steps] == [
        ("view", {"en": "Viewed a page"}),
        ("life.mql", {"en": "Qualified"}),
        ("buy", {"en": "Bought"}),
    ]


def test_steps_in_any_order_have_no_names_of_their_own(world):
    steps = report(world, "both")["steps"]
    assert [step["name"] for step in steps] == ["any 1 of 2", "any 2 of 2"]


def test_behind_each_bar_are_its_leads(world):
    assert ids(world, "reached", 2) == ["all", "two", "half"]
    assert ids(world, "dropped", 2) == ["one"]
    assert ids(world, "immature", 2) == ["young"]
    assert ids(world, "dropped", 3) == ["two"]
    assert ids(world, "immature", 3) == ["young", "half"]


def test_time_to_convert_is_that_of_complete_attempts(world):
    convert = report(world, "sale")["convert"]
    assert (convert["n"], convert["median_us"], convert["median_days"]) == (1, 4 * DAY, 4)


def test_without_a_time_limit_nobody_is_immature_or_dropped(world):
    first, second = report(world, "ever")["steps"]
    assert (second["reached"], second["rate_first"]) == (1, 1 / 6)
    for step in (first, second):
        assert [step[key] for key in ("immature", "dropped", "matured_rate")] == [None] * 3
    with pytest.raises(NotObservable):
        behind(world, "ever", Bar("dropped", 2))


def test_where_every_attempt_counts_so_does_the_list():
    history = [touch(0), touch(DAY, type="price_asked"), touch(2 * DAY), touch(30 * DAY)]
    world = frames(RULES, {"a": history}, 31 * DAY)
    document = report(world, "each")
    assert document["counts"] == "attempts"
    assert [step["reached"] for step in document["steps"]] == [3, 1]
    assert [step["immature"] for step in document["steps"]] == [0, 1]
    assert behind(world, "each", Bar("reached", 1)) == [
        {"lead": "a", "entered": "1970-01-01T00:00:00.000000Z"},
        {"lead": "a", "entered": "1970-01-03T00:00:00.000000Z"},
        {"lead": "a", "entered": "1970-01-31T00:00:00.000000Z"},
    ]


def test_nothing_reached_leaves_rates_null_and_not_zero():
    document = report(frames(RULES, {}, DAY), "sale", By(("owner",)))
    assert [step["reached"] for step in document["steps"]] == [0, 0, 0]
    for step in document["steps"]:
        assert [step[k] for k in ("rate_first", "rate_previous", "matured_rate")] == [None] * 3
    assert (document["convert"]["n"], document["buckets"]) == (0, [])


def test_leads_are_bucketed_after_matching(world):
    by = By(("channel",))
    document = report(world, "sale", by)
    reached = {
        bucket["by"]["channel"]: [step["reached"] for step in bucket["steps"]]
        for bucket in document["buckets"]
    }
    assert reached == {"other": [3, 3, 1], "email": [2, 0, 0]}
    assert ids(world, "dropped", 2, by=by, bucket={"channel": "email"}) == ["one"]


@pytest.mark.parametrize(
    ("name", "bar", "bucket"),
    [
        ("nothing", Bar(), None),
        ("sale", Bar("won", 1), None),
        ("sale", Bar("reached", 4), None),
        ("sale", Bar("reached", 0), None),
        ("sale", Bar(), {"channel": "sms"}),
    ],
)
def test_what_is_not_there_is_named(world, name, bar, bucket):
    with pytest.raises(UnknownName):
        behind(world, name, bar, By(("channel",)), bucket)


TYPES = st.sampled_from(["page_viewed", "price_asked", "won", "ticket_opened"])


@st.composite
def worlds(draw):
    leads = {
        f"lead-{number}": [
            touch(
                draw(st.integers(0, 30)) * DAY,
                event_id=f"{number}-{index}",
                type=draw(TYPES),
                channel=draw(st.sampled_from(["email", "phone"])),
            )
            for index in range(draw(st.integers(0, 5)))
        ]
        for number in range(draw(st.integers(0, 8)))
    }
    return frames(RULES, leads, draw(st.integers(0, 90)) * DAY)


@settings(max_examples=60, deadline=None)
@given(worlds(), st.sampled_from(["sale", "each", "both"]))
def test_a_bars_count_is_the_length_of_its_list_and_buckets_add_up(world, name):
    by = By(("channel", "month"))
    document = report(world, name, by)
    for step in document["steps"]:
        for kind in BARS[:3]:
            bar = Bar(kind, step["step"])
            counts = [bucket["steps"][step["step"] - 1][kind] for bucket in document["buckets"]]
            if step[kind] is not None:
                assert step[kind] == len(behind(world, name, bar)) == sum(counts)
            for bucket, count in zip(document["buckets"], counts, strict=True):
                if count is not None:
                    assert count == len(behind(world, name, bar, by, bucket["by"]))
    for key in ("entered", "excluded"):
        assert document[key] == sum(bucket[key] for bucket in document["buckets"])


@settings(max_examples=60, deadline=None)
@given(worlds(), st.sampled_from(["sale", "each", "both"]))
def test_who_reached_a_step_goes_on_drops_out_or_is_still_on_the_way(world, name):
    steps = report(world, name)["steps"]
    for before, step in pairwise(steps):
        going = behind(world, name, Bar("reached", before["step"]))
        waiting = [
            lead for lead in behind(world, name, Bar("immature", step["step"])) if lead in going
        ]
        assert before["reached"] == step["reached"] + step["dropped"] + len(waiting)
