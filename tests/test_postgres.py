"""Facts in PostgreSQL: statements in its words, opening it, and several who use it at once."""

import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from urllib.parse import urlsplit

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engine.errors import (
    BadSetting,
    NotAStore,
    StoreMissing,
    StoreVersion,
)
from engine.store.bulk import listed
from engine.store.facts import Facts
from engine.store.postgres import named
from engine.store.postgres_connection import translated
from tests.storing import arrival, counted, keep, store, touch

ONE_CONNECTION = [HealthCheck.function_scoped_fixture]  # that reads only, for all examples


@pytest.fixture
def facts(facts_database, clock):
    with Facts.open(facts_database, clock=clock) as opened:
        yield opened


# Statements


def test_a_statement_is_put_into_the_words_of_postgresql_and_nothing_else_of_it_changes():
    words = translated("SELECT ?, state FROM stored_events WHERE stored_events.rowid = ? OR '::'")
    assert words.sql == "SELECT $1, state FROM stored_events WHERE " + (
        "stored_events.notification_id = $2 OR '::'"
    )
    words = translated("SELECT a::text WHERE b > :upto AND (c > :upto OR d = :name)")
    assert words == ("SELECT a::text WHERE b > $1 AND (c > $1 OR d = $2)", ["upto", "name"], [])
    words = translated("a = ? AND b IN (SELECT value FROM json_each(?)) AND c = ?")
    assert words == ("a = $1 AND b = ANY($2) AND c = $3", [], [1])


@pytest.mark.services
@settings(max_examples=60, deadline=None, suppress_health_check=ONE_CONNECTION)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))))
@example(["\\", '"', "\n", "{", ",", "NULL", "", " ", "\\n", "é", "\U0001f600"])
def test_texts_in_a_list_come_as_they_are(facts, texts):
    with facts.snapshot() as connection:
        for text in texts:
            asked = "SELECT ?::text IN (SELECT value FROM json_each(?))"
            assert connection.execute(asked, (text, listed(texts))).fetchone()[0]
            others = listed([other for other in texts if other != text])
            assert not connection.execute(asked, (text, others)).fetchone()[0]


@pytest.mark.services
def test_an_error_that_was_passed_over_commits_nothing(facts):
    class PassesOver:
        def keep(self, connection):
            with suppress(psycopg.errors.UndefinedTable):
                connection.execute("SELECT * FROM nothing")

    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        keep(facts, arrival(touch("1")), checkpoint=PassesOver())
    assert facts.head() == 0


@pytest.mark.services
def test_an_error_after_the_last_statement_undoes_all(facts):
    with pytest.raises(ZeroDivisionError):
        _insert_and_fail(facts)
    assert facts.import_state("a") is None


def _insert_and_fail(facts):
    with facts.transaction() as connection:
        connection.execute("INSERT INTO imports VALUES ('a', 'b')")
        raise ZeroDivisionError


@pytest.mark.services
def test_a_transaction_within_a_transaction_is_refused_and_the_outer_one_goes_on(facts):
    with facts.transaction() as connection:
        with pytest.raises(psycopg.errors.ActiveSqlTransaction), facts.transaction():
            pass
        connection.execute("INSERT INTO imports VALUES ('a', 'b')")
    assert facts.import_state("a") == "b"


# Opening


@pytest.mark.services
def test_no_password_is_in_a_name(database):
    with Facts.open(database) as facts:
        assert facts.name == named(database)
        assert urlsplit(database).password not in facts.name
    assert named("postgresql://u:secret@h:1/db?password=secret") == "postgresql://u@h:1/db"


@pytest.mark.services
def test_an_empty_database_is_missing_unless_it_may_be_made(database):
    with pytest.raises(StoreMissing):
        Facts.open(database, create=False)
    Facts.open(database).close()
    Facts.open(database, create=False).close()


@pytest.mark.services
def test_tables_of_another_program_or_version_are_refused(database):
    Facts.open(database).close()
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE facts.alembic_version SET version_num = '9999'")
    with pytest.raises(StoreVersion, match="9999"):
        Facts.open(database)
    with psycopg.connect(database) as connection:
        connection.execute("DROP SCHEMA facts CASCADE; CREATE SCHEMA facts")
        connection.execute("CREATE TABLE facts.another (a int)")
    with pytest.raises(NotAStore):
        Facts.open(database)


def test_a_url_that_cannot_be_read_is_refused_and_not_repeated():
    with pytest.raises(BadSetting) as caught:
        Facts.open("postgresql://u:secret@h:port/db?nothing=1")
    assert "secret" not in str(caught.value)


def _open_and_store(url, number):
    with Facts.open(url) as facts:
        store(facts, touch(f"{number}"))


@pytest.mark.services
def test_several_processes_may_make_the_tables_at_once(database):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_open_and_store, args=(database, n)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    with Facts.open(database) as facts:
        assert facts.head() == 3


# Several at once


@pytest.mark.services
def test_threads_and_others_write_in_turn_and_read_meanwhile(facts, facts_database):
    def write(number):
        for part in range(10):
            store(facts, touch(f"{number}-{part}", f"email:{part}"), touch("same"))

    def read():
        heads = []
        while not heads or heads[-1] < 61:
            with facts.snapshot():
                heads.append(facts.head())
                time.sleep(0.001)
                assert facts.head() == heads[-1]
                assert len(facts.histories().positions) == heads[-1]
        assert heads == sorted(heads)

    with Facts.open(facts_database) as other, ThreadPoolExecutor() as pool:
        work = [pool.submit(write, number) for number in range(3)]
        work += [pool.submit(read) for _ in range(2)]
        for number in range(3, 6):
            for part in range(10):
                store(other, touch(f"{number}-{part}", f"email:{part}"), touch("same"))
        for one in work:
            one.result(60)
    assert (facts.head(), counted(facts)) == (61, (120, 61, 59, 0))


@pytest.mark.services
def test_ids_are_found_after_they_were_sorted_in_here_and_elsewhere(
    facts, facts_database, monkeypatch
):
    monkeypatch.setattr("engine.store.ids.WAITING", 4)
    with Facts.open(facts_database) as other:
        for number in range(12):
            one = other if number % 2 else facts
            assert store(one, touch(f"{number}"), touch(f"x{number}")).recorded == 2
        for number in range(12):
            one = facts if number % 2 else other
            assert store(one, touch(f"{number}"), touch(f"x{number}")).duplicates == 2
