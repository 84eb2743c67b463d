"""Who is who in the naive model: worked out by hand, as the cases say, and met at random."""

import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.naive import KEY, run
from tests.naive.identity import TOO_COMMON, Identity
from tests.naive.identity_features import TO_BE_MET, identity_features
from tests.naive.random_people import FEW, random_people
from tests.naive.random_rules import random_rules
from tests.naive.touchpoints import PRECEDENCE, Edge, Identifier, digest, identifier, names_nobody
from tests.strategies import order_features, settled_history, shuffled_deliveries

CASES = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parent / "conformance" / "cases").glob("*.json"))
}
NO_RULES = 'name = "none"'
SEEDS = 300


def who(written: str) -> dict[str, str]:
    """`email:ann@x.io` as it would come in."""
    kind, value = written.split(":")
    return {"kind": kind, "value": value}


def key_of(written: str) -> Identifier:
    """An identifier of the source web as the model knows it."""
    named = identifier(who(written), "web")
    return PRECEDENCE.index(named[0]), digest(named, KEY)


def told(event_id: str, hour: int, *names: str, **more: Any) -> dict[str, Any]:
    """A touchpoint of the second of March, at some hour."""
    return {
        "source": "web",
        "event_id": event_id,
        "type": "page_viewed",
        "occurred_at": f"2026-03-02T{hour:02}:00:00Z",
        "identifiers": [who(name) for name in names],
        **more,
    }


def linked(event_id: str, hour: int, *names: str, **more: Any) -> dict[str, Any]:
    return told(event_id, hour, *names, type="identity_linked", **more)


def unlinked(event_id: str, hour: int, *names: str, **more: Any) -> dict[str, Any]:
    return told(event_id, hour, *names, type="identity_unlinked", **more)


def retracted(event_id: str, target: str) -> dict[str, Any]:
    voided = {"source": "web", "event_id": target}
    return told(event_id, 23, type="touchpoint_retracted", attributes=voided)


def identity(*deliveries: dict[str, Any], limit: int = TOO_COMMON) -> Identity:
    edge = Edge(KEY)
    assert [edge.deliver(one) for one in deliveries] == [None] * len(deliveries)
    return Identity(edge.accepted, limit)


def leads(*deliveries: dict[str, Any], limit: int = TOO_COMMON) -> list[str]:
    """The leads, each as the events of its touchpoints in happening order."""
    found = identity(*deliveries, limit=limit).leads().values()
    return sorted(" ".join(touch.event_id for touch in touches) for touches in found)


# As the conformance cases say


@pytest.mark.parametrize("name", CASES)
def test_a_conformance_case_comes_out_as_written_where_identity_is_asked_for(name: str) -> None:
    case = CASES[name]
    book = [(entry["rules"], entry["effective_at"]) for entry in case["book"]]
    asked = [(read["as_of"], read["known"]) for read in case["reads"]]

    outcome = run(book, case["touchpoints"], asked, identity=TOO_COMMON)

    assert outcome.aside == case["aside"]
    for read, expected in zip(outcome.reads, case["reads"], strict=True):
        assert json.dumps(read.states) == json.dumps(expected["states"])
        assert json.dumps(read.funnels) == json.dumps(expected["funnels"])


def test_some_cases_are_about_identity() -> None:
    assert sum("identity" in case["needs"] for case in CASES.values()) == 26


# Worked out by hand

FORM = told("form", 11, "anonymous_id:c0ffee", "email:ann@x.io")
FROM_CLICK_TO_CUSTOMER = (
    told("click", 9, "click_id:g1", type="ad_clicked"),
    told("page", 10, "anonymous_id:c0ffee", "click_id:g1"),
    FORM,
    told("record", 12, "email:ann@x.io", "crm_id:991", type="lead_created"),
    told("won", 13, "crm_id:991", type="won"),
)


def test_from_the_click_on_an_ad_to_the_record_in_the_crm_it_is_one_lead() -> None:
    assert leads(*FROM_CLICK_TO_CUSTOMER) == ["click page form record won"]


def test_before_the_form_is_known_click_and_page_are_a_lead_without_a_name() -> None:
    story = [one for one in FROM_CLICK_TO_CUSTOMER if one is not FORM]
    assert leads(*story) == ["click page", "record won"]


def test_of_a_shared_computer_each_visit_is_whose_who_used_it_last() -> None:
    assert leads(
        told("1", 1, "anonymous_id:pc"),
        told("ann", 2, "anonymous_id:pc", "email:ann@x.io"),
        told("2", 3, "anonymous_id:pc"),
        told("bob", 4, "anonymous_id:pc", "email:bob@x.io"),
        told("3", 5, "anonymous_id:pc"),
        told("elsewhere", 6, "email:ann@x.io"),
    ) == ["1 ann 2 elsewhere", "bob 3"]


OFFICE = (
    *(told(name, 9, f"email:{name}@x.io", "phone:+84901234567") for name in "abcd"),
    told("call", 10, "phone:+84901234567"),
    told("page", 11, "email:d@x.io"),
)


def test_an_office_phone_with_one_address_too_many_falls_apart_and_heals_when_one_is_void() -> None:
    assert leads(*OFFICE, limit=4) == ["a b c d call page"]
    assert leads(*OFFICE, limit=3) == ["a", "b", "c", "call", "d page"]
    assert leads(*OFFICE, retracted("r", "d"), limit=3) == ["a b c call", "page"]


def test_too_common_is_who_appears_with_too_many_of_one_kind_and_not_of_all_together() -> None:
    three_and_three = [
        *(told(f"e{n}", 9, f"email:{n}@x.io", "user_id:u") for n in range(3)),
        *(told(f"c{n}", 9, f"crm_id:{n}", "user_id:u") for n in range(3)),
    ]
    assert identity(*three_and_three, limit=3).too_common == set()


def test_of_its_own_kind_an_identifier_is_not_company_to_itself() -> None:
    """The list is with three other addresses, each of them with one."""
    cards = [told(name, 9, "email:list@x.io", f"email:{name}@x.io") for name in "abc"]
    assert leads(*cards, limit=3) == ["a b c"]
    assert leads(*cards, limit=2) == ["a", "b", "c"]


def test_neither_what_is_not_folded_nor_what_is_void_makes_an_identifier_too_common() -> None:
    phone = "phone:+84901234567"
    more = (
        linked("l", 12, "email:e@x.io", phone),
        told("s", 12, "email:f@x.io", phone, type="ad_spend_reported"),
        told("v", 12, "email:g@x.io", phone),
        retracted("r", "v"),
    )
    assert leads(*OFFICE, *more, limit=4) == ["a b c d call page"]


def test_a_link_with_an_identifier_that_is_too_common_joins_nothing() -> None:
    link = linked("l", 12, "email:a@x.io", "phone:+84901234567")
    assert leads(*OFFICE, link, limit=3) == ["a", "b", "c", "call", "d page"]


def test_an_unlink_makes_no_identifier_less_common() -> None:
    unlink = unlinked("u", 12, "email:d@x.io", "phone:+84901234567")
    assert leads(*OFFICE, unlink, limit=3) == ["a", "b", "c", "call", "d page"]
    assert leads(*OFFICE, unlink, limit=4) == ["a b c call", "d page"]


def test_a_touchpoint_goes_to_its_first_identifier_that_is_not_too_common() -> None:
    """A switchboard comes before its callers by precedence."""
    calls = [told(name, 9, "crm_id:desk", f"phone:+8490000000{n}") for n, name in enumerate("abc")]
    other = told("other", 10, "phone:+84900000000")
    assert leads(*calls, other, told("desk", 11, "crm_id:desk"), limit=2) == [
        "a other",
        "b",
        "c",
        "desk",
    ]


def test_a_cookie_seen_with_a_too_common_identifier_alone_has_no_owner() -> None:
    seen = told("seen", 12, "phone:+84901234567", "anonymous_id:pc", "click_id:g1")
    later = (told("cookie", 13, "anonymous_id:pc"), told("click", 13, "click_id:g1"))
    found = leads(*OFFICE, seen, *later, limit=3)
    assert found == ["a", "b", "c", "call seen", "click", "cookie", "d page"]


ANN_AND_BOB = (
    told("ann", 9, "email:ann@x.io"),
    told("both", 10, "email:ann@x.io", "user_id:bob"),
    told("bob", 11, "user_id:bob"),
)


@pytest.mark.parametrize("hour", [1, 22])
def test_an_unlink_voids_what_joins_two_before_it_and_after_it(hour: int) -> None:
    unlink = unlinked("u", hour, "email:ann@x.io", "user_id:bob")
    assert leads(*ANN_AND_BOB) == ["ann both bob"]
    assert leads(*ANN_AND_BOB, unlink) == ["ann", "both bob"]


def test_an_unlink_leaves_the_way_by_other_evidence() -> None:
    unlink = unlinked("u", 12, "email:ann@x.io", "user_id:bob")
    phone = "phone:+84901234567"
    way = (told("w1", 13, "email:ann@x.io", phone), told("w2", 14, "user_id:bob", phone))
    assert leads(*ANN_AND_BOB, unlink, *way) == ["ann both bob w1 w2"]
    assert leads(*ANN_AND_BOB, unlink, way[0]) == ["ann w1", "both bob"]


def test_the_last_link_or_unlink_of_a_pair_holds_in_whatever_order_they_come() -> None:
    pair = ("email:ann@x.io", "user_id:bob")
    facts = [unlinked("2", 12, *pair), linked("1", 12, *pair, sequence=1), unlinked("3", 9, *pair)]
    assert leads(*ANN_AND_BOB, *facts) == ["ann both bob"]
    assert leads(*reversed(facts), *ANN_AND_BOB) == ["ann both bob"]


def test_a_void_link_or_unlink_gives_the_word_back_to_the_one_before() -> None:
    pair = ("email:ann@x.io", "user_id:bob")
    link, unlink = linked("l", 12, *pair), unlinked("u", 13, *pair)
    apart = [one for one in ANN_AND_BOB if one["event_id"] != "both"]
    assert leads(*apart, link, unlink) == ["ann", "bob"]
    assert leads(retracted("r", "u"), *apart, link, unlink) == ["ann bob"]
    assert leads(*apart, link, unlink, retracted("r", "u"), retracted("s", "l")) == ["ann", "bob"]


def test_a_cookie_beside_a_link_is_nobodys() -> None:
    link = linked("l", 12, "email:ann@x.io", "user_id:bob", "anonymous_id:pc")
    assert leads(*ANN_AND_BOB, link, told("page", 13, "anonymous_id:pc")) == [
        "ann both bob",
        "page",
    ]


COOKIES = sorted((f"anonymous_id:{letter}" for letter in "abc"), key=key_of)


def test_of_several_cookies_the_first_by_digest_that_has_an_owner_decides() -> None:
    first, second, third = COOKIES
    page = told("page", 9, third, second, first)
    of_third = told("bob", 8, third, "email:bob@x.io")
    of_second = told("ann", 20, second, "email:ann@x.io")
    assert leads(page, of_third, of_second) == ["bob", "page ann"]
    assert leads(page, of_third) == ["bob page"]


def test_of_several_cookies_without_an_owner_the_first_by_digest_is_the_lead() -> None:
    first, second, _ = COOKIES
    pages = (told("both", 9, second, first), told("1", 10, first), told("2", 11, second))
    assert leads(*pages) == ["2", "both 1"]


def test_a_click_goes_where_its_cookie_went_then_and_not_where_it_goes_by_now() -> None:
    assert leads(
        told("ann", 1, "anonymous_id:pc", "email:ann@x.io"),
        told("page", 2, "anonymous_id:pc", "click_id:g1"),
        told("bob", 3, "anonymous_id:pc", "email:bob@x.io"),
        told("click", 4, "click_id:g1"),
    ) == ["ann page click", "bob"]


def test_a_cookie_without_an_owner_asks_no_click() -> None:
    assert leads(
        told("ann", 1, "click_id:g1", "email:ann@x.io"),
        told("page", 2, "anonymous_id:pc", "click_id:g1"),
        told("click", 3, "click_id:g1"),
    ) == ["ann", "page click"]


def test_what_names_nobody_and_who_is_only_mentioned_join_nothing() -> None:
    referrer = [{"role": "referrer", **who("email:bob@x.io")}]
    assert leads(
        told("ann", 1, "email:ann@x.io", "email:NoReply@x.io", "phone:n/a", mentions=referrer),
        told("bob", 2, "email:bob@x.io", "email:noreply@x.io", "phone:n/a"),
    ) == ["ann", "bob"]


def test_evidence_is_all_that_joins_two_and_nothing_where_it_is_void() -> None:
    ann, bob = key_of("email:ann@x.io"), key_of("user_id:bob")
    link = linked("l", 12, "email:ann@x.io", "user_id:bob")
    unlink = unlinked("u", 13, "email:ann@x.io", "user_id:bob")

    found = identity(*ANN_AND_BOB, link).evidence(bob, ann)

    assert [touch.event_id for touch in found] == ["both", "l"]
    assert identity(*ANN_AND_BOB, link, unlink).evidence(ann, bob) == []


def test_a_lead_goes_by_its_strong_identifier_that_was_recorded_first() -> None:
    page, *_ = story = [told("page", 9, "anonymous_id:pc"), *ANN_AND_BOB]
    story.append(told("form", 10, "anonymous_id:pc", "email:ann@x.io"))
    ann, bob = key_of("email:ann@x.io"), key_of("user_id:bob")
    lead = frozenset((ann, bob))

    assert identity(*story).goes_by(lead) == ann
    assert identity(*reversed(story)).goes_by(lead) == ann
    assert identity(ANN_AND_BOB[2], *story[:3], story[4]).goes_by(lead) == bob
    spend = told("spend", 1, "user_id:bob", type="ad_spend_reported")
    assert identity(spend, *story).goes_by(lead) == bob
    nameless = identity(page)
    assert [nameless.goes_by(one) for one in nameless.leads()] == [key_of("anonymous_id:pc")]


# At random


def accepted(history: list[dict[str, Any]]) -> Identity:
    edge = Edge(KEY)
    for one in history:
        edge.deliver(one)
    return Identity(edge.accepted, FEW)


def at_the_edge(history: list[dict[str, Any]]) -> Counter[str]:
    outcome = run(NO_RULES, history, [])
    met = Counter(f"aside:{one['reason']}" for one in outcome.aside)
    met["duplicate"] = len(outcome.duplicates)
    met["names_nobody"] = sum(any(map(names_nobody, one["identifiers"])) for one in history)
    return met + order_features(settled_history(history))


AT_THE_EDGE = """
    duplicate aside:id_reused aside:bad_attribute names_nobody
    order:late order:tie_by_id order:tie_by_sequence
""".split()


def test_random_people_meet_every_feature_of_identity() -> None:
    met: Counter[str] = Counter()
    for seed in range(SEEDS):
        history = random_people(Random(seed), NO_RULES)
        met += identity_features(accepted(history).known, FEW) + at_the_edge(history)
    assert {name: met[name] for name in (*TO_BE_MET, *AT_THE_EDGE) if met[name] < 10} == {}


def test_one_seed_is_one_history_of_people() -> None:
    assert random_people(Random(7), NO_RULES) == random_people(Random(7), NO_RULES)


def test_every_folded_touchpoint_is_in_one_lead_and_every_strong_identifier_in_one_component() -> (
    None
):
    for seed in range(60):
        found = accepted(random_people(Random(seed), NO_RULES))
        in_leads = [touch.id for touches in found.leads().values() for touch in touches]
        assert sorted(in_leads) == sorted(touch.id for touch in found.folded), seed
        in_components = [one for component in found.components() for one in component]
        assert sorted(in_components) == found.strong, seed


def test_who_is_who_and_what_becomes_of_it_does_not_depend_on_the_order_of_arrival() -> None:
    for seed in range(40):
        random = Random(seed)
        rules = random_rules(random)
        history = settled_history(random_people(random, rules, size=25))
        shuffled = [one for batch in shuffled_deliveries(random, history) for one in batch]
        instants = ["2026-03-08T00:00:00Z", "2027-01-01T00:00:00Z"]

        reads = [run(rules, one, instants, identity=FEW).reads for one in (history, shuffled)]

        assert reads[0] == reads[1], seed
