"""Putting a consumer together: its client, its decoder, its database; and running it."""

import gc
import logging
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from types import FrameType

from consumers.aside import AsidePublisher
from consumers.decode import Decoder
from consumers.loop import FIRST_REST_S, LONGEST_REST_S, Consumer, Work
from consumers.port import Source
from consumers.settings import FAST, ConsumerSettings
from engine import metrics
from engine.errors import BrokerAway
from engine.kafka.settings import KafkaSettings
from engine.privacy import IdentifierKey, WorkspaceKey
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
    workspace_key = WorkspaceKey(wiring.engine.workspace_key)
    with ExitStack() as stack:
        facts = stack.enter_context(_opened(wiring.engine))
        facts.check_keys(IdentifierKey(wiring.engine.identifier_key), workspace_key)
        aside = AsidePublisher(lambda: _opened(wiring.engine), wiring.kafka)
        stack.callback(aside.close)
        work = Work(
            facts=facts,
            workspace_key=workspace_key,
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
            log.info("consuming %s as %s", wiring.kafka.topic, wiring.consumer.owner)
            Consumer(source, work, stop).run()
    log.info("stopped; the batch in hand was finished")


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and Ctrl-C set; a second Ctrl-C ends at once."""
    stop = threading.Event()

    def set_it(number: int, _: FrameType | None) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, set_it) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def show_metrics(settings: Settings, port: int | None = None) -> None:
    """Show metrics on a port, else on that of the settings, else not at all."""
    asked = settings.metrics_port if port is None else port
    if asked is not None:
        host = settings.metrics_host
        log.info("metrics: http://%s:%d/metrics", host, metrics.serve(asked, host))


def tell() -> None:
    """Let the loop say what it does on standard error; the client's own words stay out of it."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    logging.getLogger("kafka").setLevel(logging.CRITICAL + 1)


def _opened(settings: Settings) -> Facts:
    return Facts.open(settings.database_url)


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
    pause = FIRST_REST_S
    told = False
    while not stop.is_set():
        try:
            source = make()
        except BrokerAway as away:
            if not told:
                log.warning("%s; waiting for it", away)
            told = True
            metrics.broker_up(False)
            stop.wait(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST_REST_S)
        else:
            metrics.broker_up(True)
            return source
    return None
