"""Putting a consumer together: its client, its decoder, its database; and running it."""

import gc
import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass

from consumers.aside import AsidePublisher
from consumers.decode import Decoder
from consumers.loop import FIRST_REST_S, LONGEST_REST_S, Consumer, Work
from consumers.port import Source
from consumers.settings import FAST, ConsumerSettings
from engine import metrics
from engine.backoff import Backoff
from engine.errors import BrokerAway
from engine.kafka.settings import KafkaSettings
from engine.privacy import WorkspaceKey
from engine.settings import Settings
from engine.store.facts import Facts

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wiring:
    """All settings of one consumer."""

    engine: Settings
    kafka: KafkaSettings
    consumer: ConsumerSettings


def run(wiring: Wiring, stop: threading.Event) -> None:
    """Consume until told to stop.

    Raises:
        TopicMissing: There was none of this name when it began.
        TopicChanged, InstanceTaken, BrokerRefused, ClientMissing, StoreError: See there.
    """
    with ExitStack() as stack:
        facts = stack.enter_context(Facts.of(wiring.engine))
        aside = AsidePublisher(lambda: Facts.open(wiring.engine.database_url), wiring.kafka)
        stack.callback(aside.close)
        work = Work(
            facts=facts,
            workspace_key=WorkspaceKey(wiring.engine.workspace_key),
            topic=wiring.kafka.topic,
            owner=wiring.consumer.owner,
            decoder=_decoder(wiring),
            batch=wiring.consumer.batch,
            aside=aside,
        )
        source = _connected(wiring, stop)
        if source is not None:
            stack.enter_context(closing(source))
            gc.freeze()  # what is there by now is no garbage, and need not be looked through
            stack.callback(gc.enable)
            gc.disable()  # messages make next to none; the loop collects that every few seconds
            log.info("consuming %s as %s", wiring.kafka.topic, wiring.consumer.owner)
            Consumer(source, work, stop).run()
    log.info("stopped; the batch in hand was finished")


def _decoder(wiring: Wiring) -> Decoder:
    if wiring.consumer.client != FAST:
        return Decoder(wiring.kafka.registry())
    from consumers.arrow import read_in_bulk

    return Decoder(wiring.kafka.registry(), read_in_bulk)


def _client(wiring: Wiring) -> Callable[[], Source]:
    if wiring.consumer.client == FAST:
        from consumers.confluent import Confluent

        return lambda: Confluent(wiring.kafka, wiring.consumer)
    from consumers.kafka_python import KafkaPython

    return lambda: KafkaPython(wiring.kafka, wiring.consumer)


def _connected(wiring: Wiring, stop: threading.Event) -> Source | None:
    """A member of the group, once a broker answers; None where we are stopped before.

    Raises:
        TopicMissing: A broker answers that there is no such topic.
    """
    make = _client(wiring)
    backoff = Backoff(FIRST_REST_S, LONGEST_REST_S)
    while not stop.is_set():
        try:
            source = make()
        except BrokerAway as away:
            if not backoff.failures:
                log.warning("%s; waiting for it", away)
            metrics.broker_up(False)
            stop.wait(backoff.next_s())
        else:
            metrics.broker_up(True)
            return source
    return None
