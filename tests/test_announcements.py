"""Announcing: what is told, when, once; what turns out to be wrong, and is said to be."""

from collections import Counter

import pytest

from engine import announcements
from engine.announcement import announcement_id, document
from engine.announcements import Announcer
from engine.errors import AnnouncedAlready
from engine.rulefile import parse
from tests.announced import ASKED, ENTERED, Teller
from tests.read_side import DAY, HOUR, RULES, touch
from tests.shop import COLD_SOON, about, lead, retraction


@pytest.fixture
def teller(shop):
    """Announcing has begun over nothing; a day has passed since 1970."""
    made = Teller(shop)
    made.announcer.begin()
    return made


def test_what_touchpoints_bring_about_is_told_once(teller):
    teller.shop.record(about(1, DAY))
    assert teller.announce() == ENTERED
    assert teller.announce() == []
    entered, joined = teller.told()
    assert document(entered) == {
        "id": announcement_id(entered.first, entered.key, 2, None),
        "number": 1,
        "kind": "stage_entered",
        "name": "life.visitor",
        "at": "1970-01-02T00:00:00.000000Z",
        "due": None,
        "lead": lead(1)[0].digest[:32],
        "first": {"source": "web", "event_id": f"1-{DAY}"},
        "cause": {"source": "web", "event_id": f"1-{DAY}"},
        "position": 2,
        "settled_to": "1970-01-02T00:00:00.000000Z",
        "rules": parse(RULES).id,
        "corrects": None,
        "announced_at": "1970-01-02T00:00:00.000000Z",
    }
    assert joined.cause == entered.cause


def test_timed_moves_breaches_and_segments_are_told_when_their_instant_comes(teller):
    teller.shop.record(*ASKED)
    teller.clock.now = 2 * DAY
    assert ("stage_entered", "life.mql", 2) in teller.announce()
    for now, told in (
        (3 * DAY, []),
        (3 * DAY + 1, [("clock_breached", "answer", 3)]),
        (22 * DAY - 1, [("segment_left", "keen", pytest.approx(13.45, abs=0.01))]),
        (22 * DAY, [("segment_joined", "silent", 22)]),
    ):
        teller.clock.now = now
        assert teller.announce() == told
        assert teller.announce() == []
    assert [one.settled_to for one in teller.told() if one.cause is None] == [
        one.at + (one.kind == "clock_breached") for one in teller.told() if one.cause is None
    ]


def test_it_knows_when_something_is_due_next(teller):
    assert teller.announcer.next_at is None
    teller.shop.record(about(1, DAY))
    teller.announce()
    assert teller.announcer.next_at / DAY == pytest.approx(13.45, abs=0.01)
    teller.shop.publish(COLD_SOON, since=3 * DAY)
    teller.announce()
    assert teller.announcer.next_at == 3 * DAY


def test_a_clock_is_told_to_be_due_soon_so_long_before_as_the_setting_says(shop):
    teller = Teller(shop, soon_us=HOUR)
    teller.shop.record(*ASKED)
    teller.clock.now = 2 * DAY
    teller.announce()
    teller.clock.now = 3 * DAY
    assert teller.announce() == [("clock_due_soon", "answer", 3 - 1 / 24)]
    assert teller.told()[-1].due == 3 * DAY


def test_what_time_did_while_nobody_announced_is_told_instant_by_instant(teller):
    teller.shop.record(about(1, DAY))
    teller.announce()
    teller.clock.now = 400 * DAY
    told = teller.announce()
    assert [name for _, name, _ in told] == ["keen", "silent", "life.cold"]
    assert [one.settled_to / DAY for one in teller.told()[2:]] == [at for *_, at in told]


def test_where_much_is_due_at_once_it_is_told_step_by_step(teller, monkeypatch):
    monkeypatch.setattr(announcements, "DUE_AT_ONCE", 2)
    teller.shop.record(*(about(n, DAY + n * HOUR) for n in range(1, 6)))
    teller.clock.now = 2 * DAY
    teller.announce()
    teller.shop.record(about(6, 30 * DAY))  # known from the first of these steps on
    teller.clock.now = 31 * DAY + 3 * HOUR
    before, steps = len(teller.told()), 0
    while teller.announcer.step() is not None:
        steps += 1
    told = Counter(one.name for one in teller.told()[before:])
    assert told == {"keen": 6, "silent": 5, "life.cold": 3, "life.visitor": 1}
    assert steps > 5
    ordered = [one.at for one in teller.told()]
    assert ordered == sorted(ordered)


def test_touchpoints_that_lie_ahead_are_told_when_they_happen(teller):
    teller.shop.record(about(1, DAY), about(1, DAY + HOUR, type="price_asked"))
    assert teller.announce() == ENTERED
    teller.clock.now = DAY + HOUR
    assert teller.announce() == [("stage_entered", "life.mql", 1 + 1 / 24)]


# Where it begins


def test_of_what_came_about_before_it_began_nothing_is_told(shop):
    teller = Teller(shop)
    shop.record(*ASKED, about(2, DAY))
    teller.clock.now = 2 * DAY
    begun = teller.announcer.begin()
    assert (begun.stand.position, begun.stages) == (4, {"life.mql": 1, "life.visitor": 1})
    assert teller.announcer.begin() is None
    assert teller.announce() == []
    teller.clock.now = 4 * DAY
    shop.record(about(2, 4 * DAY, type="price_asked"))
    assert teller.announce() == [("clock_breached", "answer", 3), ("stage_entered", "life.mql", 4)]


def test_from_the_beginning_all_is_told_as_it_became_known(shop):
    teller = Teller(shop, batch=1)
    shop.record(about(1, DAY))
    teller.clock.now = 50 * DAY
    shop.record(about(2, 40 * DAY))
    begun = teller.announcer.begin(from_beginning=True)
    assert (begun.stand[:2], begun.stages) == ((0, 0), {})
    told = teller.announce()
    assert told[:2] == ENTERED
    assert [(one.position, one.settled_to) for one in teller.told()[:2]] == [(2, DAY)] * 2
    assert {*told[2:]} >= {
        ("stage_entered", "life.cold", 31),
        ("stage_entered", "life.visitor", 40),
    }


def test_once_something_is_told_it_cannot_begin_again(teller):
    teller.shop.record(about(1, DAY))
    teller.announce()
    with pytest.raises(AnnouncedAlready, match="2 announcements are told"):
        teller.announcer.begin(from_beginning=True)


def test_far_behind_it_tells_nothing_that_was_known_to_be_otherwise_by_then(shop):
    teller = Teller(shop)
    teller.announcer = Announcer(shop.facts, batch=1)
    teller.announcer.begin()
    shop.record(ASKED[0])
    teller.clock.now = 2 * DAY
    shop.record(ASKED[1])
    teller.clock.now = 3 * DAY - HOUR
    shop.record(about(1, 3 * DAY - HOUR, type="won"))
    teller.clock.now = 9 * DAY
    assert {name for _, name, _ in teller.announce()} == {
        "life.visitor",
        "life.mql",
        "life.customer",
        "keen",
    }


# What turns out to be wrong


def wrong(teller):
    """What corrections name, in the order of telling."""
    told = {one.id: one for one in teller.told()}
    return [told[one.corrects] for one in told.values() if one.corrects]


def test_a_late_touchpoint_that_makes_one_wrong_leads_to_a_correction_that_names_it(teller):
    teller.shop.record(*ASKED)
    teller.clock.now = 4 * DAY
    assert ("clock_breached", "answer", 3) in teller.announce()
    teller.shop.record(about(1, 3 * DAY - HOUR, type="won"))
    told = teller.announce()
    assert told[0] == ("corrected", "answer", 3)
    assert told[1:] == [("stage_entered", "life.customer", 3 - 1 / 24)]
    (breached,) = wrong(teller)
    correction = next(one for one in teller.told() if one.corrects)
    assert (breached.kind, breached.lead, breached.first) == (
        "clock_breached",
        correction.lead,
        correction.first,
    )
    assert correction.position == 4
    teller.clock.now = 5 * DAY
    assert teller.announce() == []


def test_what_is_corrected_and_comes_about_after_all_is_told_anew(teller):
    teller.shop.record(*ASKED)
    teller.clock.now = 4 * DAY
    teller.announce()
    teller.shop.record(about(1, 3 * DAY - HOUR, type="won"))
    teller.announce()
    teller.shop.record(retraction(f"1-{3 * DAY - HOUR}"))
    assert teller.announce() == [
        ("corrected", "life.customer", 3 - 1 / 24),
        ("clock_breached", "answer", 3),
    ]
    ids = [one.id for one in teller.told() if one.key == ("clock_breached", "answer", 3 * DAY)]
    assert len({*ids}) == 2


def test_a_retracted_touchpoint_takes_what_it_brought_about_along(teller):
    teller.shop.record(*ASKED)
    teller.clock.now = 2 * DAY
    teller.announce()
    teller.shop.record(retraction(f"1-{2 * DAY}"))
    assert teller.announce() == [("corrected", "life.mql", 2)]


def test_a_lead_none_of_whose_touchpoints_is_left_is_corrected_whole(teller):
    teller.shop.record(about(1, DAY))
    teller.announce()
    teller.shop.record(retraction(f"1-{DAY}"))
    assert teller.announce() == [("corrected", "life.visitor", 1), ("corrected", "keen", 1)]
    assert teller.announcer.next_at is None


def test_that_the_first_touchpoint_never_was_is_no_news_of_what_came_later(teller):
    teller.shop.record(about(1, DAY - HOUR, type="email_opened"), *ASKED)
    teller.clock.now = 2 * DAY
    assert len(teller.announce()) == 3
    teller.shop.record(retraction(f"1-{DAY - HOUR}"))
    assert teller.announce() == []
    teller.shop.record(retraction(f"1-{2 * DAY}"))
    assert teller.announce() == [("corrected", "life.mql", 2)]


def test_a_segment_that_a_lead_was_not_in_at_the_time_is_corrected(teller):
    teller.shop.record(about(1, DAY))
    teller.clock.now = 21 * DAY
    assert ("segment_joined", "silent", 21) in teller.announce()
    teller.shop.record(about(1, 20 * DAY, type="email_opened"))
    assert teller.announce() == [("corrected", "silent", 21)]
    teller.clock.now = 40 * DAY
    assert ("segment_joined", "silent", 40) in teller.announce()


def test_a_late_touchpoint_that_leaves_a_segment_right_for_its_time_ends_it_from_now_on(teller):
    teller.shop.record(about(1, DAY))
    teller.announce()
    teller.clock.now = 23 * DAY
    assert ("segment_joined", "silent", 21) in teller.announce()
    teller.shop.record(about(1, 22 * DAY, type="email_opened"))
    assert teller.announce() == [("segment_left", "silent", 23)]


def test_a_segment_that_a_lead_left_by_what_never_was_is_one_that_it_is_in_still(teller):
    teller.shop.record(about(1, DAY))
    teller.announce()
    teller.clock.now = 22 * DAY
    teller.announce()
    teller.shop.record(about(1, 22 * DAY, type="email_opened"))
    assert teller.announce() == [("segment_left", "silent", 22)]
    teller.shop.record(retraction(f"1-{22 * DAY}"))
    assert teller.announce() == [("corrected", "silent", 22)]


def both(at, kind):
    """Says of leads 1 and 2 that they are one, or are not."""
    return touch(at, event_id=f"{kind}-{at}", type=kind, identifiers=lead(1) + lead(2))


def test_a_join_tells_nothing_twice_and_corrects_what_it_makes_wrong(teller):
    teller.shop.record(about(1, DAY), about(2, DAY + HOUR), about(2, DAY + 2 * HOUR, type="won"))
    teller.clock.now = 2 * DAY
    teller.announce()
    teller.shop.record(both(2 * DAY, "identity_linked"))
    assert teller.announce() == [("corrected", "life.visitor", 1 + 1 / 24)]
    assert wrong(teller)[0].first.event_id == f"2-{DAY + HOUR}"


def test_a_lead_that_parts_is_told_of_anew_where_it_was_told_of_the_other(teller):
    teller.shop.record(about(1, DAY), both(DAY, "identity_linked"))
    teller.shop.record(about(2, 2 * DAY, type="price_asked"))
    teller.clock.now = 2 * DAY
    teller.announce()
    teller.shop.record(both(2 * DAY, "identity_unlinked"))
    assert teller.announce() == [("corrected", "life.mql", 2), ("stage_entered", "life.mql", 2)]
    told = [one for one in teller.told() if one.name == "life.mql" and not one.corrects]
    wrongly, rightly = told
    assert (wrongly.first.event_id, rightly.first.event_id) == (f"1-{DAY}", f"2-{2 * DAY}")
    assert teller.announce() == []
