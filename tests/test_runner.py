"""The runner: what is stored is what a rebuild gives, and only what is due is derived."""

from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.book import Book
from engine.errors import ReadModelsDamaged
from engine.identity import recorded_before
from engine.projections import generations, runner
from engine.projections.database import Models
from engine.projections.projection import FUNNEL, LEADS, READ_MODELS, STAGE_VISITS
from engine.projections.runner import bring_up_to_date, rebuild
from tests.read_side import DAY
from tests.shop import OTHER, SMALL, Shop, about, all_of, retraction, tables_of


def ids(tables):
    return [row[1] for row in tables["leads"]]


@pytest.fixture
def derived(monkeypatch):
    """The leads that are derived, call by call, in the order in which they were first recorded."""
    calls = []
    original = runner.derive_leads

    def watched(facts, leads, *rest):
        calls.append([recorded_before(lead) for lead in leads.tolist()])
        return original(facts, leads, *rest)

    monkeypatch.setattr(runner, "derive_leads", watched)
    return calls


def test_the_first_reading_derives_everything(shop):
    shop.record(about(1, DAY), about(2, 2 * DAY))
    generation = shop.keep_up(3 * DAY)
    assert (generation.settled_to, generation.checkpoint) == (3 * DAY, 3)  # rules took a position
    tables, stand = shop.stored()
    assert tables_of(shop.models) == all_of(1)
    assert (len(tables["leads"]), stand) == (2, (3 * DAY, 3))


def test_only_touched_leads_are_derived_again(shop, derived):
    shop.record(about(1, 0), about(2, 0), about(3, 0))
    shop.keep_up(DAY)
    shop.record(about(2, DAY))
    shop.keep_up(DAY)
    assert derived == [[1, 2, 3], [2]]


def test_with_nothing_new_nothing_is_derived(shop, derived):
    shop.record(about(1, 0))
    shop.keep_up(DAY)
    assert shop.keep_up(2 * DAY).settled_to == 2 * DAY
    assert derived == [[1]]


def test_a_lead_whose_time_has_come_is_derived_again(shop, derived):
    shop.record(about(1, 0), about(2, 5 * DAY))
    shop.keep_up(6 * DAY)
    shop.keep_up(30 * DAY)  # lead 1 goes cold after 30 days, lead 2 five days later
    assert derived == [[1, 2], [1]]
    tables, _ = shop.stored()
    assert [row[3] for row in tables["stage_visits"]] == ["visitor", "cold", "visitor"]


def test_a_touchpoint_that_lies_ahead_counts_when_its_instant_comes(shop):
    shop.record(about(1, 10 * DAY))
    shop.keep_up(DAY)
    assert ids(shop.stored()[0]) == []
    shop.keep_up(10 * DAY)
    assert len(ids(shop.stored()[0])) == 1


def test_a_late_touchpoint_and_a_retraction_lead_where_a_rebuild_leads(shop):
    shop.record(about(1, 4 * DAY), about(2, 4 * DAY), about(2, 6 * DAY, type="won"))
    shop.keep_up(20 * DAY)
    shop.record(about(1, 2 * DAY, type="price_asked"), retraction(f"2-{6 * DAY}"))
    shop.keep_up(20 * DAY)
    kept = shop.stored()
    shop.rebuild(20 * DAY)
    assert shop.stored() == kept


def test_a_lead_whose_touchpoints_are_all_retracted_leaves_no_row(shop):
    shop.record(about(1, 0), about(2, 0))
    shop.keep_up(DAY)
    shop.record(retraction("1-0"))
    shop.keep_up(DAY)
    tables, _ = shop.stored()
    for name in ("leads", "stage_visits", "funnel", "due"):
        assert {recorded_before(row[0]) for row in tables[name]} == {2}


def test_other_rules_make_a_new_generation_and_drop_the_old(shop):
    shop.record(about(1, 0))
    first = shop.keep_up(6 * DAY)
    second = shop.keep_up(6 * DAY, rules=OTHER)
    assert (first.number, second.number) == (1, 2)
    tables, _ = shop.stored()
    assert tables_of(shop.models) == all_of(2)
    assert [row[3] for row in tables["stage_visits"]] == ["visitor", "cold"]


def test_rows_of_another_version_of_the_program_are_derived_anew(shop, monkeypatch):
    shop.record(about(1, 0))
    shop.keep_up(DAY)
    monkeypatch.setattr(generations, "DERIVED_BY", generations.DERIVED_BY + 1)
    assert shop.keep_up(DAY).number == 2


def test_read_models_of_facts_that_are_gone_are_derived_anew(shop_file, tmp_path):
    shop_file.record(about(1, 0), about(2, 0))
    shop_file.keep_up(DAY)
    shop_file.close()
    for path in tmp_path.glob("facts.db*"):
        path.unlink()
    again = Shop(tmp_path)
    again.record(about(8, 0), about(9, 0))
    again.keep_up(DAY)
    assert ids(again.stored()[0]) == [f"{8:032x}", f"{9:032x}"]
    again.close()


def test_what_an_interrupted_rebuild_left_is_cleared_away(shop):
    shop.record(about(1, 0))
    shop.keep_up(DAY)
    with shop.models.writing() as connection:
        generations.begin(connection, "half", generations.Stand(0, 0, ""))
    before = shop.stored()
    shop.rebuild(DAY)
    assert (shop.stored(), tables_of(shop.models)) == (before, all_of(3))


def test_an_error_on_the_way_changes_nothing(shop, monkeypatch):
    shop.record(about(1, 0), about(2, 0))
    shop.keep_up(DAY)
    before = shop.stored()
    shop.record(about(1, DAY), about(2, DAY))
    monkeypatch.setattr(runner, "CHUNK", 1)

    def broken(facts, leads, *rest):
        if [*map(recorded_before, leads)] == [2]:
            raise RuntimeError
        return original(facts, leads, *rest)

    original = runner.derive_leads
    monkeypatch.setattr(runner, "derive_leads", broken)
    with pytest.raises(RuntimeError):
        shop.keep_up(2 * DAY)
    assert shop.stored() == before


def test_two_runners_at_once_take_turns(shop, derived):
    shop.record(*(about(number, 0) for number in range(1, 21)))
    shop.put_in_force(SMALL)
    beside = Models.open(shop.models_at)
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(bring_up_to_date, shop.facts, models, DAY)
            for models in (shop.models, beside)
        ]
    assert [run.result().number for run in runs] == [1, 1]
    assert derived == [list(range(1, 21))]
    beside.close()


def test_progress_tells_how_many_leads_are_done(shop):
    shop.record(*(about(number, 0) for number in range(1, 6)))
    told = []
    rebuild(
        shop.facts,
        shop.models,
        DAY,
        lambda done, total: told.append((done, total)),
        chunk=2,
    )
    assert told == [(0, 5), (2, 5), (4, 5), (5, 5)]


def test_a_damaged_file_is_said_to_hold_no_fact_and_can_be_discarded(shop_file):
    shop_file.models.close()
    shop_file.models_at.write_bytes(b"no database" * 1000)
    with pytest.raises(ReadModelsDamaged):
        Models.open(shop_file.models_at)
    Models.discard(shop_file.models_at)
    shop_file.models = Models.open(shop_file.models_at)
    shop_file.record(about(1, 0))
    assert shop_file.keep_up(DAY).checkpoint == 2


def test_a_live_question_is_answered_from_what_is_stored(shop):
    shop.record(about(1, 0))
    answer = shop.frames(now=DAY)
    assert (answer.as_of, len(answer[LEADS])) == (DAY, 1)
    with shop.models.reading() as connection:
        (generation,) = generations.ready_generations(connection)
        assert generation.settled_to == DAY


def test_another_instant_or_other_rules_are_folded_on_demand_and_nothing_is_written(shop):
    shop.record(about(1, 0))
    shop.keep_up(DAY)
    before = shop.stored()
    cold = shop.frames(now=DAY, as_of=31 * DAY)
    assert cold[STAGE_VISITS]["stage"].to_list() == ["visitor", "cold"]
    assert (cold.as_of, cold.rules.id) == (31 * DAY, SMALL.id)
    other = shop.frames(now=6 * DAY, book=Book.always(OTHER))
    assert other[STAGE_VISITS]["stage"].to_list() == ["visitor", "cold"]
    assert shop.stored() == before


def test_only_the_read_models_that_are_needed_are_read(shop):
    assert set(shop.frames(now=DAY, needs=(FUNNEL,)).tables) == {"funnel"}
    assert set(shop.frames(now=DAY, as_of=0, needs=(FUNNEL,)).tables) == {"funnel"}


def same(ours, theirs):
    return all(
        ours[model]
        .sort(ours[model].columns[:3])
        .equals(theirs[model].sort(ours[model].columns[:3]))
        for model in READ_MODELS
    )


TYPES = st.sampled_from(["page_viewed", "price_asked", "won", "lost", "ticket_opened"])
FACT = st.tuples(st.integers(1, 6), st.integers(0, 50), TYPES)
STEP = st.one_of(
    st.lists(FACT, max_size=5),  # recorded in one batch
    st.tuples(st.integers(0, 80), st.sampled_from([SMALL, OTHER])),  # read on that day
    st.just("retract"),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(STEP, max_size=8), st.integers(1, 7))
def test_kept_up_rebuilt_and_folded_on_demand_are_the_same(tmp_path_factory, steps, chunk):
    shop = Shop(tmp_path_factory.mktemp("shop"))
    recorded, numbers, today = [], count(), 0
    for step in steps:
        if step == "retract":
            shop.record(*(retraction(event_id) for event_id in recorded[-1:]))
            recorded = recorded[:-1]
        elif isinstance(step, tuple):
            day, rules = step
            today = max(today, day)  # though the clock may have been put back
            assert shop.keep_up(day * DAY, rules).settled_to == today * DAY
        else:
            batch = [
                about(who, day * DAY, event_id=str(next(numbers)), type=kind)
                for who, day, kind in step
            ]
            shop.record(*batch)
            recorded += [one.event_id for one in batch]
    shop.keep_up(today * DAY)
    kept, frames = shop.stored(), shop.frames(now=today * DAY)
    demanded = shop.frames(now=0, as_of=today * DAY)
    shop.rebuild(today * DAY, chunk=chunk)
    rebuilt = shop.stored()
    shop.close()
    assert kept == rebuilt
    assert same(frames, demanded)
