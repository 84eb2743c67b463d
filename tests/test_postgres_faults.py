"""Facts in PostgreSQL: whatever becomes of a connection, all of a batch is there once, or none."""

from threading import Thread
from typing import NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from engine.errors import (
    StoreAway,
    StoreError,
    StoreInDoubt,
    StoreLocked,
    StoreReadOnly,
)
from engine.lifecycle import ImportState
from engine.store import postgres as postgres_module
from engine.store.facts import Facts
from engine.store.postgres import PostgresDatabase
from tests.storing import arrival, counted, keep, refused, store, touch

AWAY = 7

pytestmark = pytest.mark.services


@pytest.fixture
def facts(facts_database, clock):
    with Facts.open(facts_database, clock=clock) as opened:
        yield opened


@pytest.fixture
def proxy(facts_database, proxy_before):
    return proxy_before(facts_database)


@pytest.fixture
def far(facts_database, proxy, clock):
    """The facts, by way of the proxy."""
    with Facts.open(proxy.url(facts_database), clock=clock) as opened:
        yield opened


class Running:
    """A checkpoint that runs a statement in the transaction of a batch."""

    def __init__(self, sql):
        self.sql = sql

    def keep(self, connection):
        connection.execute(self.sql)


# Commits that nobody heard of


def test_a_batch_whose_commit_was_not_heard_of_is_there_once_and_counted_once(far, proxy):
    for number in range(20):
        proxy.cut_after()
        batch = [
            arrival(touch(f"{number}-a")),
            arrival(touch(f"{number}-b", f"email:{number}")),
            arrival(touch("0-a")),
            refused(b"no", line=number),
        ]
        recorded = keep(far, *batch, checkpoint=ImportState("file", f"{number}"))
        assert (recorded.recorded, sum(recorded.set_aside.values())) == (2, 1)
        assert proxy.cuts == number + 1
        assert far.import_state("file") == f"{number}"
    assert (far.head(), len(far.aside())) == (40, 20)
    assert counted(far) == (80, 40, 20, 20)


def test_a_batch_without_anything_new_is_counted_once_too(far, proxy):
    store(far, touch("1"))
    for number in range(20):
        proxy.cut_after()
        keep(far, arrival(touch("1")), checkpoint=ImportState("file", f"{number}"))
    assert (proxy.cuts, far.head(), counted(far)) == (20, 1, (21, 1, 20, 0))


def test_a_commit_that_never_arrived_is_told_and_the_batch_can_be_given_again(far, proxy):
    for number in range(20):
        proxy.cut_before()
        with pytest.raises(StoreAway) as caught:
            store(far, touch(f"{number}"))
        assert (caught.value.code, caught.value.exit_code) == ("store_away", AWAY)
        assert far.head() == number
        assert store(far, touch(f"{number}")).recorded == 1
    assert counted(far) == (20, 20, 0, 0)


@pytest.fixture
def own_facts(own_postgres, proxy_before, clock):
    """Facts on a server of our own by way of a proxy, the proxy and the server."""
    url = own_postgres.new_database()
    proxy = proxy_before(url)
    with Facts.open(proxy.url(url), clock=clock) as opened:
        yield opened, proxy, own_postgres


def restarted_before_it_can_be_asked(monkeypatch, server):
    look = PostgresDatabase._look

    def restart_and_look(self, unheard):
        if server.pid:
            server.kill()
            Thread(target=server.start).start()
            monkeypatch.setattr(PostgresDatabase, "_look", look)
        return look(self, unheard)

    monkeypatch.setattr(PostgresDatabase, "_look", restart_and_look)


@pytest.mark.parametrize("arrived", [True, False])
def test_a_server_that_was_restarted_meanwhile_is_asked_for_the_event(
    arrived, own_facts, monkeypatch
):
    facts, proxy, server = own_facts
    store(facts, touch("1"))
    restarted_before_it_can_be_asked(monkeypatch, server)
    if arrived:
        proxy.cut_after()
        store(facts, touch("2"))
    else:
        proxy.cut_before()
        with pytest.raises(StoreAway):
            store(facts, touch("2"))
        store(facts, touch("2"))
    assert (facts.head(), counted(facts)) == (2, (2, 2, 0, 0))


def test_where_nothing_tells_whether_it_took_place_that_is_said(own_facts, monkeypatch):
    facts, proxy, server = own_facts
    store(facts, touch("1"))
    restarted_before_it_can_be_asked(monkeypatch, server)
    proxy.cut_after()
    with pytest.raises(StoreInDoubt) as caught:
        store(facts, touch("1"))
    assert isinstance(caught.value, StoreAway)
    assert store(facts, touch("2")).recorded == 1


def test_a_server_that_does_not_come_back_leaves_doubt(far, proxy, monkeypatch):
    monkeypatch.setattr("engine.store.postgres.LOOK_FOR_S", 0.1)
    store(far, touch("0"))
    proxy.cut_after()
    proxy.refuse()
    with pytest.raises(StoreInDoubt):
        store(far, touch("1"))
    proxy.accept()
    assert store(far, touch("1")).duplicates == 1


# Connections and servers that go away


def test_connections_that_were_ended_while_nothing_went_on_are_not_missed(
    facts, postgres, facts_database
):
    for number in range(5):
        store(facts, touch(f"{number}"))
        assert postgres.terminate_backends(facts_database)
        assert facts.head() == number + 1
        assert postgres.terminate_backends(facts_database)


def test_a_connection_that_is_ended_within_a_transaction_undoes_it(facts, postgres, facts_database):
    class Ended:
        def keep(self, connection):
            postgres.terminate_backends(facts_database)

    with pytest.raises(StoreAway):
        keep(facts, arrival(touch("1", deal="new")), refused(b"x"), checkpoint=Ended())
    assert (facts.head(), facts.intake(), list(facts.aside())) == (0, {}, [])
    assert store(facts, touch("1", deal="new")).recorded == 1
    assert facts.head() == 1


def test_a_connection_that_is_ended_within_a_snapshot_is_told(facts, postgres, facts_database):
    def read_on():
        with facts.snapshot():
            facts.head()
            postgres.terminate_backends(facts_database)
            facts.head()

    with pytest.raises(StoreAway):
        read_on()
    assert facts.head() == 0


def test_a_server_that_is_down_is_away_and_once_it_is_back_all_goes_on(own_facts):
    facts, _, server = own_facts
    store(facts, touch("1"))
    server.kill()
    for use in (facts.head, lambda: store(facts, touch("2"))):
        with pytest.raises(StoreAway) as caught:
            use()
        assert caught.value.exit_code == AWAY
    server.start()
    assert store(facts, touch("1"), touch("2")).recorded == 1
    server.stop()
    server.start()
    assert (facts.head(), counted(facts)) == (2, (3, 2, 1, 0))


@pytest.mark.parametrize("state", ["40001", "40P01", "57014", "53300"])
def test_who_is_in_anothers_way_is_told_to_try_again(state, facts):
    fails = f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{state}'; END $$"
    with pytest.raises(StoreAway):
        keep(facts, arrival(touch("1")), checkpoint=Running(fails))
    assert (facts.head(), facts.intake()) == (0, {})
    assert store(facts, touch("1")).recorded == 1


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("53100", "store_full"),
        ("58030", "store_io"),
        ("XX001", "store_corrupt"),
        ("42501", "store_read_only"),
    ],
)
def test_what_is_wrong_with_a_server_is_told_by_its_code(state, code, facts):
    fails = f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{state}'; END $$"
    with pytest.raises(StoreError) as caught:
        keep(facts, checkpoint=Running(fails))
    assert (caught.value.code, caught.value.exit_code) == (code, AWAY)
    assert facts.name in str(caught.value)


@pytest.fixture
def reader(postgres, facts_database):
    """The URL of a user who may read the facts and nothing else."""
    name, password = f"reader_{uuid4().hex[:8]}", uuid4().hex
    postgres.run(SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(Identifier(name), password))
    with psycopg.connect(facts_database, autocommit=True) as connection:
        for right in ("USAGE ON SCHEMA facts", "SELECT ON ALL TABLES IN SCHEMA facts"):
            connection.execute(f"GRANT {right} TO {name}")
        yield urlsplit(facts_database)._replace(netloc=_at(facts_database, name, password)).geturl()
        connection.execute(f"DROP OWNED BY {name}")
        connection.execute(f"DROP ROLE {name}")


def _at(url, name, password):
    return f"{name}:{password}@{urlsplit(url).hostname}:{urlsplit(url).port}"


def test_who_has_no_right_to_write_may_read(facts, reader):
    store(facts, touch("1"))
    with Facts.open(reader) as other:
        assert other.head() == 1
        with pytest.raises(StoreReadOnly):
            store(other, touch("2"))
        assert other.head() == 1


def test_who_waits_too_long_for_another_writer_is_told_and_may_try_again(
    facts, facts_database, monkeypatch
):
    short = "SET LOCAL lock_timeout = '50ms'; LOCK TABLE {} IN EXCLUSIVE MODE"
    monkeypatch.setattr("engine.store.postgres._LOCK", short)
    with Facts.open(facts_database) as other, other.transaction():
        with pytest.raises(StoreLocked) as caught:
            store(facts, touch("1"))
        assert isinstance(caught.value, StoreAway)
        assert facts.head() == 0  # who reads waits for nobody
    assert store(facts, touch("1")).recorded == 1


def test_a_writer_that_stands_still_is_put_aside_for_the_others(facts, facts_database, monkeypatch):
    class Waits(NamedTuple):
        other: Facts

        def keep(self, connection):
            connection.execute("INSERT INTO imports VALUES ('a', 'b')")
            store(self.other, touch("1"))  # until the first is put aside
            connection.execute("SELECT 1")

    soon = postgres_module._WRITE.replace(f"{postgres_module.IDLE_TIMEOUT_S}s", "200ms")
    monkeypatch.setattr(postgres_module, "_WRITE", soon)
    with Facts.open(facts_database) as other:
        with pytest.raises(StoreAway):
            keep(facts, checkpoint=Waits(other))
        assert (other.import_state("a"), other.head()) == (None, 1)
    assert store(facts, touch("2")).recorded == 1
