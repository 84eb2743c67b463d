"""Topics on a real broker: made as they must be, looked over, read on after they changed."""

import uuid
from contextlib import closing
from dataclasses import replace

import pytest
from click.testing import CliRunner
from kafka import KafkaProducer, TopicPartition
from kafka.admin import ConfigResource

from engine.cli.main import cli
from engine.errors import BrokerAway, BrokerRefused, TopicMissing
from engine.kafka import reset, topics
from engine.kafka.settings import KafkaSettings
from engine.store.facts import Facts
from engine.store.offsets import claim, places
from tests.emitting import at
from tests.services.process import free_port

pytestmark = pytest.mark.services
AS_THEY_MUST_BE = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "message.timestamp.type": "CreateTime",
    "min.insync.replicas": "1",
    "unclean.leader.election.enable": "false",
}


@pytest.fixture
def there(kafka):
    """Topics' names that nobody else uses; the topics are gone after the test."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    settings = replace(at(kafka.servers, name), lifecycle=f"{name}.lifecycle")
    yield settings
    with closing(kafka.admin()) as admin:
        admin.delete_topics([*settings.topics], raise_errors=False)


def configured(kafka, topic):
    with closing(kafka.admin()) as admin:
        resource = ConfigResource("TOPIC", topic, dict.fromkeys(AS_THEY_MUST_BE))
        told = admin.describe_configs([resource], config_filter="all")["topic"][topic]
    return {name: one["value"] for name, one in told.items()}


def alter(kafka, topic, **settings):
    with closing(kafka.admin()) as admin:
        configs = {name.replace("_", "."): str(value) for name, value in settings.items()}
        admin.alter_configs([ConfigResource("TOPIC", topic, configs)])


def fill(kafka, topic, partition, count):
    with closing(KafkaProducer(bootstrap_servers=kafka.servers.split(","))) as producer:
        for sent in [producer.send(topic, b"x", partition=partition) for _ in range(count)]:
            sent.get(timeout=30)


def test_topics_are_made_for_ever_and_once(kafka, there):
    made = topics.init(there, 2, None)
    assert (sorted(made.created), made.differences) == (sorted(there.topics), [])
    for topic in made.created:
        assert configured(kafka, topic) == AS_THEY_MUST_BE
    shape = topics.shape(there)
    assert (shape.partitions, shape.replication) == (2, 1)
    assert topics.init(there, 2, 1) == topics.Made([], [])
    assert topics.shape(there) == shape
    assert topics.check(there) == []


def test_two_of_three_copies_must_be_there_before_a_message_is_acknowledged():
    assert topics._configs("touchpoints", 3)["min.insync.replicas"] == "2"


def test_a_topic_that_is_missing_is_made_beside_one_that_is_there(kafka, there):
    kafka.create_topic(there.topic, retention_ms=-1, max_message_bytes=4 << 20)
    assert topics.init(there, None, None) == topics.Made([there.aside, there.lifecycle], [])


def test_a_topic_that_forgets_is_told_with_the_way_to_mend_it(kafka, there):
    topics.init(there, 2, None)
    alter(kafka, there.topic, retention_ms=86_400_000, cleanup_policy="compact")
    differences = topics.init(there, 4, 3).differences
    assert [(one.topic, one.what, one.found, one.wanted) for one in differences] == [
        (there.topic, "partitions", "2", "4"),
        (there.topic, "replication", "1", "3"),
        (there.topic, "cleanup.policy", "compact", "delete"),
        (there.topic, "retention.ms", "86400000", "-1"),
        (there.aside, "partitions", "2", "4"),
        (there.aside, "replication", "1", "3"),
        (there.lifecycle, "partitions", "2", "4"),
        (there.lifecycle, "replication", "1", "3"),
    ]
    assert differences[3].fix == (
        f"kafka-configs.sh --bootstrap-server {there.servers[0]} --alter "
        f"--entity-type topics --entity-name {there.topic} --add-config retention.ms=-1"
    )
    assert configured(kafka, there.topic)["retention.ms"] == "86400000"  # it was left as it is


def test_more_copies_than_brokers_are_refused_by_the_broker(there):
    with pytest.raises(BrokerRefused, match="replication factor of 3"):
        topics.init(there, 2, 3)


def test_a_missing_topic_and_a_missing_broker_are_told_apart(there, monkeypatch):
    monkeypatch.setattr(topics, "WAIT_MS", 1000)
    with pytest.raises(TopicMissing, match="kafka init") as missing:
        topics.check(there)
    assert missing.value.exit_code == 4
    nobody = KafkaSettings((f"127.0.0.1:{free_port()}",))
    with pytest.raises(BrokerAway, match="ECONNREFUSED") as away:
        topics.shape(nobody)
    assert away.value.exit_code == 7


def test_a_broker_that_speaks_otherwise_than_settings_say_is_told_with_what_it_said(
    there, monkeypatch
):
    monkeypatch.setattr(topics, "WAIT_MS", 1000)
    security = {"LEADLEDGER_KAFKA_SECURITY": "SASL_PLAINTEXT", "LEADLEDGER_KAFKA_USER": "ann"}
    secret = {"LEADLEDGER_KAFKA_PASSWORD": "correct horse"}
    environ = {"LEADLEDGER_KAFKA": ",".join(there.servers), **security, **secret}
    with pytest.raises(BrokerAway, match="IllegalSaslState") as away:
        topics.shape(KafkaSettings.load(environ))
    assert "horse" not in str(away.value)


@pytest.fixture
def filled(kafka, there):
    """A topic of two partitions with 10 messages each; its id."""
    topics.init(there, 2, None)
    for partition in (0, 1):
        fill(kafka, there.topic, partition, 10)
    return topics.extents(there)[0]


def read_upto(facts, there, topic_id, *next_offsets):
    """Keep offsets as if so many messages of each partition had been read."""
    with facts.transaction() as connection:
        claim(connection, there.topic, topic_id, dict(enumerate(next_offsets)), "somebody")


def kept(facts, settings):
    with facts.snapshot() as connection:
        return places(connection, settings.topic)


def test_nothing_is_reset_where_everything_can_be_read_on(facts, there, filled):
    read_upto(facts, there, filled, 3, 10)
    assert reset.plan(facts, there).moves == []
    assert [move.partition for move in reset.plan(facts, there, everything=True).moves] == [0, 1]


def test_where_messages_were_cut_off_reading_goes_on_behind_them(facts, kafka, there, filled):
    read_upto(facts, there, filled, 3, 7)
    with closing(kafka.admin()) as admin:
        admin.delete_records({TopicPartition(there.topic, one): 5 for one in (0, 1)})
    plan = reset.plan(facts, there)
    assert plan.moves == [reset.Move(0, 3, 5, "its beginning was cut off", 2)]
    reset.carry_out(facts, plan)
    now = kept(facts, there)
    assert [(now[one].next_offset, now[one].epoch) for one in (0, 1)] == [(5, 2), (7, 1)]
    assert reset.plan(facts, there).moves == []


def test_a_topic_made_anew_is_read_from_its_beginning(facts, kafka, there, filled):
    read_upto(facts, there, filled, 3, 10)
    before = kept(facts, there)[0].topic_id
    with closing(kafka.admin()) as admin:
        admin.delete_topics([there.topic])
    topics.init(there, 2, None)
    plan = reset.plan(facts, there)
    assert [move[:3] for move in plan.moves] == [(0, 3, 0), (1, 10, 0)]
    assert {move.lost for move in plan.moves} == {None}  # nobody can tell
    reset.carry_out(facts, plan)
    now = kept(facts, there)
    assert {place.topic_id for place in now.values()} == {plan.topic_id} != {before}
    assert [now[one].next_offset for one in (0, 1)] == [0, 0]


def test_an_offset_beyond_the_end_is_reset(facts, there, filled):
    read_upto(facts, there, filled, 3, 11)
    (move,) = reset.plan(facts, there).moves
    assert (move.partition, move.begin, move.why) == (1, 0, "it ends at 10 already")


def test_the_command_resets_only_when_it_is_told_to(tmp_path, kafka, there, filled):
    database = str(tmp_path / "facts.db")
    environ = {"LEADLEDGER_KAFKA": kafka.servers, "LEADLEDGER_TOPIC": there.topic}
    environ |= {"LEADLEDGER_IDENTIFIER_KEY": "ab" * 32, "LEADLEDGER_WORKSPACE_KEY": "cd" * 32}

    def run(*words):
        return CliRunner().invoke(cli, ["kafka", "reset", "--db", database, *words], env=environ)

    with Facts.open(database) as facts:
        read_upto(facts, there, filled, 3, 10)
        with closing(kafka.admin()) as admin:
            admin.delete_records({TopicPartition(there.topic, 0): 5})
        said = run()
        assert said.exit_code == 2
        assert "read up to 3" in said.stdout
        assert "2 messages were never read; to be read on from 5" in said.stdout
        assert kept(facts, there)[0].next_offset == 3
        assert run("--yes").exit_code == 0
        assert kept(facts, there)[0].next_offset == 5
        assert "can be read on" in run("--yes").stdout


def test_the_commands_make_and_check(kafka, there):
    def run(*words):
        environ = {
            "LEADLEDGER_KAFKA": kafka.servers,
            "LEADLEDGER_LIFECYCLE_TOPIC": there.lifecycle,
        }
        return CliRunner().invoke(cli, ["kafka", *words, "--topic", there.topic], env=environ)

    assert run("check").exit_code == 4
    assert run("init", "--partitions", "2").stdout == "".join(
        f"{name}: made\n" for name in there.topics
    )
    assert (run("init").exit_code, run("check").exit_code) == (0, 0)
    alter(kafka, there.topic, retention_ms=1000)
    checked = run("check")
    assert checked.exit_code == 5
    assert f"{there.topic}: retention.ms is 1000, not -1" in checked.stdout
    assert run("init", "--json").stdout.startswith('{"created":[],"differences":[{"topic":')
