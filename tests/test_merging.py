"""Leads merged and unmerged by hand: one history, two again, and no trace in any figure."""

from itertools import filterfalse
from random import Random

import pytest

from engine.admission import admit
from engine.book import Book
from engine.codec import decode
from engine.edge import Edge, Row
from engine.errors import (
    Anonymous,
    NotUnlinkable,
    OneAlready,
    Overruled,
    Refused,
    SameIdentifier,
    TooCommon,
    TwoAlready,
)
from engine.folding import fold
from engine.identity import originator_of
from engine.merging import Hand, merge, still_joined_by, unmerge
from engine.rulefile import parse
from engine.states import state_documents
from engine.touchpoint import Actor
from tests import storeless
from tests.naive import run
from tests.naive.identity import Identity, is_strong
from tests.naive.random_people import FEW, random_people
from tests.naive.random_rules import random_rules
from tests.naive.touchpoints import PRECEDENCE, digest, identifier, names_nobody
from tests.naive.touchpoints import Edge as NaiveEdge
from tests.naive.units import instant_us
from tests.shop import Shop
from tests.storing import (
    NOW,
    WORKSPACE_KEY,
    keep,
    retraction,
    seeds_over_each,
    store,
    told,
    touch,
    who,
)
from tests.strategies import settled_history

HAND = Hand("lan", "same voice", storeless.KEY, WORKSPACE_KEY)
ANN, BOB, CARD, PHONE = "email:ann", "email:bob", "crm_id:7", "phone:1"
LATE, LATER = "2099-12-30T00:00:00Z", "2099-12-31T00:00:00Z"
MINUTE = 60 * 10**6


def two(facts, *names):
    """The numbers of two identifiers."""
    one, other = (facts.identifiers_beginning(originator_of(name))[0] for name in who(*names))
    return int(one), int(other)


def histories(facts):
    """The events of each lead, in happening order."""
    return sorted([event for _, _, event in rows] for rows in told(facts.histories()).values())


def digests(*names):
    return [one.digest for one in who(*names)]


def way(steps):
    """How two are still joined: the identifiers and the event of each step."""
    return [([one["digest"] for one in step["identifiers"]], step["event_id"]) for step in steps]


# Merged


def test_two_leads_that_are_merged_are_one_history_of_the_same_touchpoints(facts):
    store(facts, touch("a", ANN), touch("b", BOB, occurred_at=1), touch("c", ANN, occurred_at=2))

    done = merge(facts, two(facts, ANN, BOB), HAND)

    assert histories(facts) == [["a", "b", "c"]]
    assert done["lead"] == digests(ANN)[0][:32]  # known first


def test_the_link_says_who_says_so_when_and_why(facts):
    store(facts, touch("a", ANN), touch("b", CARD))

    done = merge(facts, two(facts, ANN, CARD), HAND)

    with facts.snapshot() as connection:
        state = "SELECT state FROM stored_events WHERE stored_events.rowid = 3"
        link = decode(connection.execute(state).fetchone()[0])
    admit(link)
    assert link.identifiers == who(CARD, ANN)  # by precedence
    assert (link.source, link.type) == ("leadledger", "identity_linked")
    assert (link.actor, link.attributes) == (Actor("rep", "lan"), {"reason": "same voice"})
    assert (link.occurred_at, link.received_at) == (NOW, NOW)
    assert done["linked"] == {
        "identifiers": [
            {"kind": "email", "digest": digests(ANN)[0]},
            {"kind": "crm_id", "digest": digests(CARD)[0]},
        ],
        "source": "leadledger",
        "event_id": link.event_id,
        "occurred_at": "2026-03-02T00:00:00.000000Z",
    }
    assert facts.intake()["lead merge"].recorded == 1


def test_no_two_merges_are_taken_for_one(facts):
    store(facts, touch("a", ANN), touch("b", BOB))
    merge(facts, two(facts, ANN, BOB), HAND)
    unmerge(facts, two(facts, ANN, BOB), HAND)

    merge(facts, two(facts, ANN, BOB), HAND)

    assert facts.intake()["lead merge"].recorded == 3


def test_of_what_is_said_at_one_instant_the_later_counts(facts):
    store(facts, touch("a", ANN), touch("b", BOB))
    pair = two(facts, ANN, BOB)
    for _ in range(3):
        merge(facts, pair, HAND)
        assert histories(facts) == [["a", "b"]]
        assert unmerge(facts, pair, HAND)["still_joined_by"] == []
        assert histories(facts) == [["a"], ["b"]]


def test_what_is_one_lead_already_is_not_merged(facts):
    store(facts, touch("a", ANN, PHONE))
    ann, _ = two(facts, ANN, PHONE)
    with pytest.raises(OneAlready, match=digests(ANN)[0][:32]):
        merge(facts, (ann, ann), HAND)
    assert facts.head() == 1


@pytest.mark.parametrize("weak", ["anonymous_id:pc", "click_id:k"])
def test_a_lead_without_a_name_is_not_merged_and_how_it_may_get_one_is_said(facts, weak):
    store(facts, touch("a", ANN), touch("b", weak))
    for pair in (two(facts, ANN, weak), two(facts, weak, ANN)):
        with pytest.raises(Anonymous, match=f"{weak.split(':')[0]}.*of type identified"):
            merge(facts, pair, HAND)
    assert facts.head() == 2


def test_what_is_too_common_is_not_merged_and_why_is_said(facts):
    facts.too_common = 2
    store(facts, *(touch(name, f"email:{name}", PHONE) for name in "abc"), touch("d", ANN))
    with pytest.raises(
        TooCommon, match=r"phone alone.* beside 3 identifiers of kind email.*than 2"
    ):
        merge(facts, two(facts, PHONE, ANN), HAND)
    assert facts.head() == 4


def test_a_merge_is_overruled_by_what_happens_later_and_that_is_named(facts):
    ahead = touch("u", ANN, BOB, type="identity_unlinked", occurred_at=NOW + MINUTE, source="crm")
    store(facts, touch("a", ANN), touch("b", BOB), ahead)
    with pytest.raises(Overruled, match=r"crm u.* 2026-03-02T00:01:00\.000000Z"):
        merge(facts, two(facts, ANN, BOB), HAND)
    assert histories(facts) == [["a"], ["b"]]

    store(facts, retraction("r", "u", source="crm"))

    assert histories(facts) == [["a", "b"]]


def test_a_reason_that_is_no_text_is_refused(facts):
    store(facts, touch("a", ANN), touch("b", BOB))
    with pytest.raises(Refused, match="reason"):
        merge(facts, two(facts, ANN, BOB), HAND._replace(reason="\udcff"))
    assert facts.head() == 2


# Unmerged


def test_two_who_stood_together_are_two_once_they_are_unmerged(facts):
    store(facts, touch("a", ANN), touch("both", ANN, PHONE), touch("p", PHONE, occurred_at=1))

    done = unmerge(facts, two(facts, PHONE, ANN), HAND)

    assert done["still_joined_by"] == []
    assert done["unlinked"]["identifiers"][0] == {"kind": "phone", "digest": digests(PHONE)[0]}
    assert histories(facts) == [["a", "both"], ["p"]]


def test_what_is_two_leads_already_is_not_unmerged(facts):
    store(facts, touch("a", ANN), touch("b", BOB))
    with pytest.raises(TwoAlready) as told_so:
        unmerge(facts, two(facts, ANN, BOB), HAND)
    assert all(digest[:32] in str(told_so.value) for digest in digests(ANN, BOB))
    assert facts.head() == 2


def test_an_identifier_is_not_taken_apart_from_itself(facts):
    store(facts, touch("a", ANN))
    ann, _ = two(facts, ANN, ANN)
    with pytest.raises(SameIdentifier, match=f"email {digests(ANN)[0][:8]};"):
        unmerge(facts, (ann, ann), HAND)


def test_a_cookie_cannot_be_unlinked(facts):
    store(facts, touch("a", ANN, "anonymous_id:pc"))
    with pytest.raises(NotUnlinkable, match="anonymous_id"):
        unmerge(facts, two(facts, ANN, "anonymous_id:pc"), HAND)
    assert facts.head() == 1


def test_the_shortest_way_that_is_left_is_told_step_by_step(facts):
    store(
        facts,
        touch("long1", ANN, "user_id:1"),
        touch("long2", "user_id:1", "user_id:2"),
        touch("long3", "user_id:2", BOB),
        touch("short1", ANN, PHONE),
        touch("short2", PHONE, BOB),
    )
    pair = two(facts, ANN, BOB)
    merge_at_once = {"type": "identity_linked", "occurred_at": 5}
    store(facts, touch("link", ANN, BOB, **merge_at_once))

    found = unmerge(facts, pair, HAND)["still_joined_by"]

    assert way(found) == [(digests(ANN, PHONE), "short1"), (digests(PHONE, BOB), "short2")]
    assert found[0] == {
        "identifiers": [
            {"kind": "email", "digest": digests(ANN)[0]},
            {"kind": "phone", "digest": digests(PHONE)[0]},
        ],
        "source": "web",
        "event_id": "short1",
        "type": "page_viewed",
        "occurred_at": "1970-01-01T00:00:00.000000Z",
        "recorded_at": "2026-03-02T00:00:00.000000Z",
        "position": 4,
    }

    found = unmerge(facts, two(facts, PHONE, BOB), HAND)["still_joined_by"]

    assert [event for _, event in way(found)] == ["short1", "long1", "long2", "long3"]


def test_a_step_is_by_the_link_that_holds_or_else_the_first_touchpoint_that_counts(facts):
    store(facts, touch("0", CARD, ANN, type="ad_spend_reported"), touch("1", ANN, CARD, PHONE))
    store(facts, touch("2", CARD, ANN), touch("3", ANN, CARD), retraction("r", "2"))
    ann, phone = two(facts, ANN, PHONE)
    unmerge(facts, (ann, phone), HAND)
    assert [event for _, event in way(still_joined_by(facts, (ann, phone)))] == ["1", "1"]

    store(facts, retraction("r1", "1"), touch("card", CARD, PHONE))
    store(facts, touch("4", CARD, ANN, source="crm"))
    assert [event for _, event in way(still_joined_by(facts, (ann, phone)))] == ["3", "card"]

    early = touch("early", ANN, CARD, type="identity_linked", occurred_at=8)
    store(facts, touch("late", ANN, CARD, type="identity_linked", occurred_at=9), early)
    assert [event for _, event in way(still_joined_by(facts, (ann, phone)))] == ["late", "card"]

    store(facts, retraction("r2", "late"))
    assert [event for _, event in way(still_joined_by(facts, (ann, phone)))] == ["early", "card"]


# At random, against the naive model


class Story:
    """A random history of people, recorded, and what the naive model says of it."""

    def __init__(self, facts, seed):
        self.random = Random(seed)
        self.rules = random_rules(self.random)
        self.history = settled_history(random_people(self.random, self.rules, size=40))
        self.facts = facts
        facts.clock, facts.too_common = (lambda: instant_us(LATE)), FEW
        edge = Edge(storeless.KEY, facts.keyring(WORKSPACE_KEY))
        rows = [Row(origin="test", line=1, data=b"", value=one) for one in self.history]
        keep(facts, *edge.accept(rows, storeless.RECEIVED_AT))

    def identity(self):
        edge = NaiveEdge(bytes(range(32)))
        for one in self.history:
            edge.deliver(one)
        return Identity(edge.accepted, FEW)

    def strangers(self):
        """What two leads go by that could be one person; None where there are none."""
        known = self.identity()
        names = sorted(map(known.goes_by, known.leads()))
        names = [one for one in names if is_strong(one) and one not in known.too_common]
        return self.random.sample(names, 2) if len(names) > 1 else None

    def numbers(self, names):
        begin = self.facts.identifiers_beginning
        one, other = (int(begin(name[1].hex()[:32])[0]) for name in names)
        return one, other

    def said_of(self, names, kind):
        """The link or unlink of two as a tool would tell it."""
        written = {}
        for told_ in self.history:
            for one in filterfalse(names_nobody, told_["identifiers"]):
                kind_, namespace, value = identifier(one, told_["source"])
                key = PRECEDENCE.index(kind_), digest((kind_, namespace, value), bytes(range(32)))
                known = {"namespace": namespace} if namespace else {}
                written[key] = {"kind": kind_, "value": value, **known}
        pair = [written[name] for name in names]
        base = {"source": "leadledger", "event_id": f"{len(self.history)}", "occurred_at": LATE}
        return {**base, "type": kind, "sequence": len(self.history), "identifiers": pair}

    def expected(self):
        return run(self.rules, self.history, [LATER], identity=FEW).reads[0].states

    def states(self):
        folded = fold(self.facts.histories(), Book.always(parse(self.rules)), instant_us(LATER))
        return [{k: v for k, v in one.items() if k != "lead"} for one in state_documents(folded)]


def table_bytes(shop, rules):
    """Every row of every read model, brought up to date, as sorted bytes."""
    shop.keep_up(instant_us(LATER), parse(rules))
    tables, _ = shop.stored()
    return {name: sorted(repr(row).encode() for row in rows) for name, rows in tables.items()}


@seeds_over_each(sqlite=15, postgresql=4)
def test_a_merge_and_its_undoing_leave_no_trace_in_any_read_model(seed, facts_url):
    shop = Shop(facts_url)
    story = Story(shop.facts, seed)
    if names := story.strangers():
        pair = story.numbers(names)
        shop.publish(story.rules)
        apart = table_bytes(shop, story.rules)

        merge(shop.facts, pair, HAND)
        one = table_bytes(shop, story.rules)
        assert one != apart
        assert unmerge(shop.facts, pair, HAND)["still_joined_by"] == []
        assert table_bytes(shop, story.rules) == apart

        merge(shop.facts, pair, HAND)
        assert table_bytes(shop, story.rules) == one
        shop.rebuild(instant_us(LATER), rules=parse(story.rules))
        assert table_bytes(shop, story.rules) == one
    shop.close()


@seeds_over_each(sqlite=15, postgresql=2)
def test_merged_and_unmerged_leads_are_those_of_the_naive_model(seed, facts):
    story = Story(facts, 1000 + seed)
    if names := story.strangers():
        merge(facts, story.numbers(names), HAND)
        story.history.append(story.said_of(names, "identity_linked"))
        assert story.states() == story.expected()

        unmerge(facts, story.numbers(names), HAND)
        story.history.append(story.said_of(names, "identity_unlinked"))
        assert story.states() == story.expected()


@seeds_over_each(sqlite=15, postgresql=2)
def test_the_way_that_is_left_is_one_of_the_shortest_and_each_step_joins(seed, facts):
    story = Story(facts, 2000 + seed)
    components = [one for one in story.identity().components() if len(one) > 1]
    if not components:
        return
    names = story.random.sample(sorted(story.random.choice(sorted(components, key=sorted))), 2)

    steps = unmerge(facts, story.numbers(names), HAND)["still_joined_by"]

    story.history.append(story.said_of(names, "identity_unlinked"))
    known = story.identity()
    assert len(steps) == distance(known, *names)
    at = names[0]
    for step in steps:
        one, other = (
            (PRECEDENCE.index(who["kind"]), bytes.fromhex(who["digest"]))
            for who in step["identifiers"]
        )
        assert (one, is_strong(other)) == (at, True)
        assert (step["source"], step["event_id"]) in [t.id for t in known.evidence(one, other)]
        at = other
    assert not steps or at == names[1]


def distance(known, one, other):
    """How many direct joins lie between two; 0 where they are two people."""
    reached, steps = {one}, 0
    while other not in reached:
        more = {who for here in reached for who in known.joined[here]} | reached
        if more == reached:
            return 0
        reached, steps = more, steps + 1
    return steps
