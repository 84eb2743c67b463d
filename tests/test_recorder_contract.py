"""The eventsourcing library's own tests of recorders, and its stock application, over our store."""

import sys
from contextlib import closing
from importlib import import_module
from tempfile import TemporaryDirectory
from uuid import UUID

import pytest
from eventsourcing import cryptography
from eventsourcing.application import Application
from eventsourcing.persistence import IntegrityError, ProgrammingError, StoredEvent

from engine.aggregates.lead import Lead, TouchpointRecorded
from engine.aggregates.rule_book import ORIGINATOR, RuleBook
from engine.errors import UnknownTopic, VersionGap, WrongStream
from engine.store.factory import Factory
from engine.store.facts import Facts
from engine.store.mapper import LeadMapper
from engine.store.recorder import (
    AggregateRecorder,
    BulkApplicationRecorder,
    BulkProcessRecorder,
    Datastore,
)
from engine.store.rulebook import WrittenRules
from tests.storing import check_stock_application, store, touch, who

# The library's tests import a cipher of pycryptodome, which no test of a recorder uses; its
# other cipher, over the package that we have, stands in for it.
sys.modules.setdefault("eventsourcing.cipher", cryptography)
persistence = import_module("eventsourcing.tests.persistence")


class OnDisk:
    """Makes recorders over a facts file that goes with the test."""

    def setUp(self):
        self.folder = TemporaryDirectory()
        self.datastore = Datastore(f"{self.folder.name}/facts.db")

    def tearDown(self):
        self.datastore.close()
        self.folder.cleanup()

    def made(self, recorder):
        recorder.create_table()
        return recorder


class TestAggregateRecorder(OnDisk, persistence.AggregateRecorderTestCase):
    def create_recorder(self):
        return self.made(AggregateRecorder(self.datastore, events_table_name="stored_snapshots"))


class TestApplicationRecorder(OnDisk, persistence.ApplicationRecorderTestCase):
    def create_recorder(self):
        return self.made(BulkApplicationRecorder(self.datastore))


class TestProcessRecorder(OnDisk, persistence.ProcessRecorderTestCase):
    def create_recorder(self):
        return self.made(BulkProcessRecorder(self.datastore))


class TestTrackingRecorder(OnDisk, persistence.TrackingRecorderTestCase):
    def create_recorder(self):
        return self.made(BulkProcessRecorder(self.datastore))


class TestNonInterleaving(OnDisk, persistence.NonInterleavingNotificationIDsBaseCase):
    def create_recorder(self):
        return self.made(BulkApplicationRecorder(self.datastore))


def environment(path):
    return {"PERSISTENCE_MODULE": "engine.store.factory", "SQLITE_DBNAME": str(path)}


@pytest.fixture
def facts(tmp_path):
    with Facts.open(tmp_path / "facts.db") as opened:
        yield opened


def test_the_stock_application_reads_what_was_recorded(facts):
    first, second = touch("1", occurred_at=1), touch("2", "email:bob")
    store(facts, first, second)
    third = touch("3", occurred_at=3)
    store(facts, third)
    (lead_number, *_) = facts.lead_numbers().tolist()
    kept = [row.data for row in facts.touchpoints_of(lead_number)]
    with closing(Application(env=environment(facts.path))) as application:
        assert isinstance(application.factory, Factory)
        check_stock_application(application, kept)


def test_the_rule_book_is_a_stream_that_the_stock_application_reads(facts):
    facts.publish(WrittenRules("a" * 64, "a", ""))
    facts.publish(WrittenRules("b" * 64, "b", ""), effective_at=5)
    application = Application(env=environment(facts.path))
    book = application.repository.get(UUID(ORIGINATOR))
    assert isinstance(book, RuleBook)
    assert book.version == 2
    application.close()


def test_events_come_back_from_the_mapper_as_they_went_in():
    event = TouchpointRecorded(UUID(int=7), 3, b"\xc3\x01bytes")
    mapper = LeadMapper(None)
    stored = mapper.to_stored_event(event)
    assert stored == StoredEvent(UUID(int=7), 3, "lead.tp:1", b"\xc3\x01bytes")
    assert mapper.to_domain_event(stored) == event


def test_a_topic_that_nobody_knows_is_refused_by_name():
    with pytest.raises(UnknownTopic, match=r"lead\.tp:9"):
        LeadMapper(None).to_domain_event(StoredEvent(UUID(int=7), 1, "lead.tp:9", b""))


def test_a_lead_refuses_a_touchpoint_of_another_stream():
    ann, bob = who("email:ann", "email:bob")
    lead = Lead(ann.digest[:32])
    assert (lead.record(ann), lead.record(ann)) == (1, 2)
    with pytest.raises(WrongStream):
        lead.record(bob)
    assert lead.version == 2


def test_a_gap_in_a_stream_is_noticed_when_it_is_read():
    with pytest.raises(VersionGap):
        TouchpointRecorded(UUID(int=7), 2, b"").mutate(None)


def test_conflicts_and_missing_tables_come_in_the_librarys_own_errors(facts):
    datastore = Datastore(str(facts.path))
    recorder = BulkApplicationRecorder(datastore)
    event = StoredEvent(UUID(int=7), 1, "lead.tp:1", b"")
    recorder.insert_events([event])
    with pytest.raises(IntegrityError):
        recorder.insert_events([event])
    with pytest.raises(ProgrammingError), datastore.transaction(commit=True) as cursor:
        cursor.execute("SELECT ?", ())
    datastore.close()
