"""What was set aside is also published, sealed, to a topic beside: for alerts and other tools.

The database has it first, and has the key: the topic gets what nobody can read without
it, so that removing an item removes it everywhere. How far each partition's items are
published is kept, so each is published at least once, whatever dies in between.
"""

import logging
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError

from engine.backoff import Backoff
from engine.crash import reached
from engine.errors import EngineError
from engine.instants import format_instant
from engine.kafka.settings import KafkaSettings
from engine.kafka.topics import MAX_ASIDE_BYTES
from engine.store import aside, ledger
from engine.store.aside import Aside
from engine.store.facts import Facts

AT_ONCE = 200  # items
WAIT_MS = 10_000
FIRST_REST_S, LONGEST_REST_S = 0.5, 30.0
log = logging.getLogger(__name__)


class AsidePublisher:
    """Publishes on a thread of its own: the broker may take as long as it likes."""

    def __init__(self, open_facts: Callable[[], Facts], kafka: KafkaSettings) -> None:
        """`open_facts` opens the database once more: threads that write share no connection."""
        self._open_facts = open_facts
        self._kafka = kafka
        self._partitions: frozenset[int] = frozenset()
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self._producer: Any = None
        self._thread = threading.Thread(target=self._run, name="leadledger-aside", daemon=True)
        self._thread.start()

    def publish(self, partitions: Collection[int]) -> None:
        """Publish what was set aside of these partitions and is not published yet; returns."""
        self._partitions = frozenset(partitions)
        self._wanted.set()

    def close(self, seconds: float = 5.0) -> None:
        """End, once what there is is published, but wait no longer than so."""
        self._closing.set()
        self._wanted.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        backoff = Backoff(FIRST_REST_S, LONGEST_REST_S)
        while not self._closing.is_set() or self._wanted.is_set():
            self._wanted.wait()
            self._wanted.clear()
            try:
                self._publish_all()
                backoff.reset()
            except (KafkaError, OSError, EngineError) as error:
                if not backoff.failures:
                    log.warning("publishing to %s waits: %s", self._kafka.aside, error)
                self._close_producer()
                if not self._closing.wait(backoff.next_s()):
                    self._wanted.set()
        self._close_producer()

    def _publish_all(self) -> None:
        with self._open_facts() as facts:
            for partition in sorted(self._partitions):
                while self._publish_some(facts, partition):
                    pass

    def _publish_some(self, facts: Facts, partition: int) -> bool:
        """Publish the next items of a partition; whether there may be more."""
        key = f"aside {self._kafka.topic} {partition}"
        after = int(facts.import_state(key) or 0)
        with facts.snapshot() as connection:
            items = aside.following(connection, self._kafka.topic, partition, after, AT_ONCE)
        if not items:
            return False
        for sent in [self._send(item) for item in items]:
            sent.get(timeout=WAIT_MS / 1000)
        reached("aside.sent")
        with facts.transaction() as connection:
            ledger.keep_import_state(connection, key, str(items[-1].number))
        return len(items) == AT_ONCE

    def _send(self, item: Aside) -> Any:
        if self._producer is None:
            self._producer = KafkaProducer(
                **self._kafka.python(),
                acks="all",
                max_request_size=MAX_ASIDE_BYTES,
                max_block_ms=WAIT_MS,
                bootstrap_timeout_ms=WAIT_MS,
                metrics_enabled=False,
            )
        told = {
            "topic": item.origin,
            "partition": str(item.partition),
            "offset": str(item.line),
            "reason": item.reason,
            "detail": item.detail,
            "at": format_instant(item.at),
            "number": str(item.number),
        }
        return self._producer.send(
            self._kafka.aside,
            key=f"{item.partition}:{item.line}".encode(),
            value=item.sealed.nonce + item.sealed.ciphertext,
            headers=[(name, text.encode()) for name, text in told.items()],
        )

    def _close_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaError, OSError):
                producer.close(timeout=1)
