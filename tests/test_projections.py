"""Read models: rows are derived from folded histories, a lead's from its own alone."""

import json
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.projections.projection import (
    CLOCK_RUNS,
    DUE,
    FUNNEL,
    LEADS,
    PROJECTIONS,
    STAGE_VISITS,
    derived,
)
from engine.touchpoint import Campaign, Money
from tests.read_side import DAY, HOUR, RULES, folded, frames, touch


def rows(projection, leads, as_of):
    return projection.derive(folded(RULES, leads, as_of)).to_dicts()


def test_a_lead_is_one_row_with_both_ends_of_its_history():
    history = [
        touch(5, type="assigned", attributes={"owner": "rep-1"}, channel="phone"),
        touch(7, source="crm", type="won", amount=Money(250, "THB"), channel="shop"),
        touch(3, channel="email"),
    ]
    (lead,) = rows(LEADS, {"a": history}, DAY)
    assert lead | {"first_values": ""} == {
        "lead": 0,
        "id": "a",
        "touchpoints": 3,
        "first_at": 3,
        "last_at": 7,
        "first_source": "web",
        "first_event_id": "e3",
        "first_channel": "email",
        "last_source": "crm",
        "last_event_id": "e7",
        "last_channel": "shop",
        "owner": "rep-1",
        "value_minor": 250,
        "value_currency": "THB",
        "anomalies": 0,
        "seen": 0b1101,  # view, deal, buy
        "stage_1": "customer",
        "since_1": 7,
        "score_1": 8_000_000,
        **{f"stage_{track}": None for track in (2, 3, 4)},
        **{f"since_{track}": None for track in (2, 3, 4)},
        **{f"score_{score}": None for score in (2, 3, 4)},
        "first_values": "",
    }


def test_what_a_lead_does_not_have_is_null():
    (lead,) = rows(LEADS, {"a": [touch(1, type="email_sent")]}, DAY)
    missing = ("owner", "value_minor", "value_currency", "stage_1", "since_1")
    assert [lead[name] for name in missing] == [None] * 5


def test_a_lead_without_folded_touchpoints_has_no_row_but_is_due_when_one_comes():
    leads = {"none": [], "ahead": [touch(9 * DAY)], "here": [touch(1, type="email_sent")]}
    result = folded(RULES, leads, DAY)
    assert LEADS.derive(result)["id"].to_list() == ["here"]
    assert STAGE_VISITS.derive(result).is_empty()
    assert DUE.derive(result).rows() == [(1, 9 * DAY)]


def test_a_lead_is_due_at_its_next_timed_move():
    assert rows(DUE, {"a": [touch(DAY)]}, 2 * DAY) == [{"lead": 0, "at": 31 * DAY}]
    assert rows(DUE, {"a": [touch(DAY)]}, 31 * DAY) == []


def first_values(*history):
    (lead,) = rows(LEADS, {"a": history}, DAY)
    return json.loads(lead["first_values"])


def test_the_first_value_is_that_of_the_first_touchpoint_that_has_one():
    assert first_values(
        touch(3, attributes={"path": "/late", "topic": "price"}),
        touch(1, campaign=Campaign(medium="cpc")),
        touch(2, attributes={"path": "/early"}, campaign=Campaign(source="x", medium="mail")),
    ) == {
        "campaign.medium": "cpc",
        "campaign.source": "x",
        "attributes.path": "/early",
        "attributes.topic": "price",
    }


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("", ""),
        ('a "b"\n\\', 'a "b"\n\\'),
        ("thị trường", "thị trường"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-(2**63), str(-(2**63))),
        (3.0, "3"),
        (-2.5, "-2.5"),
        (0.1, "0.1"),
    ],
)
def test_every_kind_of_value_has_one_spelling(value, word):
    assert first_values(touch(1, attributes={"it": value})) == {"attributes.it": word}


def test_touchpoints_that_lie_ahead_say_nothing_yet():
    ahead = touch(DAY + 1, attributes={"path": "/x"})
    assert first_values(touch(1), ahead) == {}


def test_visits_name_the_touchpoint_or_the_timed_move_that_caused_them():
    history = [touch(1), touch(2, type="price_asked", source="crm"), touch(3, type="won")]
    shown = rows(STAGE_VISITS, {"a": history}, 40 * DAY)
    telling = ("number", "stage", "entered_at", "left_at", "cause_source", "cause_event_id", "move")
    assert [tuple(visit[name] for name in telling) for visit in shown] == [
        (1, "visitor", 1, 2, "web", "e1", None),
        (2, "mql", 2, 3, "crm", "e2", None),
        (3, "customer", 3, 30 * DAY + 3, "web", "e3", None),
        (4, "cold", 30 * DAY + 3, None, None, None, 5),
    ]
    assert [visit["direction"] for visit in shown] == ["enter", "advance", "advance", "advance"]


def test_a_second_stay_in_a_stage_is_counted_and_a_fall_is_called_so():
    history = [touch(1, type="won"), touch(2, type="price_asked"), touch(3, type="won")]
    shown = rows(STAGE_VISITS, {"a": history}, DAY)
    told = [(v["number"], v["stage"], v["visit"], v["direction"]) for v in shown]
    assert told == [
        (1, "customer", 1, "enter"),
        (2, "mql", 1, "fall"),
        (3, "customer", 2, "advance"),
    ]


def test_an_open_clock_run_has_no_end_and_keeps_its_due_instant():
    history = [touch(0, type="price_asked"), touch(HOUR, type="won"), touch(DAY, type="reopened")]
    shown = rows(CLOCK_RUNS, {"a": history}, 9 * DAY)
    assert [tuple(run.values())[2:] for run in shown] == [
        (1, 0, DAY, HOUR, "met"),
        (2, DAY, 2 * DAY, None, "open"),
    ]


def test_a_funnel_row_has_the_instants_of_the_steps_that_were_reached():
    history = [touch(1), touch(2, type="price_asked"), touch(DAY)]
    shown = {row["funnel"]: row for row in rows(FUNNEL, {"a": history}, 5 * DAY)}
    assert shown["sale"] == {
        "lead": 0,
        "funnel": "sale",
        "attempt": 1,
        "entered_at": 1,
        "depth": 2,
        "reached_at": "[1,2]",
        "excluded": False,
        "open_until": 60 * DAY + 1,
    }
    assert (shown["both"]["reached_at"], shown["both"]["open_until"]) == ("[1,2]", None)
    assert shown["ever"]["open_until"] is None


def test_an_excluded_lead_has_a_row_that_says_so():
    history = [touch(1), touch(2, type="ticket_opened")]
    (sale,) = (row for row in rows(FUNNEL, {"a": history}, DAY) if row["funnel"] == "sale")
    assert (sale["excluded"], sale["depth"], sale["reached_at"]) == (True, 0, "[]")


def test_attempts_are_numbered_where_each_counts():
    history = [touch(1), touch(2, type="price_asked"), touch(3), touch(20 * DAY)]
    each = [row for row in rows(FUNNEL, {"a": history}, 40 * DAY) if row["funnel"] == "each"]
    assert [(row["attempt"], row["reached_at"]) for row in each] == [
        (1, "[1,2]"),
        (2, "[3]"),
        (3, f"[{20 * DAY}]"),
    ]


def test_no_leads_give_empty_frames_of_the_same_columns():
    none, some = frames(RULES, {}, DAY), frames(RULES, {"a": [touch(1)]}, DAY)
    for projection in (LEADS, STAGE_VISITS, CLOCK_RUNS, FUNNEL):
        assert none[projection].is_empty()
        assert none[projection].schema == some[projection].schema


TYPES = ["page_viewed", "price_asked", "won", "lost", "ticket_opened", "assigned", "email_sent"]
ATTRIBUTES = st.dictionaries(
    st.sampled_from(["path", "n", "owner"]), st.sampled_from(["/a", "/b", 1, 2.0, True]), max_size=2
)


@st.composite
def touches(draw):
    return touch(
        draw(st.integers(0, 40)) * DAY,
        event_id=str(draw(st.integers(0, 10**6))),
        type=draw(st.sampled_from(TYPES)),
        attributes=draw(ATTRIBUTES),
        campaign=draw(st.sampled_from([None, Campaign(source="s"), Campaign(name="n")])),
        amount=draw(st.sampled_from([None, Money(5, "VND"), Money(7, "USD")])),
    )


HISTORIES = st.lists(st.lists(touches(), max_size=6), min_size=1, max_size=6)


@settings(max_examples=40, deadline=None)
@given(HISTORIES, st.integers(0, 90), st.sets(st.integers(1, 5)))
def test_a_leads_rows_do_not_depend_on_whom_it_is_derived_with(drawn, days, cuts):
    leads = {f"lead-{number}": history for number, history in enumerate(drawn)}
    names = list(leads)
    edges = sorted({0, len(leads), *(cut for cut in cuts if cut < len(leads))})
    together = derived(folded(RULES, leads, days * DAY), np.arange(len(leads)))
    apart = [
        derived(
            folded(RULES, {name: leads[name] for name in names[first:last]}, days * DAY),
            np.arange(first, last),
        )
        for first, last in pairwise(edges)
    ]
    for projection in PROJECTIONS:
        joined = pl.concat([part[projection.name] for part in apart])
        whole = together[projection.name]
        assert joined.sort(whole.columns[:3]).equals(whole.sort(whole.columns[:3]))
