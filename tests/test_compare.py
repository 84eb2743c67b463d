"""`audit compare`, one kind of cause after the other: what it changes, and that it is named."""

import pytest

from engine.compare.causes import Question, find
from engine.compare.compare import Span, compare
from engine.instants import parse_instant
from tests.audited import AN, BINH, PHONE, Audited, lead, retracting, said

RULES = """
name = "small"
zone = "UTC"
[[signal]]
name = "view"
type = "page_viewed"
[[signal]]
name = "ask"
type = "price_asked"
[[score]]
name = "interest"
[[score.earn]]
signal = "view"
points = 8
[[score.earn]]
signal = "ask"
points = 20
[[track]]
name = "life"
[[track.stage]]
name = "visitor"
[[track.stage]]
name = "hot"
[[track.move]]
to = "hot"
from = ["*"]
when = { signal = "ask" }
[[track.move]]
to = "visitor"
when = { signal = "view" }
"""
SALES = (
    RULES
    + """
[[track.stage]]
name = "won"
kind = "won"
[[track.move]]
to = "won"
from = ["visitor", "hot"]
when = { signal = "buy" }
[[signal]]
name = "buy"
type = "won"
[[funnel]]
name = "sale"
window = "5h"
[[funnel.step]]
signal = "view"
[[funnel.step]]
enters = "life.won"
"""
)
DEARER = RULES.replace("points = 8", "points = 9")
CALLS = RULES.replace('"price_asked"', '"call_connected"')
EVENING = parse_instant("2026-03-01T20:00:00Z")
CHI = "email:chi@x.vn"


@pytest.fixture
def store(facts_url, clock):
    """Rules at position 1, in each kind of database."""
    made = Audited(facts_url, clock)
    made.publish(RULES)
    yield made
    made.close()


def compared(store, before, after, most=50, as_of=EVENING):
    return compare(store.facts, store.models, Span(before, after, as_of), most)


def of_all(document):
    """Both values of each figure of all leads, and what did it."""
    return {
        one["figure"]: (one["before"], one["after"], one["causes"]) for one in document["figures"]
    }


def of_lead(document, name):
    """The same of one lead."""
    (found,) = (one for one in document["leads"] if one["lead"] == lead(name))
    return {one["figure"]: (one["before"], one["after"], one["causes"]) for one in found["changes"]}


def kinds(document):
    """What each cause is, by position."""
    return {one["position"]: one["kind"] for one in document["causes"]}


def at(hour):
    return f"2026-03-01T{hour:02}:00:00.000000Z"


def test_a_late_touchpoint_is_named_for_all_that_it_changes(store):
    store.tell(said("e-2", "page_viewed", AN, hour=5))
    store.tell(said("e-3", "price_asked", AN, hour=2))

    document = compared(store, 2, 3)

    assert of_lead(document, AN) == {
        "stage.life": ("visitor", "hot", [3]),
        "visits.life": (
            [{"stage": "visitor", "entered": at(5)}],
            [{"stage": "hot", "entered": at(2)}],
            [3],
        ),
        "score.interest": (8_000_000, 28_000_000, [3]),
        "touchpoints": (1, 2, [3]),
    }
    assert of_all(document) == {
        "pipeline.life.visitor.leads": (1, 0, [3]),
        "pipeline.life.hot.leads": (0, 1, [3]),
    }
    assert document["causes"] == [
        {
            "position": 3,
            "kind": "late touchpoint",
            "source": "web",
            "event_id": "e-3",
            "type": "price_asked",
            "occurred_at": at(2),
            "recorded_at": "2026-03-02T02:00:00.000000Z",
            "leads": 1,
        }
    ]


def test_a_touchpoint_that_happened_after_all_that_was_known_is_not_late(store):
    store.tell(said("e-2", "page_viewed", AN, hour=5))
    store.tell(said("e-3", "price_asked", AN, hour=6))
    assert kinds(compared(store, 2, 3)) == {3: "touchpoint"}


def test_what_happened_after_the_instant_that_is_asked_for_changes_nothing(store):
    store.tell(said("e-2", "page_viewed", AN, hour=5))
    store.tell(said("e-3", "price_asked", AN, hour=6))
    document = compared(store, 2, 3, as_of=parse_instant("2026-03-01T05:30:00Z"))
    assert (document["figures"], document["leads"], document["causes"]) == ([], [], [])


def test_of_several_touchpoints_only_those_are_named_that_a_figure_needs(store):
    store.tell(said("e-2", "page_viewed", AN, hour=5))
    store.tell(
        said("e-3", "email_opened", AN, hour=6),
        said("e-4", "price_asked", AN, hour=7),
        said("e-5", "page_viewed", AN, hour=8),
    )
    changes = of_lead(compared(store, 2, 5), AN)
    assert changes["stage.life"] == ("visitor", "hot", [4])
    assert changes["score.interest"] == (8_000_000, 36_000_000, [4, 5])
    assert changes["touchpoints"] == (1, 4, [3, 4, 5])


def test_a_retraction_is_named_with_what_it_voids(store):
    store.tell(said("e-2", "page_viewed", AN, hour=1), said("e-3", "price_asked", AN, hour=2))
    store.tell(retracting("e-4", "e-3"))
    document = compared(store, 3, 4)
    assert of_lead(document, AN)["stage.life"] == ("hot", "visitor", [4])
    (cause,) = document["causes"]
    assert cause["kind"] == "retraction"
    assert cause["voids"] == {"source": "web", "event_id": "e-3"}


def test_what_is_void_when_it_comes_changes_nothing(store):
    store.tell(said("e-2", "page_viewed", AN, hour=1))
    store.tell(retracting("e-3", "e-4"), said("e-4", "price_asked", AN, hour=2))
    document = compared(store, 2, 4)
    assert (document["figures"], document["leads"], document["changed"]) == ([], [], 0)


def test_two_retractions_of_one_touchpoint_are_named_together(store):
    """Without one of them the other still voids it."""
    store.tell(said("e-2", "page_viewed", AN, hour=1), said("e-3", "price_asked", AN, hour=2))
    store.tell(retracting("e-4", "e-3"), retracting("e-5", "e-3"))
    assert of_lead(compared(store, 3, 5), AN)["stage.life"] == ("hot", "visitor", [4, 5])


def test_where_a_lead_has_been_counts_for_how_often_that_is_won(store):
    store.publish(SALES)
    store.tell(said("e-3", "page_viewed", AN, hour=1), said("e-4", "price_asked", AN, hour=2))
    store.tell(said("e-5", "won", AN, hour=3))
    store.tell(retracting("e-6", "e-4"))

    assert of_all(compared(store, 4, 5)) == {
        "pipeline.life.hot.leads": (1, 0, [5]),
        "pipeline.life.won.leads": (0, 1, [5]),
        "pipeline.life.won": (0, 1, [5]),
        "pipeline.life.visitor.won": (0, 1, [5]),
        "pipeline.life.hot.won": (0, 1, [5]),
        "pipeline.life.won.won": (0, 1, [5]),
        "funnel.sale.2": (0, 1, [5]),
        "funnel.sale.2.dropped": (1, 0, [5]),
    }
    assert of_lead(compared(store, 4, 5), AN)["outcome.life"] == (None, "won", [5])
    assert of_all(compared(store, 5, 6)) == {"pipeline.life.hot.won": (1, 0, [6])}


def test_an_attempt_that_may_still_go_on_is_told_from_one_that_is_over(store):
    store.publish(SALES)
    store.tell(said("e-3", "page_viewed", AN, hour=1), said("e-4", "page_viewed", BINH, hour=18))

    of_everybody = of_all(compared(store, 2, 4))
    (then, now, _) = of_lead(compared(store, 2, 4), AN)["funnel.sale"]

    assert of_everybody == {
        "leads": (0, 2, [3, 4]),
        "pipeline.life.visitor.leads": (0, 2, [3, 4]),
        "funnel.sale.1": (0, 2, [3, 4]),
        "funnel.sale.2.dropped": (0, 1, [3]),
        "funnel.sale.2.immature": (0, 1, [4]),
    }
    over = {"entered": at(1), "depth": 1, "of": 2, "excluded": False, "open": False}
    assert (then, now) == (None, [over])


def test_a_touchpoint_that_names_two_leads_joins_them(store):
    store.tell(said("e-2", "page_viewed", AN, hour=1), said("e-3", "price_asked", BINH, hour=2))
    store.tell(said("e-4", "form_submitted", AN, BINH, hour=3))

    document = compared(store, 3, 4)

    changes = of_lead(document, AN)
    assert changes["made_of"] == ({lead(AN): 1}, {lead(AN): 1, lead(BINH): 1}, [4])
    assert changes["stage.life"] == ("visitor", "hot", [4])
    assert of_lead(document, BINH)["stage.life"] == ("hot", None, [4])
    assert of_all(document) == {
        "leads": (2, 1, [4]),
        "pipeline.life.visitor.leads": (1, 0, [4]),
    }
    assert kinds(document) == {4: "join"}


def test_of_two_joins_either_of_which_would_do_both_are_named(store):
    store.tell(said("e-2", "page_viewed", AN, hour=1), said("e-3", "page_viewed", BINH, hour=2))
    store.tell(
        said("e-4", "form_submitted", AN, BINH, hour=3),
        said("e-5", "form_submitted", AN, BINH, hour=4),
    )
    document = compared(store, 3, 5)
    assert of_all(document)["leads"] == (2, 1, [4, 5])
    assert of_lead(document, BINH)["stage.life"] == ("visitor", None, [4, 5])


def test_what_a_cookie_did_is_said_to_join_once_its_owner_is_known(store):
    store.tell(said("e-2", "price_asked", "anonymous_id:pc", hour=1))
    store.tell(said("e-3", "page_viewed", AN, "anonymous_id:pc", hour=2))
    document = compared(store, 2, 3)
    assert of_lead(document, AN)["made_of"] == (None, {lead("anonymous_id:pc"): 1}, [3])
    assert of_lead(document, AN)["stage.life"] == (None, "hot", [3])
    assert of_all(document) == {}  # one lead before and after, as far as it goes


def test_a_link_and_an_unlink_by_hand_are_named(store):
    store.tell(said("e-2", "page_viewed", AN, hour=1), said("e-3", "price_asked", BINH, hour=2))
    store.tell(said("e-4", "identity_linked", AN, BINH, hour=3))
    store.tell(said("e-5", "identity_unlinked", AN, BINH, hour=4))

    joined, parted = compared(store, 3, 4), compared(store, 4, 5)

    assert of_all(joined)["leads"] == (2, 1, [4])
    assert of_all(parted)["leads"] == (1, 2, [5])
    assert (kinds(joined), kinds(parted)) == ({4: "link"}, {5: "unlink"})
    assert compared(store, 3, 5)["leads"] == []  # taken together they leave no trace


def test_a_link_and_the_unlink_of_it_are_not_named_for_what_a_touchpoint_did(store):
    store.tell(said("e-2", "page_viewed", AN, hour=1), said("e-3", "price_asked", BINH, hour=2))
    store.tell(said("e-4", "page_viewed", AN))
    store.tell(said("e-5", "identity_linked", AN, BINH, hour=3))
    store.tell(said("e-6", "identity_unlinked", AN, BINH, hour=4))
    assert of_lead(compared(store, 3, 6), AN)["touchpoints"] == (1, 2, [4])


def test_whoever_makes_a_number_too_common_parts_those_that_it_joined(store):
    """More than three addresses beside one phone, and it says nothing any more."""
    calls = [
        said(f"e-{n}", "call_connected", PHONE, f"email:p{n}@x.vn", hour=n) for n in range(2, 6)
    ]
    store.tell(*calls[:3])
    store.tell(calls[3])
    document = compared(store, 4, 5)
    assert of_all(document)["leads"] == (1, 4, [5])
    assert kinds(document) == {5: "parting"}


def test_what_a_shared_address_gets_of_a_phone_that_becomes_shared_too_is_told_of_it(store):
    """A call names an address that four phones share, and a phone that says whose it is."""
    team = "email:team@x.vn"
    phones = [f"phone:+8490123000{n}" for n in range(4)]
    store.tell(*(said(f"e-{n}", "call_connected", team, phones[n - 2]) for n in range(2, 6)))
    store.tell(said("e-6", "page_viewed", team), said("e-7", "call_connected", team, PHONE))
    store.tell(*(said(f"e-{n}", "call_connected", PHONE, f"email:p{n}@x.vn") for n in (8, 9)))
    store.tell(said("e-10", "call_connected", PHONE, CHI))

    document = compared(store, 9, 10)

    assert of_lead(document, team)["touchpoints"] == (1, 2, [10])
    assert of_lead(document, team)["made_of"] == (
        {lead(team): 1},
        {lead(team): 1, lead(PHONE): 1},
        [10],
    )


@pytest.mark.parametrize("since", [None, parse_instant("2026-03-01T04:00:00Z")])
def test_a_rule_set_is_named_for_every_lead_that_it_judges(store, since):
    store.tell(said("e-2", "page_viewed", AN, hour=5), said("e-3", "page_viewed", BINH, hour=3))
    store.publish(DEARER, since)

    document = compared(store, 3, 4)

    judged = [AN, BINH] if since is None else [AN]
    assert {one["lead"] for one in document["leads"]} == {lead(name) for name in judged}
    assert of_lead(document, AN) == {"score.interest": (8_000_000, 9_000_000, [4])}
    (cause,) = document["causes"]
    assert (cause["kind"], cause["name"], cause["leads"]) == ("rule set", "small", len(judged))
    assert cause["effective_at"] == (None if since is None else at(4))


def test_a_rule_set_and_a_touchpoint_are_named_where_it_takes_both(store):
    store.tell(said("e-2", "page_viewed", AN, hour=1), said("e-3", "page_viewed", BINH, hour=1))
    store.tell(said("e-4", "call_connected", AN, hour=2))
    store.publish(CALLS)
    document = compared(store, 3, 5)
    assert of_lead(document, AN)["stage.life"] == ("visitor", "hot", [4, 5])
    assert of_lead(document, AN)["touchpoints"] == (1, 2, [4])
    assert of_all(document)["pipeline.life.hot.leads"] == (0, 1, [4, 5])


def test_rules_that_others_overtook_are_not_named(store):
    store.tell(said("e-2", "page_viewed", AN, hour=1))
    store.publish(CALLS)
    store.publish(DEARER)
    document = compared(store, 2, 4)
    assert of_lead(document, AN) == {"score.interest": (8_000_000, 9_000_000, [4])}


def test_a_figure_of_all_leads_that_comes_to_the_same_is_not_listed(store):
    store.tell(said("e-2", "page_viewed", AN, hour=1), said("e-3", "price_asked", BINH, hour=1))
    store.tell(said("e-4", "price_asked", AN, hour=2), retracting("e-5", "e-3"))
    store.tell(said("e-6", "page_viewed", BINH, hour=2))
    document = compared(store, 3, 6)
    assert of_all(document) == {}
    assert of_lead(document, AN)["stage.life"] == ("visitor", "hot", [4])
    assert of_lead(document, BINH)["stage.life"] == ("hot", "visitor", [5, 6])


def test_of_many_leads_as_many_are_listed_as_are_asked_for_and_all_are_counted(store):
    store.tell(*(said(f"e-{n}", "page_viewed", f"email:p{n}@x.vn", hour=1) for n in range(2, 7)))
    document = compared(store, 1, 6, most=2)
    assert (len(document["leads"]), document["changed"]) == (2, 5)
    (of_pipeline,) = (one for one in document["figures"] if one["figure"] == "leads")
    assert (of_pipeline["after"], of_pipeline["causes"]) == (5, [2, 3, 4, 5, 6])
    assert len(of_pipeline["leads"]) == 2


def test_comparing_writes_nothing(tmp_path, clock):
    store = Audited(f"sqlite:///{tmp_path}/facts.db", clock)
    store.tell(said("e-1", "page_viewed", AN, hour=1), said("e-2", "price_asked", CHI, hour=1))
    before = store.dump()
    assert compared(store, 0, 2)["changed"] == 2
    assert store.dump() == before
    store.close()


def figures_of(kept):
    """A figure that needs 3 and 5 of what is kept."""
    return {("somebody", "it"): {3, 5} <= kept}


def evaluate(asked):
    return [figures_of(kept) for _, kept in asked]


@pytest.mark.parametrize(("tries", "found"), [(500, {3, 5}), (0, set(range(1, 9)))])
def test_what_is_not_tried_in_time_stays_named(tries, found):
    question = Question(0, ("somebody", "it"), frozenset(range(1, 9)), tries=tries)
    assert find([question], evaluate) == [found]
