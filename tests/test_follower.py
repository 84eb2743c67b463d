"""The runner that stays: what it does at each look, and that nothing stops it for good."""

import threading
from contextlib import ExitStack, contextmanager

import pytest
from prometheus_client import CollectorRegistry

from engine import metrics, replay
from engine.book import Book
from engine.errors import ReadModelsDamaged, RunnerOvertaken, StoreAway
from engine.instants import MINUTE_US
from engine.projections import follower, generations, runner
from engine.projections.database import Models
from engine.projections.follower import Follower, Stood, Stopped, follow
from engine.projections.generations import Generation, Stand
from engine.projections.runner import derive_leads
from engine.store.gaps import Reach
from tests.read_side import DAY
from tests.services.process import wait_until
from tests.shop import COLD_SOON, OTHER, SMALL, Shop, about, retraction
from tests.storing import Clock

NOW = 100 * MINUTE_US
LIVE = Generation(1, "ready", "r", 1, NOW, 40, "")


@pytest.fixture
def registry(monkeypatch):
    """What is measured from here on."""
    fresh = CollectorRegistry()
    monkeypatch.setattr(metrics, "_measures", None)
    metrics.measure(fresh)
    return lambda metric, **labels: fresh.get_sample_value(metric, labels)


@pytest.fixture
def ours(shop):
    """A shop under the rules SMALL, whose clock is moved by hand."""
    shop.facts.clock = Clock(DAY)
    shop.put_in_force(SMALL)
    return shop


def stands_at(shop):
    return shop.stored()[1]


@pytest.mark.parametrize(
    ("due", "head", "now", "works"),
    [
        (None, 40, NOW, False),
        (None, 41, NOW, True),  # something was recorded
        (NOW + 1, 40, NOW, False),
        (NOW + 1, 40, NOW + 1, True),  # a lead's time has come
        (None, 40, NOW + MINUTE_US - 1, False),
        (None, 40, NOW + MINUTE_US, True),  # once a minute it is said where they stand
    ],
)
def test_there_is_work_where_facts_or_time_have_moved(due, head, now, works):
    assert Stood(LIVE, due).calls_for_work(Reach(head, head), now) is works


def test_what_only_waits_behind_a_gap_is_no_work():
    assert not Stood(LIVE, None).calls_for_work(Reach(upto=40, head=43), NOW)


def test_a_look_derives_what_was_recorded_and_the_next_finds_nothing(ours):
    follows = Follower(ours.facts, ours.models)
    ours.record(about(1, 0))
    assert follows.step() == 0  # the first fills; where it stood before is not known
    ours.record(about(1, 1), about(2, 2))
    assert [follows.step(), follows.step()] == [2, None]
    assert stands_at(ours) == (DAY, 4)  # the rules took a position


def test_a_lead_changes_when_its_time_comes_though_nothing_is_recorded(ours):
    ours.record(about(1, DAY))
    follows = Follower(ours.facts, ours.models)
    follows.step()
    for now, works in ((31 * DAY - 1, False), (31 * DAY, True)):  # silent for 30 days
        before = stands_at(ours)
        ours.facts.clock.now = min(now, DAY + MINUTE_US - 1) if not works else now
        assert (follows.step() is not None) is works
        assert (stands_at(ours) != before) is works
    assert [row[3] for row in ours.stored()[0]["stage_visits"]] == ["visitor", "cold"]


def test_rules_are_followed_from_the_instant_at_which_they_come_into_force(ours):
    ours.record(about(1, DAY))
    follows = Follower(ours.facts, ours.models)
    ours.publish(COLD_SOON, since=7 * DAY)
    ours.facts.clock.now = 7 * DAY - 1
    follows.step()
    assert follows.step() is None
    assert [row[3] for row in ours.stored()[0]["stage_visits"]] == ["visitor"]
    ours.facts.clock.now = 7 * DAY
    assert follows.step() is not None
    assert [row[3] for row in ours.stored()[0]["stage_visits"]] == ["visitor", "cold"]


def test_batch_by_batch_every_row_is_what_was_known_at_the_checkpoint(ours):
    follows = Follower(ours.facts, ours.models, batch=3)
    follows.step()
    ours.record(*(about(1 + number % 4, number) for number in range(7)), retraction("2-1"))
    assert moves(ours, follows) == [3, 3, 2]
    kept = ours.stored()
    ours.rebuild(DAY)
    assert ours.stored() == kept


def moves(shop, follows):
    """By how many positions each step goes on; after each, every row is what was known then."""
    found = []
    while (moved := follows.step()) is not None:
        found.append(moved)
        (live,) = ready(shop)
        assert shop.told_truly(live)
    return found


def ready(shop):
    with shop.models.reading() as connection:
        return generations.ready_generations(connection)


def test_rules_published_amid_a_batch_judge_from_the_position_at_which_they_are_known(ours):
    follows = Follower(ours.facts, ours.models, batch=3)
    follows.step()
    ours.record(*(about(number, 0) for number in range(1, 6)))
    ours.publish(COLD_SOON)
    ours.record(about(6, 0))
    ours.facts.clock.now = 6 * DAY
    assert moves(ours, follows) == [7]
    assert {row[3] for row in ours.stored()[0]["stage_visits"]} == {"visitor", "cold"}


def test_a_shadow_is_taken_at_once_to_where_its_rules_are_known(ours):
    follows = Follower(ours.facts, ours.models, batch=3)
    follows.step()
    rules = replay.written(COLD_SOON, "test")
    run = replay.start(ours.facts, ours.models, rules)
    ours.record(*(about(number, 0) for number in range(1, 8)))
    ours.publish(COLD_SOON)  # as one does who dies right then
    ours.record(*(about(number, 1) for number in range(1, 8)))
    steps = [follows.step() for _ in range(2)]
    live = ready(ours)[-1]
    assert (live.number, live.book_id) == (run.generation, OTHER.id)
    assert ours.told_truly(live)
    assert steps == [15, None]


def test_other_processes_may_read_and_rebuild_meanwhile(ours):
    follows = Follower(ours.facts, ours.models)
    ours.record(about(1, 0))
    follows.step()
    ours.record(about(2, 0))
    ours.rebuild(DAY)
    ours.record(about(3, 0))
    follows.step()
    assert follows.step() is None
    assert len(ours.stored()[0]["leads"]) == 3


def test_it_tells_how_long_what_was_recorded_took_to_be_seen(ours, registry):
    follows = Follower(ours.facts, ours.models)
    follows.step()
    ours.record(*(about(number, 0) for number in range(1, 6)))
    ours.facts.clock.now += 2_000_000
    follows.step()
    assert registry("leadledger_append_to_visible_seconds_count") == 5
    assert registry("leadledger_append_to_visible_seconds_sum") == 10
    assert registry("leadledger_read_model_lag_touchpoints") == 5
    follows.step()
    assert registry("leadledger_read_model_lag_touchpoints") == 0
    assert registry("leadledger_database_up") == 1
    assert registry("leadledger_derived_leads_total") == 5


@pytest.fixture
def hasty(monkeypatch):
    """Nobody waits long."""
    monkeypatch.setattr(follower, "RETRY_S", 0.001)
    monkeypatch.setattr(follower, "LONGEST_S", 0.01)
    monkeypatch.setattr(follower, "STANDBY_S", 0.02)


@contextmanager
def following(shop, **more):
    """A thread that follows as another process would, with stores of its own."""
    stop, models = threading.Event(), Models.open(shop.models_at)
    thread = threading.Thread(target=follow, args=(shop.facts, models, stop.is_set), kwargs=more)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=30)
        models.close()
    assert not thread.is_alive()


def test_what_is_away_is_waited_for_and_nothing_is_lost(ours, hasty, monkeypatch, registry):
    ours.record(about(1, 0))
    refusals = [StoreAway("db", "restarting")] * 3
    writing = Models.writing

    @contextmanager
    def unsteady(models):
        with writing(models) as connection:
            yield connection
            if refusals:
                raise refusals.pop()

    monkeypatch.setattr(Models, "writing", unsteady)
    with following(ours):
        assert wait_until(lambda: not refusals and rows_of(ours, "leads") == 1, seconds=30)
    assert registry("leadledger_retries_total", work="project") == 3
    kept = ours.stored()
    ours.rebuild(DAY)
    assert ours.stored() == kept


def rows_of(shop, name):
    try:
        return len(shop.stored()[0][name])
    except IndexError:  # nothing is ready yet
        return None


def test_what_does_not_pass_ends_it(ours, monkeypatch):
    def damaged(*_):
        raise ReadModelsDamaged("models")

    monkeypatch.setattr(follower, "bring_up_to_date", damaged)
    with pytest.raises(ReadModelsDamaged):
        follow(ours.facts, ours.models)


def test_one_follows_and_another_takes_over_when_it_ends(ours, hasty, caplog):
    caplog.set_level("INFO")
    ours.record(about(1, 0))
    other = Models.open(ours.models_at)
    with ExitStack() as first:
        assert first.enter_context(other.sole_follower()) is not None
        with following(ours):
            assert wait_until(lambda: "standing by" in caplog.text, seconds=30)
            assert rows_of(ours, "leads") is None
            first.close()
            assert wait_until(lambda: rows_of(ours, "leads") == 1, seconds=30)
            with other.sole_follower() as none:
                assert none is None
    other.close()


def test_told_to_stop_it_finishes_the_batch_and_begins_no_other(ours, monkeypatch):
    ours.record(about(1, 0))
    ours.keep_up(DAY)
    ours.record(about(2, 0), about(3, 0))
    stop = threading.Event()

    def told_while_deriving(facts, leads, *rest):
        stop.set()
        ours.record(about(4, 0))
        return original(facts, leads, *rest)

    original = runner.derive_leads
    monkeypatch.setattr(runner, "derive_leads", told_while_deriving)
    follow(ours.facts, ours.models, stop.is_set)
    assert (rows_of(ours, "leads"), stands_at(ours)[1]) == (3, 4)


def test_told_to_stop_before_it_has_filled_it_leaves_what_is_live(ours):
    ours.record(about(1, 0))
    ours.keep_up(DAY, rules=OTHER)
    before = ours.stored()
    ours.put_in_force(SMALL)
    with pytest.raises(Stopped):
        Follower(ours.facts, ours.models, stopping=lambda: True).step()
    assert ours.stored() == before


@pytest.mark.services
def test_a_notification_ends_a_rest_early(database):
    shop = Shop(database)
    with shop.models.sole_follower() as rest:
        record = threading.Timer(0.1, lambda: shop.record(about(1, 0)))
        record.start()
        rest(60)  # or the test takes a minute
        record.join()
        assert shop.facts.head() == 1
    shop.close()


@pytest.mark.services
def test_a_session_that_is_lost_is_a_turn_that_is_lost(database, postgres):
    shop = Shop(database)
    with shop.models.sole_follower() as rest:
        postgres.terminate_backends(database)
        with pytest.raises(StoreAway):
            rest(30)
        beside = Models.open(database)
        with beside.sole_follower() as taken:
            assert taken is not None
        beside.close()
    with shop.models.sole_follower() as rest:
        rest(0)
    shop.close()


def overwrite(shop, live):
    """Write no rows at all, as of later, from where a runner thinks that they stand."""
    leads = shop.facts.lead_numbers()
    nothing = derive_leads(shop.facts, leads[:0], Book.always(SMALL), 0)
    with shop.models.writing() as connection:
        generations.move_to(connection, live, Stand(3 * DAY, 1, ""))
        generations.replace(connection, live, leads, nothing)


@pytest.mark.services
def test_one_that_was_overtaken_writes_nothing(database):
    first, second = Shop(database), Shop(database)
    first.record(about(1, 0))
    live = first.keep_up(DAY)
    first.record(about(2, 0))
    second.keep_up(2 * DAY)
    before = first.stored()
    with pytest.raises(RunnerOvertaken):
        overwrite(first, live)
    assert first.stored() == before
    first.close()
    second.close()
