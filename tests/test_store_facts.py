"""The facts as columns: what counts, in happening order, known at any position."""

from random import Random

import numpy as np

from engine.history import BOOLEAN, DOUBLE, LONG, STRING
from engine.identity import originator_of
from engine.store.facts import Facts
from engine.touchpoint import Actor, Campaign, Identifier, Money
from tests.storing import NOW, Ledger, retraction, seeds_over_each, store, told, touch, who

SOURCES = ("web", "é", "z", "\U0001f600")  # the last two sort one way as UTF-16, another as UTF-8


def random_touchpoint(random: Random):
    """Out of a small world, so that ids, leads, instants and retractions meet; none is joined."""
    kind = random.choice(["page_viewed"] * 5 + ["touchpoint_retracted"] * 2 + ["ad_spend_reported"])
    event_id, source = f"e{random.randrange(12)}", random.choice(SOURCES)
    if kind == "touchpoint_retracted":
        return retraction(f"r{random.randrange(8)}", f"e{random.randrange(12)}", source)
    if kind == "ad_spend_reported":
        return touch(event_id, source=source, type=kind)
    lead = random.choice(("email:ann", "phone:bob", "anonymous_id:c"))
    at, sequence = random.randrange(3), random.randrange(2)
    return touch(event_id, lead, source=source, occurred_at=at, sequence=sequence)


@seeds_over_each(sqlite=25, postgresql=6)
def test_histories_are_what_a_plain_list_of_deliveries_says_at_every_position(seed, facts):
    random, ledger = Random(seed), Ledger()
    while len(ledger.kept) < 40:
        batch = [random_touchpoint(random) for _ in range(random.choice((1, 3, 10)))]
        outcomes = [ledger.take(one) for one in batch]
        recorded = store(facts, *batch)
        assert recorded.recorded == outcomes.count("recorded")
        assert (
            recorded.duplicates + sum(recorded.set_aside.values()) == len(batch) - recorded.recorded
        )
    head = len(ledger.kept)
    assert facts.head() == head
    for known_at in range(head + 1):
        assert told(facts.histories(known_at=known_at)) == ledger.histories(known_at)
    assert told(facts.histories()) == ledger.histories(head)
    for after, upto in [sorted(random.sample(range(head + 1), 2)) for _ in range(20)]:
        touched = set(facts.lead_ids(facts.touched_leads(after, upto)))
        assert touched >= ledger.touched(after, upto)


def test_arrival_order_and_batches_change_no_history(facts, tmp_path):
    random = Random(7)
    given = {(one.source, one.event_id): one for one in map(random_touchpoint, [random] * 60)}
    store(facts, *given.values())
    with Facts.open(tmp_path / "other.db") as other:
        for one in random.sample(list(given.values()), len(given)):
            store(other, one, one)
        assert without_positions(other) == without_positions(facts)


def without_positions(facts):
    return {lead: [row[1:] for row in rows] for lead, rows in told(facts.histories()).items()}


def test_some_leads_are_read_without_the_others(facts):
    store(facts, touch("1", "email:ann"), touch("2", "email:bob"), touch("3", "email:cat"))
    numbers = facts.lead_numbers()
    some = facts.histories(numbers[[2, 0]])
    assert told(some) == {
        lead: rows for lead, rows in told(facts.histories()).items() if lead in some.leads
    }
    assert [row[0][2] for row in told(some).values()] == ["1", "3"]


def test_no_leads_give_empty_histories(facts):
    empty = facts.histories(np.empty(0, np.int64))
    assert (empty.leads, empty.starts.tolist(), len(empty.touches)) == ([], [0], 0)


def test_a_touchpoint_with_an_office_phone_touches_the_lead_of_its_address_alone(facts):
    store(facts, *(touch(f"{n}", f"email:{n}", "phone:office") for n in range(12)))
    before = facts.head()
    store(facts, touch("old", "email:3", "phone:office"), touch("new", "email:99", "phone:office"))
    touched = facts.lead_ids(facts.touched_leads(before, facts.head()))
    assert touched == [originator_of(one) for one in who("email:3", "email:99")]


def test_a_shared_computer_touches_the_lead_of_the_moment_alone(facts):
    for n in range(4):
        store(facts, touch(f"form {n}", f"email:{n}", "anonymous_id:pc", occurred_at=10 * n))
    before = facts.head()
    store(facts, touch("page", "anonymous_id:pc", occurred_at=25))
    touched = facts.lead_ids(facts.touched_leads(before, facts.head()))
    assert touched == [originator_of(one) for one in who("email:2")]


def test_where_all_touchpoints_are_retracted_there_is_no_lead(facts):
    store(facts, touch("1"), retraction("2", of="1"))
    assert told(facts.histories()) == {}
    assert len(facts.touched_leads(1, 2)) == 1


def test_every_column_comes_back_as_it_was_recorded(facts):
    store(
        facts,
        touch(
            "ü-1",
            occurred_at=5,
            sequence=-3,
            time_quality="sent",
            channel="email",
            campaign=Campaign("google", None, "spring", "", "red"),
            actor=Actor("rep", "r-1"),
            amount=Money(-1500, "VND"),
            deal="d-1",
            account="a-1",
            attributes={"path": "/x", "long": -(2**63), "half": 0.5, "yes": True},
        ),
    )
    histories = facts.histories()
    one = histories.touches[0]
    texts = histories.strings.texts
    assert (one["occurred_at"], one["sequence"], one["received_at"]) == (5, -3, NOW)
    assert (one["amount_minor"], one["time_quality"], one["attributes"]) == (-1500, 2, 4)
    named = ["type", "channel", "source", "currency", "campaign_source", "campaign_name"]
    assert texts([int(one[name]) for name in named]) == [
        "page_viewed", "email", "web", "VND", "google", "spring",
    ]  # fmt: skip
    assert texts([int(one[n]) for n in ("actor_kind", "actor_id", "deal", "account")]) == [
        "rep", "r-1", "d-1", "a-1",
    ]  # fmt: skip
    assert one["campaign_medium"] == 0
    assert one["campaign_term"] != 0  # there, and empty
    assert histories.event_id(0) == "ü-1"
    values = {
        texts([int(name)])[0]: (int(tag), int(bits)) for name, tag, bits in histories.attributes
    }
    assert values["path"] == (STRING, histories.strings.ids(["/x"])[0])
    assert values["long"] == (LONG, -(2**63))
    assert values["half"] == (DOUBLE, int(np.float64(0.5).view(np.int64)))
    assert values["yes"] == (BOOLEAN, 1)


def test_a_string_that_was_never_recorded_has_no_id(facts):
    store(facts, touch("1"))
    assert facts.strings.ids(["nothing", "web", ""])[0] == 0
    assert facts.strings.texts(facts.strings.ids(["web"])) == ["web"]
    assert facts.strings.texts([0]) == [""]


def test_a_lead_is_found_by_id_and_by_any_identifier_that_names_its_stream(facts):
    store(facts, touch("1", "email:ann"), retraction("2", of="0"))
    (ann,) = who("email:ann")
    (number,) = facts.lead_numbers().tolist()
    assert facts.leads_beginning(originator_of(ann)).tolist() == [number]
    assert facts.lead_ids(facts.lead_numbers()) == [originator_of(ann)]
    assert not len(facts.leads_beginning("0" * 32))
    assert not len(facts.leads_beginning(originator_of(Identifier("email", "f" * 64))))


def test_what_is_known_at_an_instant_is_what_was_recorded_by_then(facts, clock):
    clock.now = 100
    store(facts, touch("1"))
    clock.now = 50  # a clock that is set back does not turn time back
    store(facts, touch("2"))
    clock.now = 200
    store(facts, touch("3"), touch("4"))
    upto = [facts.recorded_upto(instant) for instant in (99, 100, 199, 200, 10**15)]
    assert upto == [0, 2, 2, 4, 4]
    (lead,) = facts.lead_numbers().tolist()
    rows = facts.touchpoints_of(lead)
    assert [(row.position, row.recorded_at) for row in rows] == [
        (1, 100), (2, 100), (3, 200), (4, 200),
    ]  # fmt: skip


def test_the_listing_of_a_lead_has_void_touchpoints_and_says_what_voids_them(facts):
    first = touch("1")
    store(facts, first, touch("2"), retraction("3", of="1"))
    (lead,) = facts.lead_numbers().tolist()
    assert [(row.position, row.void) for row in facts.touchpoints_of(lead)] == [(1, 3), (2, None)]
    assert [(r.position, r.void) for r in facts.touchpoints_of(lead, known_at=2)] == [
        (1, None), (2, None),
    ]  # fmt: skip


def test_a_snapshot_stands_still_while_others_record(facts, facts_url):
    store(facts, touch("1"))
    with facts.snapshot():
        assert facts.head() == 1
        with Facts.open(facts_url) as other:
            store(other, touch("2"))
        assert facts.head() == 1
        assert [len(rows) for rows in told(facts.histories()).values()] == [1]
    assert facts.head() == 2
