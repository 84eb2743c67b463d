"""The list of leads: who matches, the latest heard of first."""

import pytest

from engine.errors import UnknownName
from engine.reports.leads import Filters, report
from engine.touchpoint import Campaign, Money
from tests.read_side import DAY, RULES, frames, touch

LEADS = {  # read at day 30
    "aa-1": [touch(0, type="price_asked"), touch(30 * DAY, event_id="x", campaign=Campaign("g"))],
    "aa-2": [
        touch(DAY, channel="email"),
        touch(2 * DAY, type="assigned", attributes={"owner": "rep-1"}),
        touch(3 * DAY, type="opportunity_opened", amount=Money(5, "VND")),
    ],
    "bb-3": [touch(5 * DAY, type="email_sent")],
}


@pytest.fixture(scope="module")
def world():
    return frames(RULES, LEADS, 30 * DAY)


def ids(world, limit=50, **filters):
    return [lead["lead"] for lead in report(world, Filters(**filters), limit)["leads"]]


def test_a_lead_is_told_as_it_stands(world):
    document = report(world, Filters(search="aa-2"))
    assert document == {
        "as_of": "1970-01-31T00:00:00.000000Z",
        "count": 1,
        "leads": [
            {
                "lead": "aa-2",
                "first": {"source": "web", "event_id": f"e{DAY}"},
                "last": {"source": "web", "event_id": f"e{3 * DAY}"},
                "first_at": "1970-01-02T00:00:00.000000Z",
                "last_at": "1970-01-04T00:00:00.000000Z",
                "touchpoints": 3,
                "channel": "email",
                "scores": {"interest": document["leads"][0]["scores"]["interest"]},
                "stages": {"life": "visitor"},
                "owner": "rep-1",
                "value": {"minor": 5, "currency": "VND"},
                "segments": ["silent"],
            }
        ],
    }


def test_scores_are_brought_forward_to_the_instant_asked_about(world):
    scores = {lead["lead"]: lead["scores"]["interest"] for lead in report(world)["leads"]}
    assert scores["aa-1"] == 8_000_000
    assert 4_000_000 < scores["aa-2"] < 4_200_000  # 29 days of a half-life of 30
    assert scores["bb-3"] == 0


def test_the_latest_heard_of_come_first_and_a_limit_cuts_the_list_not_the_count(world):
    assert ids(world) == ["aa-1", "bb-3", "aa-2"]
    document = report(world, limit=1)
    assert (document["count"], len(document["leads"])) == (3, 1)
    assert ids(world, limit=None) == ids(world)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"stage": "life.mql"}, ["aa-1"]),
        ({"stage": "life.none"}, ["bb-3"]),
        ({"owner": "rep-1"}, ["aa-2"]),
        ({"owner": "rep-2"}, []),
        ({"segment": "keen"}, ["aa-1"]),
        ({"segment": "silent"}, ["bb-3", "aa-2"]),
        ({"search": "aa"}, ["aa-1", "aa-2"]),
        ({"search": "x"}, ["aa-1"]),
        ({"search": f"e{DAY}"}, ["aa-2"]),
        ({"search": "aa", "owner": "rep-1"}, ["aa-2"]),
    ],
)
def test_filters_are_all_asked(world, filters, expected):
    assert ids(world, **filters) == expected


@pytest.mark.parametrize("filters", [{"stage": "mql"}, {"segment": "hot"}])
def test_a_name_that_the_rules_do_not_have_is_refused(world, filters):
    with pytest.raises(UnknownName):
        report(world, Filters(**filters))


def test_nobody_is_an_empty_list():
    document = report(frames(RULES, {}, DAY), Filters(segment="keen", stage="life.mql"))
    assert (document["count"], document["leads"]) == (0, [])
