"""Who a lead is: its identifiers, what joined them and since when that was known."""

from random import Random

import pytest

from engine import audit
from engine.edge import Edge, Row
from engine.errors import NotKnown, SeveralLeads
from engine.identity import originator_of
from engine.instants import format_instant
from engine.kinship import clear_by_digest, document, look, spanning_tree
from engine.store.ties import Tie
from engine.touchpoint import Actor
from tests import storeless
from tests.naive.identity import Identity, is_strong, strong
from tests.naive.random_people import FEW, random_people
from tests.naive.touchpoints import PRECEDENCE
from tests.naive.touchpoints import Edge as NaiveEdge
from tests.storing import (
    WORKSPACE_KEY,
    keep,
    retraction,
    seeds_over_each,
    store,
    touch,
    who,
)
from tests.strategies import settled_history

ANN, BOB, CARD, PHONE = "email:ann", "email:bob", "crm_id:7", "phone:1"
PC, CLICK = "anonymous_id:pc", "click_id:k"
MARCH_2 = "2026-03-02T00:00:00.000000Z"
MINUTE = 60 * 10**6


def shown(facts, name, known_at=None):
    """Who the lead of an identifier is, as JSON has it."""
    (one,) = who(name)
    (number,) = facts.identifiers_beginning(originator_of(one)).tolist()
    return document(look(facts, number, known_at))


def digest(name):
    return who(name)[0].digest


def tree(found):
    """The strong identifiers, each with whom it was joined and by which event."""
    names = {digest(name): name for name in (ANN, BOB, CARD, PHONE, "user_id:1")}
    return [
        (names[one["digest"]], by and (names[by["to"]["digest"]], by["event_id"]))
        for one in found["strong"]
        for by in [one["joined"]]
    ]


def weak_ones(found):
    """Kind, touchpoints, the event that it came by, and how many others share it."""
    return [
        (one["kind"], one["touchpoints"], by and by["event_id"], one["other_leads"])
        for one in found["weak"]
        for by in [one["came_by"]]
    ]


# Strong identifiers


def test_a_tie_is_the_touchpoint_its_two_ends_when_it_happened_and_since_when_it_is_known(
    facts, clock
):
    store(facts, touch("1", ANN))
    clock.now += MINUTE
    store(facts, touch("2", ANN, PHONE, type="form_submitted", occurred_at=5))

    found = shown(facts, PHONE)

    assert found["lead"] == digest(ANN)[:32]
    assert (found["known_at"], found["touchpoints"]) == (2, 2)
    assert found["strong"] == [
        {"kind": "email", "digest": digest(ANN), "joined": None},
        {
            "kind": "phone",
            "digest": digest(PHONE),
            "joined": {
                "to": {"kind": "email", "digest": digest(ANN)},
                "source": "web",
                "event_id": "2",
                "type": "form_submitted",
                "occurred_at": "1970-01-01T00:00:00.000005Z",
                "recorded_at": "2026-03-02T00:01:00.000000Z",
                "position": 2,
            },
        },
    ]


def test_of_several_ties_the_earliest_recorded_are_shown(facts):
    store(facts, touch("1", ANN), touch("2", PHONE, BOB), touch("3", ANN, CARD))
    store(facts, touch("4", CARD, PHONE), touch("5", ANN, BOB), touch("6", ANN, CARD, PHONE, BOB))
    assert tree(shown(facts, BOB)) == [
        (ANN, None),
        (CARD, (ANN, "3")),
        (PHONE, (CARD, "4")),
        (BOB, (PHONE, "2")),
    ]


def test_whom_one_touchpoint_joins_stand_below_the_one_that_was_there_first(facts):
    store(facts, touch("1", PHONE), touch("2", CARD, ANN, PHONE))
    assert tree(shown(facts, CARD)) == [(PHONE, None), (CARD, (PHONE, "2")), (ANN, (PHONE, "2"))]


def test_a_tree_takes_at_each_step_the_earliest_tie_to_what_is_there():
    ties = [Tie(9, 1, 2), Tie(4, 2, 3), Tie(7, 3, 1), Tie(8, 4, 1), Tie(4, 3, 5)]
    assert spanning_tree(1, ties) == [
        (1, None),
        (3, Tie(7, 1, 3)),
        (2, Tie(4, 3, 2)),
        (5, Tie(4, 3, 5)),
        (4, Tie(8, 1, 4)),
    ]


def test_who_was_merged_by_hand_is_joined_by_the_link_with_its_reason_and_who_gave_it(facts):
    said = {"actor": Actor("rep", "lan"), "attributes": {"reason": "same voice"}}
    store(facts, touch("1", ANN), touch("2", BOB))
    store(facts, touch("3", ANN, BOB, type="identity_linked", occurred_at=5, **said))
    store(facts, touch("4", BOB, PHONE, type="identity_unlinked", occurred_at=6))

    found = shown(facts, BOB)

    assert tree(found) == [(ANN, None), (BOB, (ANN, "3"))]
    link, unlink = found["links"]
    assert [one["digest"] for one in link["identifiers"]] == [digest(ANN), digest(BOB)]
    assert (link["type"], link["reason"]) == ("identity_linked", "same voice")
    assert link["actor"] == {"kind": "rep", "id": "lan"}
    assert (link["holds"], link["retracted"]) == (True, False)
    assert (unlink["reason"], unlink["actor"], unlink["holds"]) == (None, None, True)


def test_of_what_was_said_about_two_only_the_last_that_is_not_retracted_holds(facts):
    linked, unlinked = {"type": "identity_linked"}, {"type": "identity_unlinked"}
    store(facts, touch("a", ANN), touch("b", BOB), touch("1", ANN, BOB, occurred_at=3, **linked))
    store(facts, touch("2", ANN, BOB, occurred_at=1, **unlinked))
    store(facts, touch("3", ANN, BOB, occurred_at=9, **unlinked), retraction("r", "3"))
    assert [
        (one["event_id"], one["holds"], one["retracted"]) for one in shown(facts, ANN)["links"]
    ] == [("2", False, False), ("1", True, False), ("3", False, True)]
    assert [one["holds"] for one in shown(facts, ANN, known_at=5)["links"]] == [False, False, True]


def test_what_is_too_common_is_told_with_how_many_of_which_kind_and_joins_nothing(facts):
    facts.too_common = 2
    store(facts, *(touch(name, f"email:{name}", PHONE) for name in "abc"))
    store(facts, touch("ann", ANN, PHONE, CARD))

    found = shown(facts, ANN)

    beside = {"kind": "email", "identifiers": 4}
    assert found["too_common"] == [{"kind": "phone", "digest": digest(PHONE), "beside": beside}]
    assert tree(found) == [(CARD, None), (ANN, (CARD, "ann"))]


# Cookies and clicks


def test_a_cookie_says_how_often_it_was_seen_since_when_by_what_it_came_and_who_shares_it(facts):
    store(
        facts,
        touch("before", PC, occurred_at=1),
        touch("form", PC, ANN, occurred_at=2),
        touch("after", PC, occurred_at=3),
        touch("again", PC, ANN, occurred_at=4),
        touch("bob", PC, BOB, occurred_at=5),
        touch("bobs", PC, occurred_at=6),
    )
    found = shown(facts, ANN)
    assert weak_ones(found) == [("anonymous_id", 4, "form", 1)]
    assert found["weak"][0]["first_at"] == "1970-01-01T00:00:00.000001Z"
    assert found["weak"][0]["last_at"] == "1970-01-01T00:00:00.000004Z"
    assert weak_ones(shown(facts, BOB)) == [("anonymous_id", 2, "bob", 1)]


def test_a_click_comes_by_a_cookie_too_and_one_that_nobody_owns_by_nothing(facts):
    store(facts, touch("click", CLICK), touch("page", CLICK, PC, occurred_at=1))
    assert weak_ones(shown(facts, CLICK)) == [
        ("anonymous_id", 1, None, 0),
        ("click_id", 2, "page", 0),
    ]
    store(facts, touch("form", PC, ANN, occurred_at=2))
    assert weak_ones(shown(facts, ANN)) == [
        ("anonymous_id", 2, "form", 0),
        ("click_id", 2, "page", 0),
    ]


def test_a_cookie_that_stands_beside_one_of_a_lead_is_shared_by_no_others_of_that_one(facts):
    store(facts, touch("two", "anonymous_id:c1", "anonymous_id:c2", occurred_at=2))
    store(facts, touch("ann", "anonymous_id:c2", ANN, occurred_at=1))
    store(facts, touch("bob", "anonymous_id:c2", BOB, occurred_at=3))
    shared = {one["digest"]: one["other_leads"] for one in shown(facts, ANN)["weak"]}
    assert shared == {digest("anonymous_id:c1"): 0, digest("anonymous_id:c2"): 1}
    assert shown(facts, "anonymous_id:c1") == shown(facts, ANN)
    first, ann = (originator_of(*who(name)) for name in ("anonymous_id:c1", ANN))
    assert facts.leads_beginning(first).tolist() == facts.leads_beginning(ann).tolist()


def test_a_cookie_of_two_leads_names_neither(facts):
    store(facts, touch("ann", PC, ANN), touch("bob", PC, BOB))
    with pytest.raises(SeveralLeads, match=digest(ANN)[:32]):
        shown(facts, PC)


# As known at a position


def test_as_known_before_a_join_it_was_another_lead_and_before_that_none(facts):
    store(facts, touch("1", BOB), touch("2", ANN), touch("3", ANN, BOB))
    assert tree(shown(facts, ANN)) == [(BOB, None), (ANN, (BOB, "3"))]
    assert tree(shown(facts, ANN, known_at=2)) == [(ANN, None)]
    with pytest.raises(NotKnown, match="at position 1;"):
        shown(facts, ANN, known_at=1)
    with pytest.raises(NotKnown, match="at position 0;"):
        shown(facts, BOB, known_at=0)


def test_a_position_that_is_still_to_come_is_the_last_one(facts):
    store(facts, touch("1", ANN))
    assert shown(facts, ANN, known_at=10**14) == shown(facts, ANN)


def test_a_retraction_parts_whom_it_joined_from_its_position_on(facts):
    store(facts, touch("1", ANN), touch("2", BOB), touch("3", ANN, BOB), retraction("r", "3"))
    assert tree(shown(facts, BOB, known_at=3)) == [(ANN, None), (BOB, (ANN, "3"))]
    assert tree(shown(facts, BOB)) == [(BOB, None)]


def test_an_identifier_of_which_nothing_counts_is_no_lead(facts):
    store(facts, touch("1", ANN), retraction("r", "1"))
    with pytest.raises(NotKnown):
        shown(facts, ANN)


# In clear


def told(event_id, *who, **more):
    identifiers = [dict(zip(("kind", "value"), one.split(":"), strict=True)) for one in who]
    known = {"source": "web", "event_id": event_id, "type": "form_submitted"}
    return {**known, "occurred_at": 0, "identifiers": identifiers, **more}


def test_addresses_and_numbers_are_found_in_clear_by_their_digests_and_the_look_is_kept(facts):
    edge = Edge(storeless.KEY, facts.keyring(WORKSPACE_KEY))
    lines = [
        told("1", "email:an@example.vn", "user_id:u"),
        told("2", "user_id:u", "phone:+84901234567", personal={"phone": "n/a", "name": "An"}),
        told("3", "user_id:u", "phone:+84907654321", personal={"email": "other@example.vn"}),
    ]
    rows = [Row(origin="test", line=1, data=b"", value=one) for one in lines]
    keep(facts, *edge.accept(rows, 0))
    (number,) = facts.leads_beginning(storeless.KEY.digest("user_id", "", "u")[:32]).tolist()

    kin = look(facts, number, None)
    personal = audit.reveal(facts, kin.lead, WORKSPACE_KEY, "lan", "why", kin.known_at)
    found = document(kin, clear_by_digest(personal, storeless.KEY))

    assert [(one["kind"], one["value"]) for one in found["strong"]] == [
        ("user_id", None),
        ("email", "an@example.vn"),
        ("phone", None),  # a placeholder lies where it would be
        ("phone", "+84907654321"),
    ]
    assert [look["reason"] for look in audit.accesses(facts)] == ["why"]


def test_in_clear_too_only_what_was_known_is_seen(facts):
    edge = Edge(storeless.KEY, facts.keyring(WORKSPACE_KEY))
    lines = [told("1", "user_id:u"), told("2", "user_id:u", "email:an@example.vn")]
    keep(facts, *edge.accept([Row(origin="t", line=1, data=b"", value=one) for one in lines], 0))
    assert audit.reveal(facts, facts.lead_numbers()[0], WORKSPACE_KEY, "lan", "why", 1) == {}


# At random, against the naive model


@seeds_over_each(sqlite=30, postgresql=4)
def test_kinship_is_that_of_the_naive_model_as_known_at_any_position(seed, facts):
    random = Random(seed)
    history = settled_history(random_people(random, 'name = "none"', size=40))
    facts.too_common = FEW
    edge = Edge(storeless.KEY, facts.keyring(WORKSPACE_KEY))
    rows = [Row(origin="test", line=1, data=b"", value=one) for one in history]
    keep(facts, *edge.accept(rows, storeless.RECEIVED_AT))
    naive = NaiveEdge(bytes(range(32)))
    for one in history:
        naive.deliver(one)
    for known_at in (random.randint(1, facts.head()), facts.head()):
        known = Identity(naive.accepted[:known_at], FEW)
        arrived = {touch.id: at for at, touch in enumerate(naive.accepted, 1)}
        for lead, touches in known.leads().items():
            goes_by = known.goes_by(lead)
            (number,) = facts.identifiers_beginning(goes_by[1].hex()[:32]).tolist()
            if not is_strong(goes_by) and len(owners(known, goes_by)) > 1:
                continue
            found = document(look(facts, number, known_at))
            assert found["lead"] == goes_by[1].hex()[:32]
            assert found["touchpoints"] == len(touches)
            check_strong(found, known, lead, arrived)
            check_weak(found, known, lead, touches)
            check_common(found, known, touches)
            check_links(found, known, lead)


def key_of(named):
    return PRECEDENCE.index(named["kind"]), bytes.fromhex(named["digest"])


def owners(known, cookie):
    """The leads whose touchpoints name an identifier."""
    return {known.lead_of(touch) for touch in known.folded if cookie in touch.identifiers}


def check_strong(found, known, lead, arrived):
    """All of the lead's are there, each with what joins two, and no earlier way would have done."""
    members = [key_of(one) for one in found["strong"]]
    assert sorted(members) == sorted(one for one in lead if is_strong(one))
    positions = {
        frozenset((one, other)): position_of(known, one, other, arrived)
        for one in members
        for other in known.joined[one]
    }
    edges = {}
    for place, one in enumerate(found["strong"][1:], 1):
        pair = key_of(one), key_of(one["joined"]["to"])
        assert pair[1] in members[:place]
        edges[frozenset(pair)] = one["joined"]["position"]
        assert one["joined"]["position"] == positions[frozenset(pair)]
    for edge, position in edges.items():
        side = reached(next(iter(edge)), edges.keys() - {edge})
        across = [at for pair, at in positions.items() if len(pair & side) == 1]
        assert position == min(across)


def position_of(known, one, other, arrived):
    """Where what joins two was recorded: the link that holds, else the first of both."""
    if facts := known.facts_about(one, other):
        return arrived[facts[-1].id]
    return min(arrived[touch.id] for touch in known.evidence(one, other))


def reached(begin, edges):
    side, more = set(), {begin}
    while more - side:
        side |= more
        more = {one for edge in edges if edge & side for one in edge}
    return side


def check_weak(found, known, lead, touches):
    expected = {}
    for naming in touches:
        for one in naming.identifiers:
            if not is_strong(one):
                expected.setdefault(one, []).append(naming)
    assert {key_of(one) for one in found["weak"]} == expected.keys()
    for one in found["weak"]:
        named = key_of(one)
        naming = expected[named]
        came_by = next((each.id for each in naming if known.claims_for(named, each)), None)
        assert one["touchpoints"] == len(naming)
        assert one["first_at"] == format_instant(naming[0].at)
        assert one["last_at"] == format_instant(naming[-1].at)
        by = one["came_by"]
        assert (by and (by["source"], by["event_id"])) == came_by
        assert one["other_leads"] == len(owners(known, named) - {lead})


def check_common(found, known, touches):
    named = {who for touch in touches for who in strong(touch)}
    assert {key_of(one) for one in found["too_common"]} == named & known.too_common
    for one in found["too_common"]:
        sizes = {kind: len(known.company(key_of(one), i)) for i, kind in enumerate(PRECEDENCE[:5])}
        assert sizes[one["beside"]["kind"]] == one["beside"]["identifiers"] == max(sizes.values())


def check_links(found, known, lead):
    told = [one for one in found["links"] if not one["retracted"]]
    facts = [fact for fact in known.facts if not lead.isdisjoint(strong(fact))]
    assert [(one["source"], one["event_id"]) for one in told] == [fact.id for fact in facts]
    for one, fact in zip(told, facts, strict=True):
        assert one["holds"] == (known.facts_about(*strong(fact))[-1] == fact)
