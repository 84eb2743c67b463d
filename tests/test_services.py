"""The servers that tests start are real, break as told, and are gone when the tests are."""

import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import psutil
import psycopg
import pytest
from kafka import KafkaProducer
from kafka.errors import MessageSizeTooLargeError

from tests.services.brokers import jars
from tests.services.process import wait_until
from tests.services.wanted import or_skip

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.services


def values(kafka, topic):
    return [message.value for message in kafka.messages(topic)]


def producer(kafka):
    return closing(KafkaProducer(bootstrap_servers=kafka.servers.split(","), linger_ms=5))


def send(sender, topic, numbers):
    """Send each number, and come back when all are acknowledged."""
    sent = [sender.send(topic, str(number).encode()) for number in numbers]
    for one in sent:
        one.get(timeout=60)


def table(url):
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE numbers (number int PRIMARY KEY)")


def insert(url, number):
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO numbers VALUES (%s)", (number,))


def insert_in_one_pipeline(url, number):
    with psycopg.connect(url, autocommit=True) as connection, connection.pipeline():
        connection.execute("BEGIN")
        connection.execute("INSERT INTO numbers VALUES (%s)", (number,))
        connection.execute("COMMIT")


def numbers(url):
    with psycopg.connect(url) as connection:
        return [number for (number,) in connection.execute("SELECT * FROM numbers ORDER BY 1")]


def test_a_broker_keeps_what_it_is_sent(kafka):
    topic = kafka.new_topic(partitions=2)
    with producer(kafka) as sender:
        send(sender, topic, range(1000))
    assert sorted(map(int, values(kafka, topic))) == list(range(1000))


def test_topics_take_settings(kafka):
    topic = kafka.new_topic(partitions=1, max_message_bytes=100)
    with producer(kafka) as sender, pytest.raises(MessageSizeTooLargeError):
        sender.send(topic, b"x" * 1000).get(timeout=10)


def test_a_broker_killed_and_started_has_all_that_it_acknowledged(own_kafka):
    topic = own_kafka.new_topic(partitions=1)
    with producer(own_kafka) as sender:
        send(sender, topic, range(100))
        own_kafka.kill()
        assert own_kafka.pid is None
        own_kafka.start()
        send(sender, topic, range(100, 200))
    assert [int(value) for value in values(own_kafka, topic)] == list(range(200))


def test_a_cluster_loses_nothing_when_a_leader_is_killed(own_cluster):
    topic = own_cluster.new_topic(partitions=1)
    with producer(own_cluster) as sender:
        send(sender, topic, range(100))
        leader = own_cluster.leader(topic)
        leader.kill()
        send(sender, topic, range(100, 200))
    assert [int(value) for value in values(own_cluster, topic)] == list(range(200))
    assert own_cluster.leader(topic) is not leader


def test_databases_are_new_or_copies(postgres, database):
    table(database)
    insert(database, 7)
    copy = postgres.new_database(template=database)
    insert(copy, 8)
    assert (numbers(database), numbers(copy)) == ([7], [7, 8])
    postgres.drop_database(copy)


def test_backends_are_terminated_of_one_database_only(postgres, database):
    other = postgres.new_database()
    with psycopg.connect(database) as cut, psycopg.connect(other) as kept:
        assert postgres.terminate_backends(database) == 1
        with pytest.raises(psycopg.OperationalError):
            cut.execute("SELECT 1")
        assert kept.execute("SELECT 1").fetchall() == [(1,)]
    postgres.drop_database(other)


@pytest.mark.parametrize("way", ["stop", "kill"])
def test_postgresql_is_stopped_and_comes_back_with_what_it_committed(own_postgres, way):
    url = own_postgres.new_database()
    table(url)
    with psycopg.connect(url) as connection:
        insert(url, 1)
        connection.execute("INSERT INTO numbers VALUES (2)")
        getattr(own_postgres, way)()
        with pytest.raises(psycopg.OperationalError):
            connection.commit()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    own_postgres.start()
    assert numbers(url) == [1]


def test_a_frozen_postgresql_answers_when_it_is_thawed(own_postgres):
    with psycopg.connect(own_postgres.url) as connection:
        own_postgres.freeze()
        asked = threading.Thread(target=connection.execute, args=("SELECT 1",))
        asked.start()
        asked.join(timeout=0.3)
        assert asked.is_alive()
        own_postgres.thaw()
        asked.join(timeout=30)
        assert not asked.is_alive()


def test_a_connection_cut_after_commit_has_committed(database, proxy_before):
    proxy = proxy_before(database)
    table(database)
    proxy.cut_after()
    with pytest.raises(psycopg.OperationalError):
        insert(proxy.url(database), 1)
    assert (numbers(database), proxy.cuts) == ([1], 1)


def test_a_pipeline_cut_after_commit_has_committed(database, proxy_before):
    proxy = proxy_before(database)
    table(database)
    proxy.cut_after()
    with pytest.raises(psycopg.OperationalError):
        insert_in_one_pipeline(proxy.url(database), 1)
    assert (numbers(database), proxy.cuts) == ([1], 1)


def test_a_connection_cut_before_commit_has_not_committed(database, proxy_before):
    proxy = proxy_before(database)
    table(database)
    proxy.cut_before(times=2)
    for _ in range(2):
        with pytest.raises(psycopg.OperationalError):
            insert(proxy.url(database), 1)
    insert(proxy.url(database), 2)
    assert (numbers(database), proxy.cuts) == ([2], 2)


def test_a_refusing_proxy_refuses_and_takes_connections_again(database, proxy_before):
    proxy = proxy_before(database)
    with psycopg.connect(proxy.url(database)) as standing:
        proxy.refuse()
        with pytest.raises(psycopg.OperationalError, match="refused"):
            psycopg.connect(proxy.url(database))
        assert standing.execute("SELECT 1").fetchall() == [(1,)]
        assert proxy.cut() == 1
        with pytest.raises(psycopg.OperationalError):
            standing.execute("SELECT 1")
    proxy.accept()
    psycopg.connect(proxy.url(database)).close()


@pytest.fixture
def echo(tmp_path):
    """A Unix socket that gives back what it is sent."""
    path = tmp_path / "echo"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve():
            with listener.accept()[0] as client:
                while chunk := client.recv(100):
                    client.sendall(chunk)

        threading.Thread(target=serve, daemon=True).start()
        yield path


def test_a_frozen_proxy_passes_nothing_on_until_it_is_thawed(echo, proxy_before):
    proxy = proxy_before(echo)
    with socket.create_connection(("127.0.0.1", proxy.port)) as client:
        proxy.freeze()
        client.sendall(b"one")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(100)
        proxy.thaw()
        client.settimeout(30)
        assert client.recv(100) == b"one"


def test_a_word_in_two_pieces_is_heard(echo, proxy_before):
    proxy = proxy_before(echo)
    proxy.cut_before(b"END")
    with socket.create_connection(("127.0.0.1", proxy.port)) as client:
        client.sendall(b"some E")
        assert client.recv(100) == b"some E"
        client.sendall(b"ND")
        assert client.recv(100) == b""


def test_a_word_that_went_by_before_is_not_heard_again(echo, proxy_before):
    proxy = proxy_before(echo)
    with socket.create_connection(("127.0.0.1", proxy.port)) as client:
        for sent, cuts in ((b"END", 0), (b"more", 0), (b"END", 1)):
            if sent == b"more":
                proxy.cut_before(b"END")
            client.sendall(sent)
            assert client.recv(100) == (b"" if cuts else sent)
            assert proxy.cuts == cuts


@pytest.fixture
def without_java(monkeypatch):
    """A machine where no program is found."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")


def test_a_server_that_cannot_be_had_is_skipped_with_the_way_to_get_it(monkeypatch, without_java):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install default-jre-headless maven"):
        or_skip(jars)


def test_a_server_that_cannot_be_had_fails_under_ci(monkeypatch, without_java):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="LEADLEDGER_TEST_KAFKA"):
        or_skip(jars)


ENDLESS = """
import time

def test_that_never_ends(own_postgres):
    print("serves", own_postgres.pid, own_postgres.folder.parent, flush=True)
    time.sleep(60)
"""


def test_servers_are_gone_when_the_run_is_killed(tmp_path):
    (tmp_path / "test_endless.py").write_text(ENDLESS)
    command = [sys.executable, "-m", "pytest", "-qs", "-p", "tests.services.fixtures"]
    command += ["-p", "no:cacheprovider", "--basetemp", tmp_path / "base", tmp_path]
    environ = {key: value for key, value in os.environ.items() if "XDIST" not in key}
    run = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True)
    _, pid, folder = next(line.split() for line in run.stdout if line.startswith("serves"))
    run.send_signal(signal.SIGKILL)
    run.communicate()
    assert wait_until(lambda: not Path(folder).exists(), seconds=20)
    assert not psutil.pid_exists(int(pid)) or psutil.Process(int(pid)).status() == "zombie"
