"""Read models that are filled anew: time does not go back, and readers see one generation."""

from concurrent.futures import ThreadPoolExecutor

from engine.projections import generations
from engine.projections.database import Models
from engine.projections.runner import book_known, rebuild
from tests.read_side import DAY
from tests.shop import OTHER, SMALL, Shop, about, all_of, stored, tables_of


def test_a_clock_that_was_put_back_does_not_take_the_read_models_along(shop):
    shop.record(about(1, 0))
    shop.keep_up(9 * DAY)
    assert shop.keep_up(2 * DAY).settled_to == 9 * DAY


def test_refilled_under_other_rules_the_read_models_do_not_go_back_in_time_either(
    shop, monkeypatch
):
    shop.record(about(1, 0))
    shop.keep_up(9 * DAY)
    assert shop.keep_up(2 * DAY, rules=OTHER).settled_to == 9 * DAY
    tables, _ = shop.stored()
    assert [row[3] for row in tables["stage_visits"]] == ["visitor", "cold"]  # as of day 9
    monkeypatch.setattr(generations, "DERIVED_BY", generations.DERIVED_BY + 1)
    assert shop.keep_up(2 * DAY, rules=OTHER).settled_to == 9 * DAY


def test_a_rebuild_does_not_go_back_to_before_another_that_was_quicker(shop):
    shop.facts.clock = lambda: 10 * DAY
    shop.record(about(1, 0))
    shop.rebuild(9 * DAY)
    assert shop.rebuild(8 * DAY).settled_to == 9 * DAY  # asked for before, and had to wait


def test_a_rebuild_is_the_way_back_from_a_clock_that_was_ahead(shop):
    shop.facts.clock = lambda: 3 * DAY
    shop.record(about(1, 0))
    shop.keep_up(40 * DAY)
    assert shop.rebuild(3 * DAY).settled_to == 3 * DAY
    assert [row[3] for row in shop.stored()[0]["stage_visits"]] == ["visitor"]


def test_read_models_of_other_facts_do_not_say_how_late_it_is(shop_file, tmp_path):
    shop_file.record(about(1, 0))
    shop_file.keep_up(40 * DAY)
    shop_file.close()
    for path in tmp_path.glob("facts.db*"):
        path.unlink()
    again = Shop(tmp_path)
    again.record(about(8, 0))
    assert again.keep_up(DAY).settled_to == DAY
    again.close()


def test_two_who_refill_at_once_agree_and_leave_one_generation(shop, facts_url):
    first, second = shop, Shop(facts_url)  # as two processes have them
    first.record(*(about(number, 0) for number in range(1, 21)))
    first.keep_up(6 * DAY)
    first.put_in_force(OTHER)
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(one.keep_up, now, OTHER)
            for one, now in ((first, 7 * DAY), (second, 8 * DAY))
        ]
    assert {run.result().number for run in runs} == {2}
    assert max(run.result().settled_to for run in runs) == 8 * DAY
    kept = first.stored()
    assert kept[1] == (8 * DAY, 22)  # two rule sets took positions
    second.rebuild(8 * DAY, rules=OTHER)
    assert first.stored() == kept
    second.close()


def test_who_refills_under_other_rules_meanwhile_takes_the_place_of_the_whole(shop, facts_url):
    first, second = shop, Shop(facts_url)
    first.record(*(about(number, 0) for number in range(1, 21)))
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(one.keep_up, 6 * DAY, rules)
            for one, rules in ((first, SMALL), (second, OTHER))
        ]
    last = max((run.result() for run in runs), key=lambda generation: generation.number)
    assert tables_of(first.models) == all_of(last.number)
    stages = {row[3] for row in first.stored()[0]["stage_visits"]}
    assert stages == ({"visitor"} if last.book_id == SMALL.id else {"visitor", "cold"})
    assert last.book_id == book_known(first.facts).id
    second.close()


def test_readers_see_one_whole_generation_while_another_is_filled(shop):
    shop.record(*(about(number, 0) for number in range(1, 7)))
    shop.keep_up(6 * DAY)
    before = shop.stored()
    beside, seen = Models.open(shop.models_at), []
    shop.record(about(1, 5 * DAY))

    def look(done, total):
        seen.append(stored(beside))

    shop.put_in_force(OTHER)
    rebuild(shop.facts, shop.models, 7 * DAY, look, chunk=2)
    assert len(seen) == 4
    assert all(one == before for one in seen)
    assert stored(beside) != before
    beside.close()


def test_a_reader_keeps_the_generation_that_it_began_with_though_its_tables_are_dropped(shop):
    shop.record(*(about(number, 0) for number in range(1, 7)))
    shop.keep_up(6 * DAY)
    before = shop.stored()
    beside = Models.open(shop.models_at)
    with beside.reading() as connection:
        assert [one.number for one in generations.ready_generations(connection)] == [1]
        shop.keep_up(7 * DAY, rules=OTHER)
        assert stored(beside) == before
    assert stored(beside)[1] == (7 * DAY, 8)
    beside.close()
