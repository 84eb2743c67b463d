"""Replays: filled beside what readers see, put in force by the rule book, and taken back."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from engine import replay
from engine.book import Book
from engine.errors import InForceAlready, RunBusy, RunThere
from engine.projections.database import Models
from engine.projections.runner import book_known, bring_up_to_date
from engine.replay_runs import INTERRUPTED, standing
from engine.rulefile import load, shipped
from engine.store.in_force import DEFAULT_RULES
from tests.read_side import DAY, RULES
from tests.replaying import (
    THIRD,
    WARM,
    cold,
    drop,
    in_force,
    nine_leads,
    promote,
    revert,
    shadow_of,
    start,
    states,
)
from tests.shop import OTHER, SMALL, about, all_of, retraction, stored, tables_of
from tests.storing import Clock


@pytest.fixture
def ours(shop, monkeypatch):
    """Nine leads at day 10."""
    return nine_leads(shop, monkeypatch)


# Start


def test_a_replay_fills_a_shadow_beside_what_readers_see(ours):
    before = stored(ours.models, in_force(ours))
    run = start(ours)
    assert (run.state, run.done, run.total, run.left_s) == ("ready", 9, 9, None)
    assert run.rate > 0
    assert tables_of(ours.models) == all_of(1, 2)
    assert (in_force(ours).number, stored(ours.models, in_force(ours))) == (1, before)
    assert ours.told_truly(shadow_of(ours, run), Book.always(OTHER))


def test_what_is_recorded_meanwhile_is_in_both(ours):
    told, numbers = [], iter(range(100, 200))

    def traffic(done, total):
        told.append((done, total))
        new = next(numbers)
        ours.record(about(new, 9 * DAY), about(2, 8 * DAY, event_id=f"late {done}"))
        ours.record(retraction(f"3-{3 * DAY}") if done == 3 else about(4, DAY, event_id=f"{new}"))
        ours.facts.clock.now += DAY
        bring_up_to_date(ours.facts, ours.models, ours.facts.clock())

    run = start(ours, progress=traffic)
    assert told == [(0, 9), (3, 9), (6, 9), (9, 9)]
    assert ours.told_truly(in_force(ours))
    there = shadow_of(ours, run)
    assert (there.settled_to, there.checkpoint) == (14 * DAY, ours.facts.head())
    assert ours.told_truly(there, Book.always(OTHER))


def test_a_replay_records_nothing_and_to_switch_takes_a_position_for_each_publication(ours):
    head = ours.facts.head()
    run = start(ours)
    assert ours.facts.head() == head
    promote(ours, run)
    assert ours.facts.head() == head + 1
    revert(ours, run)
    assert ours.facts.head() == head + 2


def test_rules_that_are_in_force_or_replayed_already_are_refused(ours):
    with pytest.raises(InForceAlready):
        start(ours, RULES)
    start(ours)
    with pytest.raises(RunThere):
        start(ours)
    assert states(ours) == ["ready"]


# Stopped


def stops_after(calls):
    left = iter([False] * calls)
    return lambda: next(left, True)


def test_told_to_stop_it_is_paused_and_goes_on_where_it_was(ours):
    run = start(ours, stopping=stops_after(1))
    assert (run.state, run.done, run.filled_to) == ("paused", 3, ours.facts.lead_numbers()[2])
    ours.record(about(50, DAY), about(1, 2 * DAY))
    ours.facts.clock.now += 30 * DAY
    told = []
    again = replay.resume(
        ours.facts, ours.models, run.number, lambda done, total: told.append((done, total))
    )
    assert again.state == "ready"
    assert told == [(3, 10), (6, 10), (9, 10), (10, 10)]
    assert ours.told_truly(shadow_of(ours, again), Book.always(OTHER))


@pytest.mark.parametrize("how", ["pause", "cancel"])
@pytest.mark.parametrize("when", [0, 6, 9])
def test_another_process_stops_it_between_chunks(ours, how, when):
    beside = Models.open(ours.models_at)

    def stop(done, total):
        if done == when:
            ours.record(about(3, DAY))  # to be caught up
            if how == "pause":
                replay.pause(beside, 1)
            else:
                replay.cancel(ours.facts, beside, 1)

    run = start(ours, progress=stop)
    beside.close()
    assert run.state == {"pause": "paused", "cancel": "cancelled"}[how]
    assert run.done == when
    if how == "cancel":
        assert tables_of(ours.models) == all_of(1)
        return
    again = replay.resume(ours.facts, ours.models, 1)
    assert again.state == "ready"
    assert ours.told_truly(shadow_of(ours, again), Book.always(OTHER))


def test_one_that_ended_by_an_error_is_interrupted_and_can_be_gone_on_with(ours):
    def broken(done, total):
        if done == 6:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        start(ours, progress=broken)
    (run,) = standing(ours.facts, ours.models)
    assert (run.state, run.done) == (INTERRUPTED, 6)
    assert replay.resume(ours.facts, ours.models, 1).state == "ready"
    assert ours.told_truly(shadow_of(ours, run), Book.always(OTHER))


def test_one_process_at_a_time_works_on_a_replay(ours):
    def look(done, total):
        assert states(ours) == ["running"]
        with pytest.raises(RunBusy):
            replay.resume(ours.facts, beside, 1)

    beside = Models.open(ours.models_at)
    with ThreadPoolExecutor(1) as pool:  # as another process would, with stores of its own
        pool.submit(start, ours, progress=look).result()
    beside.close()


# Promote, revert, drop


def test_promoted_it_is_what_readers_see_and_the_old_one_is_kept_until_it_is_dropped(ours):
    assert cold(ours) == 0
    run = promote(ours, start(ours))
    assert run.state == "promoted"
    assert in_force(ours).number == run.generation
    assert ours.told_truly(in_force(ours))
    assert cold(ours) == 5  # silent for 5 days: of days 1 to 5
    assert tables_of(ours.models) == all_of(1, 2)
    assert drop(ours, run).state == "dropped"
    assert tables_of(ours.models) == all_of(2)
    assert cold(ours) == 5


def test_reverted_the_book_and_every_row_are_what_they_would_be_had_it_never_been(ours):
    book = book_known(ours.facts).id
    run = promote(ours, start(ours))
    ours.record(about(1, 9 * DAY), about(20, 9 * DAY))
    ours.facts.clock.now += DAY
    bring_up_to_date(ours.facts, ours.models, ours.facts.clock())
    run = revert(ours, run)
    assert run.state == "reverted"
    assert book_known(ours.facts).id == book
    assert in_force(ours).number == 1
    kept = stored(ours.models, in_force(ours))
    assert kept[1] == (11 * DAY, ours.facts.head())
    ours.rebuild(11 * DAY)
    assert ours.stored() == kept


def test_reverted_it_can_be_promoted_again_and_then_dropped(ours):
    run = revert(ours, promote(ours, start(ours)))
    ours.record(about(21, 9 * DAY))
    again = promote(ours, run)
    assert in_force(ours).number == run.generation
    assert ours.told_truly(in_force(ours))
    revert(ours, again)
    drop(ours, again)
    assert tables_of(ours.models) == all_of(1)


def test_a_book_of_several_rule_sets_comes_back_in_order(ours):
    ours.publish(WARM, since=4 * DAY)
    ours.publish(RULES, since=6 * DAY)
    ours.publish(WARM, since=40 * DAY)  # yet to come
    bring_up_to_date(ours.facts, ours.models, 10 * DAY)
    book = book_known(ours.facts)
    run = promote(ours, start(ours))
    assert book_known(ours.facts).id == OTHER.id
    revert(ours, run)
    assert book_known(ours.facts) == book
    entries = [(one.rules_id, one.effective_at) for one in ours.facts.rule_book()[-4:]]
    expected = [(SMALL, None), (THIRD, 4 * DAY), (SMALL, 6 * DAY), (THIRD, 40 * DAY)]
    assert entries == [(rules.id, at) for rules, at in expected]
    assert ours.told_truly(in_force(ours))


def test_where_nothing_was_published_the_shipped_default_comes_back(shop):
    shop.facts.clock = Clock(10 * DAY)
    shop.record(about(1, DAY))
    default = load(shipped()[DEFAULT_RULES])
    bring_up_to_date(shop.facts, shop.models, 10 * DAY)
    revert(shop, promote(shop, start(shop)))
    assert book_known(shop.facts).id == default.id
    assert [one.rules_id for one in shop.facts.rule_book()] == [OTHER.id, default.id]
    assert in_force(shop).number == 1
    assert shop.told_truly(in_force(shop))


def test_nothing_needs_to_have_been_derived_before(shop):
    shop.facts.clock = Clock(10 * DAY)
    shop.record(about(1, DAY), about(2, 8 * DAY))
    run = promote(shop, start(shop))
    assert tables_of(shop.models) == all_of(1)
    assert (run.replaced, cold(shop)) == (None, 1)
    revert(shop, run)
    assert shop.told_truly(in_force(shop))


def test_rows_are_not_older_than_those_that_readers_saw_though_the_clock_was_put_back(ours):
    run = start(ours)
    ours.facts.clock.now = 20 * DAY
    bring_up_to_date(ours.facts, ours.models, 20 * DAY)
    ours.facts.clock.now = 12 * DAY
    promote(ours, run)
    assert in_force(ours).settled_to == 20 * DAY
    assert ours.told_truly(in_force(ours))
