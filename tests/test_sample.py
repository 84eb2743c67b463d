"""The sample holds what it promises, and is the same every time."""

import json
import tomllib
from collections import Counter, defaultdict
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from random import Random

import phonenumbers
import pytest

from engine.canonical import canonicalise
from engine.privacy import IdentifierKey
from engine.sample import touchpoints
from engine.sample.people import Person, person
from engine.touchpoint import KINDS, NEVER_FOLDED

NOW = 1_795_000_000_000_000
DAY = 86_400
CATALOGUE = tomllib.loads(Path(__file__).parents[1].joinpath("schemas/catalogue.toml").read_text())


@pytest.fixture(scope="module")
def sample():
    return list(touchpoints(now=NOW))


@pytest.fixture(scope="module")
def people():
    return [person_of(number) for number in range(2_400)]


@pytest.fixture(scope="module")
def histories(sample):
    """Instants and types per lead, each touchpoint once, in happening order."""
    told = defaultdict(set)
    for touchpoint in sample:
        if touchpoint["type"] not in NEVER_FOLDED:
            told[primary(touchpoint)].add((seconds(touchpoint), name(touchpoint)))
    return {lead: sorted(touches) for lead, touches in told.items()}


def person_of(number: int, seed: int = 7) -> Person:
    return person(number, Random(f"{seed}/{number}"))


def primary(touchpoint):
    first = min(touchpoint["identifiers"], key=lambda one: KINDS.index(one["kind"]))
    return tuple(sorted(first.items()))


def name(touchpoint):
    return touchpoint["source"], touchpoint["event_id"], touchpoint["type"]


def seconds(touchpoint):
    return int(datetime.fromisoformat(touchpoint["occurred_at"]).timestamp())


def test_the_same_seed_and_instant_give_the_same_bytes(sample):
    again = json.dumps(list(touchpoints(7, now=NOW)), ensure_ascii=False)
    assert again == json.dumps(sample, ensure_ascii=False)


def test_another_seed_tells_other_stories():
    assert list(touchpoints(8, now=NOW, leads=50)) != list(touchpoints(7, now=NOW, leads=50))


def test_more_leads_leave_the_earlier_ones_as_they_are():
    few = {json.dumps(one) for one in touchpoints(now=NOW, leads=20)}
    assert few < {json.dumps(one) for one in touchpoints(now=NOW, leads=40)}


def test_two_thousand_leads_and_more_within_ninety_days(sample, histories):
    instants = [seconds(touchpoint) for touchpoint in sample]
    assert len(histories) >= 2_000
    assert max(instants) <= NOW // 1_000_000
    assert min(instants) >= NOW // 1_000_000 - 90 * DAY
    assert max(instants) - min(instants) > 88 * DAY


@pytest.mark.parametrize("seed", [7, 1, 2026])
def test_every_type_and_every_channel_is_met(seed):
    told = list(touchpoints(seed, now=NOW))
    assert {one["type"] for one in told} == set(CATALOGUE["type"])
    assert {one["channel"] for one in told} == set(CATALOGUE["channels"])


def test_needed_attributes_are_there(sample):
    for touchpoint in sample:
        needs = CATALOGUE["type"][touchpoint["type"]].get("needs", {})
        assert needs.keys() <= touchpoint["attributes"].keys()


def test_names_are_vietnamese_thai_and_english(people):
    languages = Counter(one.language for one in people)
    assert min(languages[language] for language in ("vi", "th", "en")) >= 300
    thai = [one.name for one in people if one.language == "th"]
    assert all(any("ก" <= letter <= "๛" for letter in name) for name in thai)
    assert len({one.name for one in people if one.language == "vi"}) >= 500


def test_addresses_belong_to_nobody_and_numbers_are_well_formed(people):
    assert {one.email.partition("@")[2] for one in people} == {
        "example.com",
        "example.net",
        "example.org",
    }
    assert len({one.email for one in people}) == len({one.phone for one in people}) == len(people)
    for one in people:
        assert phonenumbers.is_valid_number(phonenumbers.parse(one.phone))
        assert one.email.isascii()


def test_money_is_in_dong_and_baht(sample):
    paid = Counter(one["amount"]["currency"] for one in sample if "amount" in one)
    assert set(paid) == {"VND", "THB"}
    assert min(paid.values()) >= 100


def test_there_are_campaigns_and_owners(sample):
    campaigns = {one["campaign"]["name"] for one in sample if one.get("campaign")}
    owners = {one["attributes"]["owner"] for one in sample if one["type"] == "assigned"}
    assert len(campaigns) >= 6
    assert len(owners) == 6


def test_some_arrive_late_and_some_twice(sample):
    known, late, doubled = {}, 0, 0
    for touchpoint in sample:
        if touchpoint["type"] in NEVER_FOLDED:
            continue
        at, lead = seconds(touchpoint), primary(touchpoint)
        told_before = known.setdefault(lead, {})
        if name(touchpoint) in told_before:
            doubled += 1
            assert told_before[name(touchpoint)] == touchpoint
        elif any(seconds(earlier) > at for earlier in told_before.values()):
            late += 1
        told_before[name(touchpoint)] = touchpoint
    assert late >= 300
    assert doubled >= 200


def test_a_lead_keeps_one_primary_identifier(sample):
    streams = defaultdict(set)
    for touchpoint in sample:
        if touchpoint.get("identifiers"):
            streams[touchpoint["event_id"].partition("-")[0]].add(primary(touchpoint))
    assert {len(primaries) for primaries in streams.values()} == {1}
    kinds = Counter(dict(*primaries)["kind"] for primaries in streams.values())
    assert {"email", "phone", "crm_id", "user_id", "external_id", "anonymous_id"} == set(kinds)


def test_the_funnel_narrows_from_visit_to_form_call_quote_and_win(histories):
    types = [{type for _, (*_, type) in touches} for touches in histories.values()]
    steps = ("form_submitted", "call_connected", "proposal_sent", "won")
    reached = [sum(step in shown for shown in types) for step in steps]
    visits_only = sum(shown <= {"ad_impression", "ad_clicked", "page_viewed"} for shown in types)
    assert reached == sorted(reached, reverse=True)
    assert visits_only >= 500
    assert reached[0] >= 800
    assert reached[-1] >= 80
    assert sum("lost" in shown for shown in types) >= 80


def test_some_leads_go_cold_and_some_come_back(histories):
    back = cold = 0
    for touches in histories.values():
        instants = [at for at, _ in touches]
        gaps = [later - at for at, later in pairwise(instants)]
        back += any(gap >= 30 * DAY for gap in gaps)
        ended = {"won", "lost"} & {type for _, (*_, type) in touches}
        cold += not ended and NOW // 1_000_000 - instants[-1] >= 30 * DAY
    assert back >= 60
    assert cold >= 500


def test_the_edge_takes_all_of_it_and_drops_nobody(sample):
    key = IdentifierKey(bytes(32))
    contents = {}
    for told in sample:
        draft = canonicalise(told, NOW, key)
        assert draft.dropped == ()
        assert contents.setdefault(name(told), draft.touchpoint.content) == draft.touchpoint.content
