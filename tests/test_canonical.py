"""The canonicaliser: what comes in becomes the one form that it can have."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.canonical import canonicalise
from engine.errors import Refused
from engine.instants import format_instant, parse_instant
from engine.privacy import IdentifierKey
from engine.touchpoint import Actor, Campaign, Identifier, Money
from tests.edge_inputs import ANN, DAY, EMAIL, KEY, NOW, PHONE, content, draft, refusal, visit

CASES = sorted((Path(__file__).parent / "conformance" / "cases").glob("*.json"))
IMPORTED = parse_instant("2026-11-22T00:00:00Z")
LINKS = ["identity_linked", "identity_unlinked"]
Y2100 = 4_102_444_800_000_000


def test_every_field_of_the_interchange_form_is_taken():
    given = json.loads(
        """{"source": "web", "event_id": "e-17", "type": "page_viewed",
        "occurred_at": "2026-03-01T08:00:00.123456+07:00", "sequence": 2, "time_quality": "sent",
        "identifiers": [{"kind": "anonymous_id", "value": "c0ffee"},
                        {"kind": "crm_id", "namespace": "hubspot", "value": "991"}],
        "channel": "organic_search",
        "campaign": {"source": "google", "medium": "organic", "name": null, "term": null,
                     "content": null},
        "actor": {"kind": "lead", "id": null}, "amount": {"minor": 1500000, "currency": "vnd"},
        "deal": "D1", "account": "ACME", "mentions": [],
        "attributes": {"seconds": 12, "path": "/pricing"},
        "personal": {"name": "Nguyễn Thị Ánh"}}"""
    )
    made = draft(given)
    touchpoint = made.touchpoint
    assert (touchpoint.source, touchpoint.event_id) == ("web", "e-17")
    assert touchpoint.occurred_at == 1_772_326_800_123_456
    assert touchpoint.received_at == NOW
    assert (touchpoint.sequence, touchpoint.time_quality) == (2, "sent")
    assert touchpoint.identifiers == (
        Identifier("crm_id", KEY.digest("crm_id", "hubspot", "991")),
        Identifier("anonymous_id", KEY.digest("anonymous_id", "", "c0ffee")),
    )
    assert touchpoint.campaign == Campaign("google", "organic")
    assert touchpoint.actor == Actor("lead")
    assert touchpoint.amount == Money(1_500_000, "VND")
    assert (touchpoint.deal, touchpoint.account) == ("D1", "ACME")
    assert list(touchpoint.attributes.items()) == [("path", "/pricing"), ("seconds", 12)]
    assert touchpoint.sealed is None
    assert made.personal == {"name": "Nguyễn Thị Ánh"}


def test_json_text_and_a_read_object_are_the_same():
    assert draft(json.dumps(visit()).encode()) == draft(visit())


def test_null_is_as_good_as_absent():
    optional = """sequence time_quality identifiers channel campaign actor amount deal account
    mentions attributes personal""".split()
    given = {**dict.fromkeys(optional), **visit()}
    assert draft(given) == draft(visit())
    assert content(attributes={"path": None}) == content()


def test_defaults_written_out_change_nothing():
    spoken = {
        "sequence": 0,
        "time_quality": "exact",
        "channel": "other",
        "campaign": {"source": None},
        "mentions": [],
        "attributes": {},
        "personal": {},
    }
    assert content(**spoken) == content()
    read = json.dumps(visit(**spoken)).encode()  # its texts are other objects than ours
    assert draft(read).touchpoint.content == content()


@pytest.mark.parametrize(
    "more",
    [
        {"source": "web2"},
        {"event_id": "e-2"},
        {"type": "won"},
        {"occurred_at": NOW - DAY + 1},
        {"sequence": 1},
        {"time_quality": "sent"},
        {"identifiers": [ANN, EMAIL]},
        {"channel": "email"},
        {"campaign": {"source": "google"}},
        {"actor": {"kind": "lead"}},
        {"deal": "D1"},
        {"account": "D1"},
        {"mentions": [{"role": "referrer", **ANN}]},
        {"amount": {"minor": 1, "currency": "VND"}},
        {"attributes": {"path": "/"}},
        {"attributes": {"path": "1"}},
        {"attributes": {"path": 1}},
        {"attributes": {"path": 1.0}},
        {"attributes": {"path": True}},
        {"personal": {"name": "Ann"}},
        {"personal": {"company": "Ann"}},
    ],
)
def test_the_content_is_of_all_that_was_said(more):
    assert content(**more) != content()


def test_the_content_tells_all_that_was_said_apart():
    said = [{"attributes": {"path": value}} for value in ("1", 1, 1.0, True, "true", None)]
    assert len({content(**one) for one in said}) == len(said)


def test_the_content_is_not_of_when_it_was_received():
    later = canonicalise(visit(), NOW + DAY, KEY).touchpoint
    assert later.content == content()
    assert later.received_at == NOW + DAY


def test_a_received_time_is_no_content():
    first = content(time_quality="received")
    assert content(time_quality="received", occurred_at=NOW - 2 * DAY) == first
    assert content(time_quality="date") != content(time_quality="date", occurred_at=NOW - 2 * DAY)


def test_the_content_can_be_compared_with_the_key_only():
    other = canonicalise(visit(), NOW, IdentifierKey(bytes(32))).touchpoint
    assert other.content != content()


def test_one_time_written_with_two_offsets_is_one_content():
    utc, hanoi = "2026-03-01T01:00:00Z", "2026-03-01T08:00:00.0000009+07:00"
    assert content(occurred_at=utc) == content(occurred_at=hanoi)
    assert content(occurred_at=utc) == content(occurred_at=1_772_326_800_000_000)


def test_text_is_composed_wherever_it_stands():
    composed, spread = "\u1ec7", "e\u0323\u0302"
    for place in ("event_id", "deal", "account"):
        assert content(**{place: composed}) == content(**{place: spread})
    assert content(attributes={composed: composed}) == content(attributes={spread: spread})
    assert content(campaign={"name": composed}) == content(campaign={"name": spread})
    assert content(personal={"name": composed}) == content(personal={"name": spread})
    value = [{"kind": "user_id", "value": spread}]
    assert content(identifiers=value) == content(
        identifiers=[{"kind": "user_id", "value": composed}]
    )


@given(st.randoms())
def test_identifiers_and_mentions_are_sets(shuffler: random.Random):
    named = [ANN, EMAIL, PHONE, {"kind": "click_id", "value": "g"}]
    mentions = [{"role": role, **one} for role in ("referrer", "referred") for one in named]
    expected = draft(visit(identifiers=named, mentions=mentions))
    again = [*named, shuffler.choice(named)], [*mentions, shuffler.choice(mentions)]
    for one in again:
        shuffler.shuffle(one)
    assert draft(visit(identifiers=again[0], mentions=again[1])) == expected


def test_the_address_and_number_it_is_known_by_are_personal_but_no_content():
    made = draft(visit(identifiers=[EMAIL, PHONE]))
    assert made.personal == {"email": "ann@example.com", "phone": "+84901234567"}
    given = draft(visit(identifiers=[EMAIL, PHONE], personal={"email": "Other@x.io"}))
    assert given.personal == {"email": "other@x.io", "phone": "+84901234567"}
    assert given.touchpoint.content != made.touchpoint.content


def test_of_several_addresses_the_first_by_alphabet_is_shown():
    made = draft(visit(identifiers=[{"kind": "email", "value": "bob@x.io"}, EMAIL]))
    assert made.personal["email"] == "ann@example.com"


@pytest.mark.parametrize("at", [0, Y2100 - 1])
def test_time_goes_from_1970_up_to_2100(at):
    assert canonicalise(visit(occurred_at=at), Y2100, KEY).touchpoint.occurred_at == at
    written = visit(occurred_at=format_instant(at))
    assert canonicalise(written, Y2100, KEY).touchpoint.occurred_at == at


def test_a_sender_s_clock_may_be_five_minutes_ahead():
    assert draft(visit(occurred_at=NOW + 300_000_000)).touchpoint.occurred_at > NOW
    assert refusal(visit(occurred_at=NOW + 300_000_001)).reason == "time_in_future"


@pytest.mark.parametrize("name", ["touchpoint_retracted", "ad_spend_reported"])
def test_the_record_itself_needs_nobody(name):
    attributes = {"source": "web", "event_id": "1"}
    made = draft(visit(type=name, identifiers=None, attributes=attributes))
    assert made.touchpoint.identifiers == ()
    assert made.touchpoint.stream.kind in ("retraction", "campaign")


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize(
    ("identifiers", "fits"),
    [
        ([ANN, EMAIL], True),
        ([EMAIL, {"kind": "email", "value": "bob@x.io"}], True),
        ([ANN, EMAIL, {"kind": "anonymous_id", "value": "c"}], True),
        ([], False),
        ([ANN], False),
        ([EMAIL, {"kind": "email", "value": "ANN@example.com"}], False),
        ([ANN, {"kind": "anonymous_id", "value": "c"}], False),
        ([ANN, EMAIL, PHONE], False),
    ],
)
def test_a_link_names_two_strong_identifiers(name, identifiers, fits):
    link = visit(type=name, identifiers=identifiers)
    if fits:
        assert draft(link).touchpoint.type == name
    else:
        assert refusal(link).reason == "bad_attribute"


@pytest.mark.parametrize(
    ("name", "attributes", "fits"),
    [
        ("assigned", {"owner": "rep-1"}, True),
        ("assigned", {}, False),
        ("assigned", {"owner": 7}, False),
        ("assigned", {"owner": None}, False),
        ("stage_changed", {"stage": "MQL"}, True),
        ("stage_changed", {"track": "sales"}, False),
        ("touchpoint_retracted", {"source": "web", "event_id": "1"}, True),
        ("touchpoint_retracted", {"source": "web"}, False),
        ("touchpoint_retracted", {"source": "web", "event_id": 1}, False),
        ("page_viewed", {"seconds": "twelve", "unheard_of": True}, True),
        ("x_own", {}, True),
    ],
)
def test_needed_attributes_are_there_and_others_are_kept(name, attributes, fits):
    given = visit(type=name, attributes=attributes)
    if fits:
        assert draft(given).touchpoint.attributes == attributes
    else:
        assert refusal(given).reason == "bad_attribute"


ORDER = {
    "undecodable": None,
    "not_canonical": {"sequence": 0.5},
    "unknown_type": {"type": "teleported"},
    "time_out_of_range": {"occurred_at": -1},
    "unknown_channel": {"channel": "tv"},
    "bad_attribute": {"type": "assigned"},
    "no_identifier": {"identifiers": []},
    "time_in_future": {"occurred_at": NOW + DAY},
}


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_the_first_reason_that_fits_is_given(first):
    reasons = list(ORDER)
    faults = [ORDER[reason] or {} for reason in reversed(reasons[first:])]
    given = visit()
    for fault in faults:
        given |= fault
    raw = json.dumps(given).encode()
    assert refusal(raw + b"," if first == 0 else raw).reason == reasons[first]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_conformance_cases_are_accepted_and_refused_as_they_say(path):
    case = json.loads(path.read_text(encoding="utf-8"))
    found = []
    for line, raw in enumerate(case["touchpoints"], 1):
        try:
            canonicalise(json.dumps(raw).encode(), IMPORTED, KEY)
        except Refused as refused:
            found.append({"line": line, "reason": refused.reason})
    assert found == [one for one in case["aside"] if one["reason"] != "id_reused"]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_conformance_cases_reuse_the_ids_that_they_say(path):
    case = json.loads(path.read_text(encoding="utf-8"))
    contents: dict[tuple[str, str], str] = {}
    reused = []
    for line, raw in enumerate(case["touchpoints"], 1):
        try:
            touchpoint = canonicalise(raw, IMPORTED, KEY).touchpoint
        except Refused:
            continue
        key = touchpoint.source, touchpoint.event_id
        if contents.setdefault(key, touchpoint.content) != touchpoint.content:
            reused.append({"line": line, "reason": "id_reused"})
    assert reused == [one for one in case["aside"] if one["reason"] == "id_reused"]


def test_the_conformance_cases_are_there():
    assert len(CASES) > 100
