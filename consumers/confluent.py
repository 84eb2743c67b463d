"""The port over confluent-kafka (librdkafka): a tenth of the CPU; comes with the extra `fast`."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from consumers.port import Headers, Look, OutOfRange, Polled
from consumers.settings import ConsumerSettings
from consumers.topic import Topic
from engine.errors import BrokerAway, BrokerRefused, ClientMissing, InstanceTaken
from engine.kafka.settings import KafkaSettings

try:
    from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
except ImportError as missing:
    raise ClientMissing("confluent-kafka") from missing

QUEUED_KBYTES = 32 << 10  # held in memory by the client
AT_ONCE = 1000  # messages of one call
LINGER_S = 0.02  # after the first message, for more to come
_REFUSED = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError._AUTHENTICATION,
)


class Received(NamedTuple):
    """A message, as the port has it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Confluent:
    """A member of a group, by confluent-kafka."""

    def __init__(self, kafka: KafkaSettings, settings: ConsumerSettings) -> None:
        """Connect.

        Raises:
            TopicMissing, BrokerAway, BrokerRefused: See there.
        """
        self._kafka = kafka
        self._settings = settings
        self._topic = Topic(kafka)
        self._generation = 0
        self._owned: frozenset[int] = frozenset()
        self._reading: frozenset[int] = frozenset()
        self._committed: list[Any] = []
        self._consumer: Any = None
        self._open()

    def poll(self, seconds: float, most: int) -> Polled:
        """See `Source.poll`."""
        if self._consumer is None:
            self._open()
        self._hold(frozenset() if most == 0 else self._reading)
        before = self._generation
        got: list[Any] = []  # stays so whatever fails: the client does not give it again
        try:
            got += self._consumer.consume(1, seconds)
            wait_s = LINGER_S
            while 0 < len(got) < most:
                more = self._consumer.consume(min(most - len(got), AT_ONCE), wait_s)
                got += more
                if len(more) < AT_ONCE:
                    break
                wait_s = 0
        except KafkaException as error:
            self._check(error.args[0])
        messages = self._sorted(got)
        if self._generation != before:
            messages = {}
        return Polled(self._generation, self._owned, messages)

    def seek(self, offsets: Mapping[int, int]) -> None:
        """See `Source.seek`."""
        self._reading = frozenset(offsets)
        if self._consumer is None:
            return
        with suppress(KafkaException):  # they may be taken from us at any moment
            self._consumer.assign(self._places(offsets))

    def look(self, partitions: Sequence[int] = ()) -> Look:
        """See `Source.look`."""
        return self._topic.look(partitions)

    def commit(self, offsets: Mapping[int, int]) -> None:
        """See `Source.commit`."""
        self._committed = self._places(offsets)
        if self._consumer is None:
            return
        with suppress(KafkaException):
            self._consumer.commit(offsets=self._committed, asynchronous=True)

    def close(self) -> None:
        """See `Source.close`."""
        self._topic.close()
        client, self._consumer = self._consumer, None
        if client is None:
            return
        with suppress(KafkaException):
            if self._committed and self._owned:
                client.commit(offsets=self._committed, asynchronous=False)
        with suppress(KafkaException, RuntimeError):
            client.close()
        self._owned = self._reading = frozenset()
        self._generation += 1

    def _open(self) -> None:
        self.look()
        settings = self._settings
        instance = {"group.instance.id": settings.instance} if settings.instance else {}
        self._consumer = Consumer(
            {
                **self._kafka.native(),
                **instance,
                "group.id": settings.group,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "allow.auto.create.topics": False,
                "partition.assignment.strategy": "range,roundrobin",
                "session.timeout.ms": int(settings.session_s * 1000),
                "heartbeat.interval.ms": int(settings.session_s * 1000 / 5),
                "max.poll.interval.ms": int(max(settings.poll_limit_s, settings.session_s) * 1000),
                "queued.max.messages.kbytes": QUEUED_KBYTES,
                "fetch.wait.max.ms": 200,
                "check.crcs": True,
                "reconnect.backoff.max.ms": 1000,
                "topic.metadata.refresh.interval.ms": 60_000,
                "log_level": 0,
            }
        )
        self._consumer.subscribe(
            [self._kafka.topic],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_revoke,
        )

    def _on_assign(self, consumer: Any, places: Sequence[Any]) -> None:
        """Take partitions, and read none of them before the loop says from where."""
        consumer.assign([])
        self._owned = frozenset(place.partition for place in places)
        self._reading = frozenset()
        self._generation += 1

    def _on_revoke(self, consumer: Any, _: Sequence[Any]) -> None:
        consumer.unassign()
        self._owned = self._reading = frozenset()
        self._generation += 1

    def _sorted(self, got: Sequence[Any]) -> dict[int, Sequence[Received]]:
        """Messages by partition, and errors raised."""
        messages: dict[int, list[Received]] = defaultdict(list)
        for one in got:
            if one.error() is not None:
                self._check(one.error(), one.partition())
            elif one.partition() in self._reading:
                messages[one.partition()].append(_received(one))
        return dict(messages)

    def _check(self, error: Any, partition: int | None = None) -> None:
        """Raise what an error means; most pass by themselves."""
        servers = ", ".join(self._kafka.servers)
        if error.code() == KafkaError._AUTO_OFFSET_RESET and partition is not None:
            raise OutOfRange({partition: None})
        if error.code() == KafkaError.FENCED_INSTANCE_ID:
            raise InstanceTaken(str(self._settings.instance))
        if error.code() in _REFUSED or error.fatal():
            raise BrokerRefused(servers, error.str())
        if error.code() in (KafkaError._ALL_BROKERS_DOWN, KafkaError._BAD_MSG):
            raise BrokerAway(servers, error.str())

    def _hold(self, reading: frozenset[int]) -> None:
        """Let just these partitions be fetched."""
        with suppress(KafkaException):
            assigned = self._consumer.assignment()
            self._consumer.pause([one for one in assigned if one.partition not in reading])
            self._consumer.resume([one for one in assigned if one.partition in reading])

    def _places(self, offsets: Mapping[int, int]) -> list[Any]:
        topic = self._kafka.topic
        return [TopicPartition(topic, partition, at) for partition, at in offsets.items()]


def _received(message: Any) -> Received:
    try:
        headers = message.headers() or ()
    except (UnicodeDecodeError, SystemError):  # the name of one is no text
        headers = ()
    _, timestamp = message.timestamp()
    return Received(message.offset(), timestamp, message.key(), message.value(), headers)
