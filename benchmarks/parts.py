"""What the pipeline's benchmark starts and watches: servers, processes, a load, an eye."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psutil
from confluent_kafka import Producer

from engine.kafka import topics
from engine.kafka.settings import KafkaSettings
from engine.projections.database import Models
from engine.projections.generations import in_force
from engine.projections.runner import book_known
from engine.store.facts import Facts, models_of
from tests.services.brokers import FOR_SPEED, Broker, jars
from tests.services.postgres import OwnPostgres

SQLITE, POSTGRES = "SQLite", "PostgreSQL"
KEY = bytes(32)
PARTITIONS = 4
PATIENCE_S = 120
LOOK_S = 0.01

Message = tuple[bytes, bytes]  # key and value


@dataclass
class Servers:
    """A broker and a PostgreSQL server of our own, which flush as in production."""

    folder: Path
    broker: Broker
    postgres: OwnPostgres
    _databases: int = 0
    _topics: int = 0

    @classmethod
    @contextmanager
    def started(cls, folder: Path) -> Iterator[Self]:
        """Both, for a while; they may share a folder that others can enter."""
        folder.chmod(0o711)
        broker = Broker(folder / "kafka", jars(), FOR_SPEED)
        postgres = OwnPostgres(folder / "postgres", fsync=True)
        with ExitStack() as stack:
            for server in (broker, postgres):
                stack.callback(server.kill)
                server.start()
            yield cls(folder, broker, postgres)

    def new_database(self, kind: str) -> str:
        """The URL of a database where nothing is."""
        self._databases += 1
        if kind == POSTGRES:
            return self.postgres.new_database()
        return f"sqlite:///{self.folder}/facts-{self._databases}.db"

    def new_topic(self) -> KafkaSettings:
        """A topic where nothing is, as `kafka init` makes it."""
        self._topics += 1
        kafka = KafkaSettings((self.broker.servers,), f"touchpoints-{self._topics}")
        topics.init(kafka, PARTITIONS, replication=1)
        return kafka

    def broker_cpu_s(self) -> float:
        """Seconds on the processor of the broker so far."""
        return processor_s(psutil.Process(self.broker.pid))

    def postgres_cpu_s(self) -> float:
        """The same of PostgreSQL and its backends."""
        return processor_s(psutil.Process(self.postgres.pid))


class Load:
    """Puts messages on a topic; it costs next to nothing."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._topic = kafka.topic
        self._producer = Producer(
            {
                **kafka.native(),
                "partitioner": "murmur2_random",
                "linger.ms": 5,
                "queue.buffering.max.messages": 1_000_000,
            }
        )

    def send(self, messages: Sequence[Message]) -> None:
        """Hand messages over."""
        for key, value in messages:
            self._producer.produce(self._topic, value, key)
        self._producer.poll(0)

    def flush(self) -> None:
        """Return when all are there."""
        if self._producer.flush(PATIENCE_S):
            raise SystemExit("the broker did not take all messages")


class Program:
    """A consumer or a runner as the process that it is in production."""

    def __init__(self, words: Sequence[str], environ: dict[str, str], log: Path) -> None:
        self.name = words[-1]
        command = [str(Path(sys.executable).with_name(words[0])), *words[1:]]
        with log.open("ab") as said:
            self._process = subprocess.Popen(command, env=os.environ | environ, stderr=said)
        self._seen = psutil.Process(self._process.pid)
        self._log = log

    def cpu_s(self) -> float:
        """Seconds on the processor so far."""
        return processor_s(self._seen)

    def memory(self) -> int:
        """Bytes that are its own."""
        return int(self._seen.memory_full_info().uss)

    def check(self) -> None:
        """End the benchmark where the process has ended."""
        if self._process.poll() is not None:
            raise SystemExit(f"{self.name} ended: {self._log.read_text()[-2000:]}")

    def stop(self) -> None:
        """Let it finish its batch, and end."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()


@contextmanager
def consumer(url: str, kafka: KafkaSettings, client: str, folder: Path) -> Iterator[Program]:
    """`python -m consumers`."""
    environ = _environ(url) | {
        "LEADLEDGER_KAFKA": ",".join(kafka.servers),
        "LEADLEDGER_TOPIC": kafka.topic,
        "LEADLEDGER_GROUP": kafka.topic + Path(url).name,
        "LEADLEDGER_CLIENT": client,
    }
    program = Program(["python", "-m", "consumers"], environ, folder / "consumer.log")
    try:
        yield program
    finally:
        program.stop()


@contextmanager
def runner(url: str, folder: Path) -> Iterator[Program]:
    """`leadledger project`."""
    program = Program(["leadledger", "project"], _environ(url), folder / "runner.log")
    try:
        yield program
    finally:
        program.stop()


def _environ(url: str) -> dict[str, str]:
    return {
        "LEADLEDGER_DATABASE_URL": url,
        "LEADLEDGER_IDENTIFIER_KEY": KEY.hex(),
        "LEADLEDGER_WORKSPACE_KEY": KEY.hex(),
    }


def processor_s(process: psutil.Process) -> float:
    """Seconds on the processor of a process, and of all that it has started."""
    ended = process.cpu_times()
    spent = [one.cpu_times() for one in (process, *process.children())]
    ours = sum(one.user + one.system for one in spent)
    return float(ended.children_user + ended.children_system + ours)


@dataclass
class Eye:
    """Looks from outside at what is recorded and what is visible."""

    facts: Facts
    models: Models
    head: int = 0
    shown: int = 0
    waits: list[tuple[float, int]] = field(default_factory=list)  # seconds, how many waited so

    @classmethod
    @contextmanager
    def on(cls, url: str) -> Iterator[Self]:
        """An eye on a database, which is made where there is none."""
        with Facts.open(url) as facts:
            models = Models.open(models_of(url))
            try:
                yield cls(facts, models)
            finally:
                models.close()

    def look(self) -> None:
        """See how far both are, and how long waited what has become visible."""
        self.head = self.facts.head()
        book = book_known(self.facts)
        with self.models.reading() as connection:
            live = in_force(connection, book, self.facts.clock())
        upto = live.checkpoint if live else 0
        if upto > self.shown:
            now = self.facts.clock()
            for recorded_at, count in self.facts.recordings(self.shown, upto):
                self.waits.append(((now - recorded_at) / 1e6, count))
            self.shown = upto

    def wait_until_shown(self, position: int, *programs: Program) -> None:
        """Look on until so much is visible."""
        since, before = time.monotonic(), -1
        while self.shown < position:
            self.look()
            if self.shown > before:
                since, before = time.monotonic(), self.shown
            if time.monotonic() - since > PATIENCE_S:
                raise SystemExit(f"{self.shown} of {position} are visible, and no more come")
            for program in programs:
                program.check()
            time.sleep(LOOK_S)

    def waited(self, share: float) -> float:
        """The wait, in seconds, that this share of touchpoints did not exceed."""
        left = share * sum(count for _, count in self.waits)
        for wait, count in sorted(self.waits):
            left -= count
            if left <= 0:
                return wait
        return 0.0
