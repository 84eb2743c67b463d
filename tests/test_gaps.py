"""Positions without an event: waited for while somebody may fill them, then passed and named."""

from contextlib import closing, contextmanager

import psycopg
import pytest
from prometheus_client import CollectorRegistry

from engine import metrics
from engine.projections.follower import Follower
from engine.rulefile import load, shipped
from engine.store.gaps import Gap, Reach
from tests.read_side import DAY
from tests.services.process import wait_until
from tests.shop import Shop, about
from tests.test_follower import following, rows_of

pytestmark = pytest.mark.services

MOVED = ("stored_events", "notification_id"), ("touchpoints", "position"), ("ids", "position")


@pytest.fixture
def shop(facts_database):
    """A shop in PostgreSQL, where others may write too."""
    opened = Shop(facts_database)
    with closing(opened):
        opened.url = facts_database
        yield opened


def stock_writer(url):
    """Another program's connection, which takes no lock before it writes."""
    return psycopg.connect(url, options="-c search_path=facts")


@contextmanager
def held(url, position):
    """Take out the rows of a position, and have a transaction put them in that is not over.

    That is how it looks where a writer without a lock took its position before others who
    were quicker to commit. Leaving the block commits.
    """
    with stock_writer(url) as taking:
        rows = {table: taken(taking, table, column, position) for table, column in MOVED}
    with stock_writer(url) as writing:
        for table, found in rows.items():
            for row in found:
                places = ", ".join(["%s"] * len(row))
                writing.execute(f"INSERT INTO {table} VALUES ({places})", row)
        yield writing


def taken(connection, table, column, position):
    return connection.execute(
        f"DELETE FROM {table} WHERE {column} = %s RETURNING *", (position,)
    ).fetchall()


def settled(shop):
    """Let ids be where they may be deleted: recent ones are only ever read once."""
    with shop.facts.transaction() as connection:
        connection.execute(
            "INSERT INTO ids SELECT source, event_id, content, position FROM recent_ids"
        )
        connection.execute("DELETE FROM recent_ids")


def recorded(shop, count):
    shop.record(*(about(number, 0) for number in range(1, count + 1)))
    settled(shop)


def test_without_gaps_events_are_complete_to_the_newest(shop):
    recorded(shop, 5)
    assert shop.facts.reach(0) == Reach(5, 5)
    assert shop.facts.reach(5) == Reach(5, 5)
    assert shop.facts.reach(1, most=2) == Reach(3, 5)


def test_before_what_an_open_transaction_may_fill_they_end(shop):
    recorded(shop, 5)
    with held(shop.url, 3) as writing:
        (process,) = writing.execute("SELECT pg_backend_pid()").fetchone()
        assert shop.facts.reach(0) == Reach(2, 5, (Gap(3, 3),), (process,))
        assert shop.facts.reach(2) == Reach(2, 5, (Gap(3, 3),), (process,))
        assert shop.facts.reach(3) == Reach(5, 5)
    assert shop.facts.reach(2) == Reach(5, 5)


def test_what_was_given_up_is_passed_and_named(shop):
    recorded(shop, 5)
    with held(shop.url, 3) as writing:
        assert shop.facts.reach(0).upto == 2
        writing.rollback()
    assert shop.facts.reach(0) == Reach(5, 5, empty=(Gap(3, 3),))
    assert shop.facts.reach(0, most=2) == Reach(2, 5)
    assert shop.facts.reach(0, most=3) == Reach(4, 5, empty=(Gap(3, 3),))


def test_who_came_later_holds_up_nothing(shop):
    recorded(shop, 9)
    with stock_writer(shop.url) as later:
        with held(shop.url, 3) as third, held(shop.url, 4) as fourth:
            assert shop.facts.reach(0).open == (Gap(3, 4),)
            later.execute("UPDATE stored_events SET topic = topic WHERE notification_id = 9")
            third.rollback()
            assert shop.facts.reach(0).upto == 2
            fourth.rollback()
        assert shop.facts.reach(0) == Reach(9, 9, empty=(Gap(3, 4),))


def test_whoever_only_reads_or_locks_for_himself_holds_up_nothing(shop):
    recorded(shop, 5)
    with stock_writer(shop.url) as taking:
        taken(taking, "stored_events", "notification_id", 2)
    with stock_writer(shop.url) as reading, stock_writer(shop.url) as recording:
        reading.execute("SELECT * FROM stored_events")
        recording.execute("LOCK TABLE stored_events IN EXCLUSIVE MODE")
        recording.execute("UPDATE stored_events SET topic = topic WHERE notification_id = 5")
        assert shop.facts.reach(0) == Reach(5, 5, empty=(Gap(2, 2),))


def test_a_position_taken_from_the_sequence_alone_is_waited_for(shop):
    recorded(shop, 4)
    with stock_writer(shop.url) as first, stock_writer(shop.url) as second:
        next_one = "SELECT nextval(pg_get_serial_sequence('stored_events', 'notification_id'))"
        assert first.execute(next_one).fetchone() == (5,)
        second.execute(
            "INSERT INTO stored_events (originator_id, originator_version, topic, state) "
            "VALUES (gen_random_uuid(), 1, 'x', '')"
        )
        second.commit()
        assert shop.facts.reach(4).open == (Gap(5, 5),)
        first.rollback()
        assert shop.facts.reach(4) == Reach(6, 6, empty=(Gap(5, 5),))


def test_what_is_committed_late_is_derived_when_it_comes(shop, caplog):
    recorded(shop, 5)
    follows = Follower(shop.facts, shop.models)
    with held(shop.url, 3):
        follows.step()
        assert rows_of(shop, "leads") == 2
        assert follows.step() is None  # nothing goes on while it is held
        assert "waiting at position 3, which an open transaction may still fill" in caplog.text
    assert follows.step() == 3
    assert rows_of(shop, "leads") == 5
    kept = shop.stored()
    shop.rebuild(0, rules=load(shipped()["default"]))
    assert shop.stored() == kept


def test_a_thread_that_follows_picks_it_up_by_itself(shop):
    recorded(shop, 4)
    with following(shop):
        with held(shop.url, 2):
            assert wait_until(lambda: rows_of(shop, "leads") is not None, seconds=30)
        assert wait_until(lambda: rows_of(shop, "leads") == 4, seconds=30)


def test_a_planted_gap_is_named_in_the_log_and_counted(shop, caplog, monkeypatch):
    fresh = CollectorRegistry()
    monkeypatch.setattr(metrics, "_measures", None)
    metrics.measure(fresh)
    follows = Follower(shop.facts, shop.models)
    recorded(shop, 1)
    follows.step()
    shop.record(*(about(number, DAY) for number in range(2, 9)))
    with stock_writer(shop.url) as planting:
        planting.execute("DELETE FROM stored_events WHERE notification_id IN (3, 4, 6)")
    follows.step()
    assert "position 3 to 4 has no event and gets none" in caplog.text
    assert "position 6 has no event" in caplog.text
    assert fresh.get_sample_value("leadledger_passed_positions_total") == 3
    assert fresh.get_sample_value("leadledger_missing_positions") == 0
