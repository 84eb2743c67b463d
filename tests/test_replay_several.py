"""Replays beside one another, and beside all else that changes rules and read models meanwhile."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from engine import replay
from engine.book import Book
from engine.errors import (
    BookChanged,
    NoRunFits,
    NoSuchRun,
    RunUnfit,
    SeveralRuns,
    ShadowGone,
)
from engine.projections import generations
from engine.projections.runner import book_known, bring_up_to_date
from engine.replay_runs import fitting
from tests.read_side import DAY, RULES
from tests.replaying import (
    FAST,
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
from tests.shop import COLD_SOON, OTHER, SMALL, Shop, about, all_of, tables_of
from tests.storing import Clock


@pytest.fixture
def ours(shop, monkeypatch):
    """Nine leads at day 10."""
    return nine_leads(shop, monkeypatch)


def fits(shop, what, number=None):
    return fitting(shop.facts, shop.models, what, number).number


# Several replays


def test_two_at_once_fill_a_shadow_each(ours, facts_url):
    beside = Shop(facts_url)
    beside.facts.clock = ours.facts.clock
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(start, shop, text) for shop, text in ((ours, COLD_SOON), (beside, WARM))
        ]
    found = sorted((run.result() for run in runs), key=lambda run: run.number)
    beside.close()
    assert [run.state for run in found] == ["ready", "ready"]
    assert tables_of(ours.models) == all_of(1, 2, 3)
    rules = {OTHER.id: OTHER, THIRD.id: THIRD}
    for run in found:
        assert ours.told_truly(shadow_of(ours, run), Book.always(rules[run.rules_id]))


def test_of_two_promoted_one_after_the_other_each_can_be_taken_back_in_turn(ours):
    first, second = start(ours), start(ours, FAST)
    promote(ours, first)
    with pytest.raises(BookChanged) as changed:
        promote(ours, second)
    assert changed.value.published[0].startswith(f"small {OTHER.id[:12]} from the beginning, pub")
    second = promote(ours, second, anyway=True)
    assert (in_force(ours).number, cold(ours)) == (3, 8)
    with pytest.raises(BookChanged):
        revert(ours, first)
    assert fits(ours, "revert") == 2
    drop(ours, first)
    assert tables_of(ours.models) == all_of(2, 3)  # the second replaced what the first filled
    revert(ours, second)
    assert (book_known(ours.facts).id, in_force(ours).number, cold(ours)) == (OTHER.id, 2, 5)
    assert ours.told_truly(in_force(ours))


def test_which_replay_is_meant_need_not_be_said_where_only_one_fits(ours):
    for what in ("resume", "promote", "revert", "drop", "pause", "cancel"):
        with pytest.raises(NoRunFits):
            fits(ours, what)
    start(ours)
    assert [fits(ours, what) for what in ("promote", "drop")] == [1, 1]
    with pytest.raises(RunUnfit):
        fits(ours, "revert", 1)
    with pytest.raises(NoSuchRun):
        fits(ours, "promote", 2)
    start(ours, WARM, stopping=lambda: True)
    assert [fits(ours, what) for what in ("promote", "resume", "cancel")] == [1, 2, 2]
    with pytest.raises(SeveralRuns):
        fits(ours, "drop")
    replay.cancel(ours.facts, ours.models, 2)
    assert (states(ours), tables_of(ours.models)) == (["ready", "cancelled"], all_of(1, 2))
    assert start(ours, WARM).generation == 4  # no number of a shadow is given twice


@pytest.mark.parametrize("what", ["pause", "resume", "cancel", "promote", "revert", "drop"])
def test_one_that_has_ended_stays_as_it_is(ours, what):
    run = drop(ours, start(ours))
    told = {"pause": (ours.models, run.number)}.get(what, (ours.facts, ours.models, run.number))
    with pytest.raises(RunUnfit):
        getattr(replay, what)(*told)
    assert states(ours) == ["dropped"]


# Rules that change meanwhile


def test_rules_published_meanwhile_are_named_and_stay_in_force(ours):
    run = start(ours)
    ours.publish(WARM, since=8 * DAY)
    before = book_known(ours.facts)
    with pytest.raises(BookChanged) as changed:
        promote(ours, run)
    assert len(changed.value.published) == 1
    assert f"{THIRD.id[:12]} from 1970-01-09T00:00:00.000000Z" in str(changed.value)
    assert (book_known(ours.facts), states(ours)) == (before, ["ready"])
    run = promote(ours, run, anyway=True)
    assert book_known(ours.facts).id == OTHER.id
    revert(ours, run)
    assert book_known(ours.facts) == before


def test_rules_published_after_a_promotion_are_not_reverted_unheard(ours):
    run = promote(ours, start(ours))
    ours.publish(WARM, since=9 * DAY)
    with pytest.raises(BookChanged):
        revert(ours, run)
    revert(ours, run, anyway=True)
    assert book_known(ours.facts).id == SMALL.id
    assert ours.told_truly(in_force(ours))


def test_who_publishes_in_the_last_moment_is_not_passed_over(ours, monkeypatch):
    run, meant = start(ours), []

    def reached(place):
        if place == "replay.meant" and not meant:
            meant.append(states(ours))
            ours.publish(WARM, since=9 * DAY)

    monkeypatch.setattr(replay, "reached", reached)
    with pytest.raises(BookChanged):
        promote(ours, run)
    assert (meant, states(ours)) == ([["ready"]], ["ready"])
    assert [era.rules.id for era in book_known(ours.facts).eras] == [SMALL.id, THIRD.id]
    promote(ours, run, anyway=True)
    assert book_known(ours.facts).id == OTHER.id


def test_a_reversal_that_came_to_nothing_leaves_a_run_promoted_where_it_was(ours, monkeypatch):
    run = promote(ours, start(ours))
    ours.publish(WARM, since=12 * DAY)

    def die(name):
        if name == "replay.meant":
            raise KeyboardInterrupt

    monkeypatch.setattr(replay, "reached", die)
    with pytest.raises(KeyboardInterrupt):
        revert(ours, run, anyway=True)
    monkeypatch.undo()
    assert states(ours) == ["promoted"]
    with pytest.raises(BookChanged):
        revert(ours, run)
    assert states(ours) == ["promoted"]
    revert(ours, run, anyway=True)
    assert (states(ours), book_known(ours.facts).id) == (["reverted"], SMALL.id)


def test_rules_published_for_all_time_by_others_find_the_shadow_there(ours):
    run = start(ours)
    ours.record(about(30, 9 * DAY))
    ours.put_in_force(OTHER)
    bring_up_to_date(ours.facts, ours.models, 10 * DAY)
    assert in_force(ours).number == run.generation
    assert ours.told_truly(in_force(ours))
    drop(ours, run)
    assert tables_of(ours.models) == all_of(2)


def test_when_rules_begin_that_were_to_come_what_a_replay_keeps_stays(ours):
    run = start(ours)
    ours.publish(WARM, since=12 * DAY)
    bring_up_to_date(ours.facts, ours.models, 10 * DAY)
    ours.facts.clock.now = 12 * DAY
    bring_up_to_date(ours.facts, ours.models, 12 * DAY)
    assert tables_of(ours.models) == all_of(2, 3)
    assert ours.told_truly(in_force(ours))
    assert ours.told_truly(shadow_of(ours, run), Book.always(OTHER))


# Read models that are made anew meanwhile


def test_a_rebuild_leaves_what_replays_keep(ours):
    run = start(ours, stopping=lambda: True)
    ours.rebuild(10 * DAY)
    assert tables_of(ours.models) == all_of(2, 3)
    replay.resume(ours.facts, ours.models, run.number)
    assert promote(ours, run).replaced == 3
    assert ours.told_truly(in_force(ours))


def test_what_another_version_derived_cannot_be_put_in_force(ours, monkeypatch):
    run, paused = start(ours), start(ours, WARM, stopping=lambda: True)
    monkeypatch.setattr(generations, "DERIVED_BY", generations.DERIVED_BY + 1)
    with pytest.raises(ShadowGone):
        promote(ours, run)
    with pytest.raises(ShadowGone):
        replay.resume(ours.facts, ours.models, paused.number)
    bring_up_to_date(ours.facts, ours.models, 10 * DAY)
    assert ours.told_truly(in_force(ours))
    drop(ours, run)
    assert tables_of(ours.models) == all_of(paused.generation, in_force(ours).number)


def test_reverted_under_another_version_the_old_rules_are_derived_anew(ours, monkeypatch):
    run = promote(ours, start(ours))
    monkeypatch.setattr(generations, "DERIVED_BY", generations.DERIVED_BY + 1)
    revert(ours, run)
    assert book_known(ours.facts).id == SMALL.id
    assert in_force(ours).number == 3
    assert ours.told_truly(in_force(ours))


# In one go


def in_one_go(shop, text=COLD_SOON, **how):
    rules = replay.written(text, "test")
    return replay.publish_retroactively(shop.facts, shop.models, rules, **how)


def test_in_one_go_rules_are_replayed_and_promoted(ours):
    run = in_one_go(ours)
    assert (run.state, in_force(ours).number, cold(ours)) == ("promoted", 2, 5)
    revert(ours, run)
    assert (book_known(ours.facts).id, cold(ours)) == (SMALL.id, 0)
    assert in_one_go(ours).number == run.number  # which is promoted again
    assert in_one_go(ours) is None  # in force already


def test_paused_by_another_in_one_go_they_are_not_in_force_and_it_is_gone_on_with(ours):
    with pytest.raises(RunUnfit, match="replay 1 is paused"):
        in_one_go(ours, progress=lambda *_: replay.pause(ours.models, 1))
    assert book_known(ours.facts).id == SMALL.id
    assert (in_one_go(ours).state, states(ours)) == ("promoted", ["promoted"])


def test_where_there_are_no_leads_there_is_nothing_to_build(shop):
    shop.facts.clock = Clock(DAY)
    assert in_one_go(shop) is None
    assert (book_known(shop.facts).id, states(shop)) == (OTHER.id, [])
    assert tables_of(shop.models) == set()
    assert in_one_go(shop, RULES) is None
    assert book_known(shop.facts).id == SMALL.id
