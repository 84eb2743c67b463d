"""The eventsourcing library's own tests of recorders, and its stock application, on PostgreSQL."""

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib import import_module
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from eventsourcing import cryptography
from eventsourcing.application import Application
from eventsourcing.persistence import (
    InfrastructureFactory,
    InternalError,
    OperationalError,
    ProgrammingError,
    StoredEvent,
    Tracking,
)
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore

from engine.errors import BadSetting, StoreAway, StoreInDoubt
from engine.store.facts import Facts
from engine.store.postgres import PostgresDatabase
from engine.store.postgres_factory import Factory
from engine.store.postgres_recorder import BulkApplicationRecorder, BulkProcessRecorder
from tests.storing import check_stock_application, store, touch

pytestmark = pytest.mark.services

# The library's tests import a cipher of pycryptodome, which no test of a recorder uses; its
# other cipher, over the package that we have, stands in for it.
sys.modules.setdefault("eventsourcing.cipher", cryptography)
persistence = import_module("eventsourcing.tests.persistence")


def place(url):
    """A URL's parts, as the library asks for them."""
    parts = urlsplit(url)
    return {
        "dbname": parts.path[1:],
        "host": parts.hostname,
        "port": str(parts.port),
        "user": parts.username,
        "password": parts.password,
    }


def environment(url, **more):
    names = {f"POSTGRES_{name.upper()}": value for name, value in place(url).items()}
    return {"PERSISTENCE_MODULE": "engine.store.postgres_factory", **names, **more}


class OnServer:
    """Makes recorders over a database of facts."""

    @pytest.fixture(autouse=True)
    def _opened(self, facts_database):
        self.datastore = PostgresDatastore(**place(facts_database), schema="facts", pool_size=2)
        self.made = []
        yield
        for recorder in self.made:
            recorder.close()
        self.datastore.close()

    def make(self, kind):
        recorder = kind(self.datastore)
        self.made.append(recorder)
        recorder.create_table()
        return recorder


class TestApplicationRecorder(OnServer, persistence.ApplicationRecorderTestCase):
    def create_recorder(self):
        return self.make(BulkApplicationRecorder)

    def test_insert_subscribe(self):
        self.optional_test_insert_subscribe()


class TestProcessRecorder(OnServer, persistence.ProcessRecorderTestCase):
    def create_recorder(self):
        return self.make(BulkProcessRecorder)


class TestTrackingRecorder(OnServer, persistence.TrackingRecorderTestCase):
    def create_recorder(self):
        return self.make(BulkProcessRecorder)


class TestNonInterleaving(OnServer, persistence.NonInterleavingNotificationIDsBaseCase):
    def create_recorder(self):
        return self.make(BulkApplicationRecorder)


@pytest.fixture
def datastore(facts_database):
    with closing(PostgresDatastore(**place(facts_database), schema="facts")) as made:
        yield made


@pytest.fixture
def recorder(datastore):
    with closing(BulkApplicationRecorder(datastore)) as made:
        yield made


def event(version=1, identity=None):
    return StoredEvent(identity or UUID(int=7), version, "lead.tp:1", b"")


def test_the_stock_application_reads_what_was_recorded(facts_database):
    with Facts.open(facts_database) as facts:
        store(facts, touch("1", occurred_at=1), touch("2", "email:bob"))
        store(facts, touch("3", occurred_at=3))
        (lead_number, *_) = facts.lead_numbers().tolist()
        kept = [row.data for row in facts.touchpoints_of(lead_number)]
    with closing(Application(env=environment(facts_database))) as application:
        assert isinstance(application.factory, Factory)
        check_stock_application(application, kept)


def test_settings_of_one_application_count_for_it(facts_database):
    wrong = environment(facts_database, POSTGRES_PASSWORD="wrong")
    right = {"APPLICATION_POSTGRES_PASSWORD": place(facts_database)["password"]}
    application = Application(env=wrong | right)
    assert application.recorder.max_notification_id() is None
    application.close()


def test_a_password_that_changes_is_asked_for_at_each_connection(facts_database, monkeypatch):
    asked = []

    def password():
        asked.append(1)
        return place(facts_database)["password"]

    monkeypatch.setattr(sys.modules[__name__], "password_now", password, raising=False)
    env = environment(facts_database, POSTGRES_GET_PASSWORD_TOPIC=f"{__name__}:password_now")
    with closing(InfrastructureFactory.construct(env)) as factory:
        assert factory.application_recorder().insert_events([event()]) == [1]
    assert len(asked) > 1


def test_inserting_by_a_function_that_takes_no_lock_is_refused(facts_database):
    env = environment(facts_database, POSTGRES_ENABLE_DB_FUNCTIONS="y")
    with (
        closing(InfrastructureFactory.construct(env)) as factory,
        pytest.raises(BadSetting, match="POSTGRES_ENABLE_DB_FUNCTIONS"),
    ):
        factory.application_recorder()


def test_all_kinds_of_writers_take_turns_and_nobody_who_reads_along_misses_an_event(
    facts_database, datastore, recorder
):
    stock = PostgresApplicationRecorder(datastore)
    stock.create_table()
    facts = Facts.open(facts_database)
    each, seen = 30, []

    def by_library(inserter):
        for _ in range(each):
            inserter.insert_events([event(identity=uuid4())])

    def by_facts():
        for number in range(each):
            store(facts, touch(f"{number}", f"email:{number}"))

    def read():
        while len(seen) < 3 * each:
            after = seen[-1] if seen else 0
            found = recorder.select_notifications(after, 10, inclusive_of_start=False)
            seen.extend(notification.id for notification in found)

    with ThreadPoolExecutor() as pool:
        work = [(by_library, stock), (by_library, recorder), (by_facts,), (read,)]
        for one in [pool.submit(*task) for task in work]:
            one.result(timeout=60)
    facts.close()
    assert seen == list(range(1, 3 * each + 1))


def test_an_attempt_whose_end_nobody_heard_is_not_a_conflict(facts_database, proxy_before):
    proxy = proxy_before(facts_database)
    through = PostgresDatastore(**place(proxy.url(facts_database)), schema="facts")
    with closing(through), closing(BulkProcessRecorder(through)) as recorder:
        recorder.create_table()
        for number in range(1, 6):
            proxy.cut_after()
            tracking = Tracking("upstream", number)
            assert recorder.insert_events([event(number)], tracking=tracking) == [number]
            assert recorder.max_tracking_id("upstream") == number
        proxy.cut_before()
        assert recorder.insert_events([event(6)]) == [6]  # the library tries again


def test_faults_come_in_the_librarys_own_errors(recorder, monkeypatch):
    def fail(error):
        def transaction(self):
            raise error

        monkeypatch.setattr(PostgresDatabase, "transaction", transaction)

    with pytest.raises(ProgrammingError), recorder.datastore.transaction(commit=True) as cursor:
        cursor.execute("SELECT nothing")
    insert = recorder.insert_events.__wrapped__  # without trying again
    fail(StoreAway("db", "gone"))
    with pytest.raises(OperationalError):
        insert(recorder, [event()])
    fail(StoreInDoubt("db", "gone"))
    with pytest.raises(InternalError):
        insert(recorder, [event()])
