"""Consumers as processes of their own, over a topic and a database of a test's own."""

import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil
from kafka import KafkaProducer

from engine.codec import decode, encode
from engine.store import offsets
from engine.store.facts import Facts
from engine.store.ledger import Intake
from engine.touchpoint import Touchpoint
from tests.naive.random_people import FEW
from tests.services.process import wait_until
from tests.storing import WORKSPACE_KEY, touch
from tests.warm import Warm

ROOT = Path(__file__).parents[1]
KEYS = {
    "LEADLEDGER_IDENTIFIER_KEY": bytes(range(32, 64)).hex(),
    "LEADLEDGER_WORKSPACE_KEY": bytes(range(32)).hex(),
}
PATIENCE_S = 40
PARTITIONS = 4


class Process:
    """A program that runs until it is told to stop, and what it says on standard error."""

    def __init__(self, warm: Warm, module: str, environ: Mapping[str, str], log: Path) -> None:
        self.log = log
        self._warm = warm
        log.touch()
        self.pid = warm.start(module, environ, log)

    @property
    def code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._warm.codes.get(self.pid)

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def says(self, text: str) -> bool:
        """Whether it says something before patience is at an end."""
        wait_until(lambda: text in self.said() or self.code is not None, PATIENCE_S)
        return text in self.said()

    def is_frozen(self) -> bool:
        return psutil.Process(self.pid).status() == psutil.STATUS_STOPPED

    def tell(self, number: int) -> None:
        if self.code is None:
            with suppress(ProcessLookupError):  # ended, and not told yet
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.tell(signal.SIGKILL)
        self.wait()

    def thaw(self) -> None:
        self.tell(signal.SIGCONT)

    def stop(self) -> int | None:
        """SIGTERM; the exit code."""
        self.tell(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int | None:
        """The exit code; None where it does not end, and had to be killed."""
        if wait_until(lambda: self.code is not None, PATIENCE_S):
            return self.code
        os.kill(self.pid, signal.SIGKILL)
        return None


class Pipeline:
    """A topic, a database, and consumers between the two."""

    def __init__(self, warm: Warm, kafka: Any, folder: Path, url: str | None = None) -> None:
        self.warm = warm
        self.kafka = kafka
        self.folder = folder
        self.url = url or f"sqlite:///{folder / 'facts.db'}"
        self.topic = kafka.new_topic(PARTITIONS)
        kafka.create_topic(f"{self.topic}.aside", 1)
        self.started: list[Process] = []
        Facts.open(self.url).close()

    def environ(self, **settings: object) -> dict[str, str]:
        """Settings as a consumer takes them; of its own ones LEADLEDGER_ is left out."""
        given = {f"LEADLEDGER_{name}": str(value) for name, value in settings.items()}
        return {
            **KEYS,
            "LEADLEDGER_DATABASE_URL": self.url,
            "LEADLEDGER_KAFKA": self.kafka.servers,
            "LEADLEDGER_TOPIC": self.topic,
            "LEADLEDGER_GROUP": f"group-of-{self.topic}",
            "LEADLEDGER_SESSION_SECONDS": "2",
            "LEADLEDGER_TOO_COMMON": str(FEW),
            **given,
        }

    def consumer(self, **settings: object) -> Process:
        """Start one."""
        name = f"consumer-{len(self.started)}.log"
        environ = self.environ(**settings)
        self.started.append(Process(self.warm, "consumers.__main__", environ, self.folder / name))
        return self.started[-1]

    def close(self) -> None:
        for one in self.started:
            one.kill()

    def send(self, touchpoints: Iterable[Touchpoint]) -> None:
        """Put touchpoints on the topic, by the key that they have; back when all are there."""
        self.send_raw((one.stream.digest.encode(), encode(one)) for one in touchpoints)

    def send_raw(
        self,
        messages: Iterable[tuple[bytes | None, bytes | None]],
        headers: Sequence[tuple[str, bytes]] = (),
        partition: int | None = None,
    ) -> None:
        with closing(
            KafkaProducer(bootstrap_servers=self.kafka.servers.split(","), linger_ms=5)
        ) as producer:
            sent = [
                producer.send(
                    self.topic, key=key, value=value, headers=list(headers), partition=partition
                )
                for key, value in messages
            ]
            for one in sent:
                one.get(timeout=60)

    def facts(self) -> Facts:
        facts = Facts.open(self.url)
        facts.too_common = FEW
        return facts

    def read(self) -> dict[int, int]:
        """The next offset of each partition, as the database has it."""
        with self.facts() as facts, facts.snapshot() as connection:
            return {
                partition: place.next_offset
                for partition, place in offsets.places(connection, self.topic).items()
            }

    def epochs(self) -> dict[int, int]:
        with self.facts() as facts, facts.snapshot() as connection:
            return {
                partition: place.epoch
                for partition, place in offsets.places(connection, self.topic).items()
            }

    def has_read(self, count: int) -> bool:
        """Whether so many messages were read before patience is at an end."""
        return wait_until(lambda: sum(self.read().values()) >= count, PATIENCE_S)

    def touchpoints(self) -> list[Touchpoint]:
        """All that was recorded, by position."""
        with self.facts() as facts, facts.snapshot() as connection:
            rows = connection.execute(
                "SELECT state FROM stored_events ORDER BY stored_events.rowid"
            ).fetchall()
        return [decode(bytes(state)) for (state,) in rows]

    def recorded(self) -> list[str]:
        """The event ids of all that was recorded, as often as it was."""
        return sorted(one.event_id for one in self.touchpoints())

    def intake(self) -> Intake:
        """What came from the topic."""
        with self.facts() as facts:
            return facts.intake().get(self.topic, Intake())

    def is_conserved(self) -> bool:
        """Whether each offset was counted once, and became one thing."""
        came = self.intake()
        assert came.received == came.recorded + came.duplicates + came.set_aside
        return came.received == sum(self.read().values())


def numbered(count: int, first: int = 0, leads: int = 50) -> list[Touchpoint]:
    """Touchpoints of some leads, each with an id of its own."""
    return [
        touch(f"e{number}", f"email:{number % leads}", occurred_at=number)
        for number in range(first, first + count)
    ]


__all__ = ["KEYS", "WORKSPACE_KEY", "Pipeline", "Process", "numbered"]


class NoText(str):
    """The name of a header, as a client of another kind may send it."""

    def encode(self, *_):
        return b"\xff\xfe"


def hostile():
    """Messages that cannot be accepted, by the reason."""
    good = touch("good", "email:ann")
    other = touch("good", "email:ann", deal="another")
    return [
        ("undecodable", b"\x00"),
        ("undecodable", None),
        ("unknown_schema", b"\xc3\x01" + bytes(8)),
        ("not_canonical", encode(touch("e\u0301", "email:ann"))),
        ("unknown_type", encode(touch("t", "email:ann", type="nonsense"))),
        ("no_identifier", encode(touch("n", type="page_viewed").__class__(**without(good)))),
        ("time_in_future", encode(touch("f", "email:ann", occurred_at=2_000_000_000_000_000))),
        ("id_reused", encode(other)),
    ], good


def without(touchpoint):
    fields = {name: getattr(touchpoint, name) for name in touchpoint.__struct_fields__}
    return {**fields, "identifiers": (), "event_id": "n"}
