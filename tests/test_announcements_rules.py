"""Announcing while rules and settings change, processes die, and tables are derived anew."""

import pytest

from engine import announcements
from engine.announcement import decode
from engine.announcements import Announcer
from engine.errors import AnnouncerOvertaken, StoreAway
from engine.projections import runner
from engine.rulefile import parse
from engine.store import announcements as ledger
from tests.announced import ASKED, ENTERED, Teller
from tests.announcing import Died
from tests.read_side import DAY, HOUR, RULES, touch
from tests.shop import COLD_SOON, about, lead, retraction
from tests.storing import Clock


@pytest.fixture
def teller(shop):
    """Announcing has begun over nothing; a day has passed since 1970."""
    made = Teller(shop)
    made.announcer.begin()
    return made


# Rules


def test_a_change_of_the_rules_is_no_news(teller):
    teller.shop.record(about(1, DAY))
    teller.clock.now = 10 * DAY
    teller.announce()
    teller.shop.publish(COLD_SOON)  # cold since the sixth day, by these
    assert teller.announce() == []
    teller.clock.now = 11 * DAY
    teller.shop.record(about(2, 11 * DAY))
    assert [name for _, name, _ in teller.announce()] == ["life.visitor", "keen"]


def test_what_is_due_by_new_rules_is_told_at_its_instant(teller):
    teller.shop.record(about(1, DAY))
    teller.announce()
    teller.shop.publish(COLD_SOON)
    teller.clock.now = 7 * DAY
    assert teller.announce() == [("stage_entered", "life.cold", 6)]


def test_what_came_about_before_the_rules_changed_is_told_though_nobody_announced_then(teller):
    teller.shop.record(*ASKED)
    teller.clock.now = 2 * DAY
    teller.announce()
    teller.clock.now = 4 * DAY
    teller.shop.publish(COLD_SOON)
    assert teller.announce() == [("clock_breached", "answer", 3)]


def test_rules_that_come_into_force_later_bring_what_they_bring_when_they_do(teller):
    teller.shop.record(about(1, DAY))
    teller.shop.publish(COLD_SOON, since=8 * DAY)
    teller.announce()
    teller.clock.now = 8 * DAY - 1
    assert teller.announce() == []
    teller.clock.now = 9 * DAY
    assert teller.announce() == [("stage_entered", "life.cold", 8)]  # overdue, so from there


def test_a_segment_that_asks_something_else_is_neither_joined_nor_left(teller):
    teller.shop.record(about(1, DAY))
    teller.announce()
    teller.shop.publish(RULES.replace("at_least = 6", "at_least = 9"), since=2 * DAY)
    teller.clock.now = 3 * DAY
    assert teller.announce() == []


def test_a_touchpoint_between_two_publications_of_one_instant_is_told(teller):
    teller.shop.publish(COLD_SOON)
    teller.shop.record(about(1, DAY))
    teller.shop.publish(RULES)
    assert teller.announce() == ENTERED


def test_what_is_told_by_rules_that_nobody_published_is_told_with_them_kept(shop):
    facts = shop.facts
    facts.clock = Clock(DAY)
    announcer = Announcer(facts)
    announcer.begin()
    shop.record(about(1, DAY))
    while announcer.step() is not None:
        pass
    with facts.snapshot() as connection:
        told, _ = ledger.following(connection, 0, 1)[0]
    assert parse(facts.written_rules(told.rules).toml).id == told.rules


# Settings, processes


def test_a_setting_that_changes_when_leads_are_due_tells_nothing_by_itself(teller):
    teller.shop.record(*ASKED)
    teller.clock.now = 3 * DAY - HOUR
    teller.announce()
    teller.announcer = Announcer(teller.facts, soon_us=2 * HOUR)
    assert teller.announce() == []
    teller.announcer = Announcer(teller.facts, soon_us=HOUR // 2)
    teller.clock.now = 3 * DAY - HOUR // 2
    assert teller.announce() == [("clock_due_soon", "answer", 3 - 0.5 / 24)]


def test_who_is_who_by_another_setting_is_found_out_anew(teller):
    many = [touch(DAY + n, identifiers=lead(1) + lead(10 + n)) for n in range(3)]
    teller.shop.record(*many, about(11, DAY + HOUR, type="price_asked"))
    teller.clock.now = 2 * DAY
    teller.announce()
    teller.facts.too_common = 2
    teller.announcer = Announcer(teller.facts)
    assert teller.announce() == []  # four leads now, and the one who was told of has one touchpoint
    teller.shop.record(retraction(f"e{DAY}"))
    assert teller.announce() == [("corrected", "life.visitor", 1), ("corrected", "keen", 2)]


def test_one_that_was_overtaken_tells_nothing(teller):
    teller.announce()
    other = Announcer(teller.facts)
    other.step()
    teller.shop.record(about(1, DAY))
    teller.announcer.step()
    teller.shop.record(about(2, DAY))
    with pytest.raises(AnnouncerOvertaken) as overtaken:
        other.step()
    assert isinstance(overtaken.value, StoreAway)  # it is tried again
    assert len(teller.told()) == 2
    assert other.step() is not None  # from where announcing stands now
    assert len(teller.told()) == 4


@pytest.mark.parametrize("place", ["folded", "told", "moved", "kept"])
def test_wherever_it_dies_the_next_one_tells_the_rest_and_nothing_twice(teller, monkeypatch, place):
    def die(name):
        if name == f"announcer.{place}":
            monkeypatch.setattr(announcements, "reached", lambda name: None)
            raise Died

    monkeypatch.setattr(announcements, "reached", die)
    teller.shop.record(about(1, DAY))
    with pytest.raises(Died):
        teller.announce()
    teller.announcer = Announcer(teller.facts)
    teller.announce()
    assert [(one.kind, one.name, one.at / DAY) for one in teller.told()] == ENTERED
    assert [one.number for one in teller.told()] == [1, 2]


def test_what_is_derived_anew_is_not_told(teller):
    teller.shop.record(*ASKED, about(2, DAY))
    teller.clock.now = 40 * DAY
    runner.rebuild(teller.facts, teller.shop.models, 40 * DAY)
    assert teller.told() == []
    assert len(teller.announce()) > 0
    before = teller.told()
    runner.rebuild(teller.facts, teller.shop.models, 40 * DAY)
    assert teller.announce() == []
    assert teller.told() == before


def test_what_went_out_is_what_is_kept(teller):
    teller.shop.record(*ASKED)
    teller.clock.now = 40 * DAY
    teller.announce()
    columns = "number, id, lead, first_source, first_event_id, kind, name, at, due, cause, position"
    with teller.facts.snapshot() as connection:
        rows = connection.execute(
            f"SELECT {columns}, settled_to, rules_id, corrects, announced_at, data "
            "FROM announcements ORDER BY number"
        ).fetchall()
    for row in rows:
        told = decode(bytes(row[-1]))
        assert row[:5] == (told.number, told.id, told.lead, told.first.source, told.first.event_id)
        assert row[5:9] == (told.kind, told.name, told.at, told.due)
        assert row[10:15] == (
            told.position,
            told.settled_to,
            told.rules,
            told.corrects,
            told.announced_at,
        )
    assert rows[0][9] == f'{{"source":"web","event_id":"1-{DAY}"}}'
    assert [row[9] for row in rows if row[5] == "clock_breached"] == [None]
