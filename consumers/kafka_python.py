"""The port over kafka-python, the client that is always there."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import (
    CorruptRecordError,
    FencedInstanceIdError,
    KafkaError,
    LogTruncationError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.util import decode_varint
from kafka.structs import MemberState

from consumers.port import Look, OutOfRange, Polled
from consumers.settings import ConsumerSettings
from consumers.topic import Topic
from engine.errors import BrokerAway, InstanceTaken
from engine.kafka.faults import translated
from engine.kafka.settings import KafkaSettings

FETCH_BYTES = 32 << 20  # held in memory by the client, about
CLOSE_MS, COMMIT_MS = 5000, 1000
_VARINTS_BEFORE_HEADERS = 7  # of a record: length to number of headers
_TAKEN = ValueError, KeyError  # of a partition that was taken from us just now

_read_record = DefaultRecordBatch._read_msg


def _read_any_record(batch: Any, decode: Any = decode_varint) -> Any:
    """A record, also where the name of a header is no UTF-8: then it has no headers.

    The client would take it for damaged and never get past it.
    """
    begin = batch._pos
    try:
        return _read_record(batch, decode)
    except UnicodeDecodeError:
        batch._pos = begin
        calls = 0

        def decode_and_blank(buffer: Any, pos: int) -> tuple[int, int]:
            nonlocal calls
            calls += 1
            size, pos = decode(buffer, pos)
            if calls > _VARINTS_BEFORE_HEADERS and calls % 2 == 0:  # of the name of a header
                buffer[pos : pos + size] = b"?" * len(buffer[pos : pos + size])
            return size, pos

        record = _read_record(batch, decode_and_blank)
        record.headers.clear()
        return record


DefaultRecordBatch._read_msg = _read_any_record


class _Given:
    """Notes which partitions the group gives us.

    It is called on the client's I/O thread, where nothing may wait: so it sets flags,
    and holds new partitions still until the loop has found out where to read them on.
    """

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self.generation = 0
        self.owned: frozenset[int] = frozenset()

    def on_partitions_revoked(self, revoked: Collection[Any]) -> None:
        """All of them may go to others."""
        self.owned = frozenset()
        self.generation += 1

    def on_partitions_assigned(self, assigned: Collection[Any]) -> None:
        """These are ours from now on."""
        for place in assigned:
            self._consumer.pause(place)
            self._consumer.seek(place, 0)  # or the client would look for an offset of its own
        self.owned = frozenset(place.partition for place in assigned)
        self.generation += 1

    on_partitions_lost = on_partitions_revoked


ConsumerRebalanceListener.register(_Given)  # the client takes no other


class KafkaPython:
    """A member of a group, by kafka-python."""

    def __init__(self, kafka: KafkaSettings, settings: ConsumerSettings) -> None:
        """Connect.

        Raises:
            TopicMissing, BrokerAway, BrokerRefused: See there.
        """
        self._kafka = kafka
        self._settings = settings
        self._topic = Topic(kafka)
        self._generations = 0  # of listeners before this one
        self._reading: frozenset[int] = frozenset()
        self._committed: dict[Any, Any] = {}
        self._consumer: Any = None
        try:
            self._open()
        except BaseException:
            self._topic.close()
            raise

    def poll(self, seconds: float, most: int) -> Polled:
        """See `Source.poll`."""
        if self._consumer is None:
            self._open()
        self._finish_joining()
        self._hold(frozenset() if most == 0 else self._reading)
        found: Mapping[Any, Any] = {}
        before = self._given.generation
        with self._faults(), suppress(NoOffsetForPartitionError):  # just given to us: not yet said
            found = self._consumer.poll(timeout_ms=int(seconds * 1000), max_records=max(most, 1))
        now = self._given.generation
        if now != before:
            self._reading, found = frozenset(), {}
        messages = {place.partition: records for place, records in found.items()}
        return Polled(self._generations + now, self._given.owned, messages)

    def seek(self, offsets: Mapping[int, int]) -> None:
        """See `Source.seek`."""
        self._reading = frozenset(offsets)
        if self._consumer is None:
            return
        for partition, offset in offsets.items():
            place = self._place(partition)
            self._forget_parked(place)
            with suppress(*_TAKEN):
                self._consumer.seek(place, offset)

    def look(self, partitions: Sequence[int] = ()) -> Look:
        """See `Source.look`."""
        return self._topic.look(partitions)

    def commit(self, offsets: Mapping[int, int]) -> None:
        """See `Source.commit`."""
        self._committed = {
            self._place(partition): OffsetAndMetadata(offset, "", -1)
            for partition, offset in offsets.items()
        }
        if self._consumer is not None:
            with suppress(KafkaError):
                self._consumer.commit_async(self._committed, callback=lambda *_: None)

    def close(self) -> None:
        """See `Source.close`."""
        self._topic.close()
        if self._consumer is not None and self._committed and self._given.owned:
            with suppress(KafkaError):
                self._consumer.commit(self._committed, timeout_ms=COMMIT_MS)
        self._close_client()

    def _open(self) -> None:
        """Make a client; one that met a damaged batch would go round in circles over it."""
        settings = self._settings
        self.look()  # asking for a topic that is missing, this client would have it made
        with translated(self._kafka):
            self._consumer = KafkaConsumer(
                **self._kafka.python(),
                group_id=settings.group,
                group_instance_id=settings.instance,
                enable_auto_commit=False,
                auto_offset_reset="none",
                isolation_level="read_committed",
                allow_auto_create_topics=False,
                session_timeout_ms=int(settings.session_s * 1000),
                heartbeat_interval_ms=int(settings.session_s * 1000 / 5),
                max_poll_interval_ms=int(settings.poll_limit_s * 1000),
                fetch_max_bytes=FETCH_BYTES,
                max_partition_fetch_bytes=FETCH_BYTES // 8,
                fetch_max_wait_ms=200,
                reconnect_backoff_max_ms=1000,
                metadata_max_age_ms=60_000,
                bootstrap_timeout_ms=10_000,
                metrics_enabled=False,
            )
        self._given = _Given(self._consumer)
        try:
            with translated(self._kafka):
                self._consumer.subscribe([self._kafka.topic], listener=self._given)
                self._consumer.partitions_for_topic(self._kafka.topic)  # or it would join twice
        except BaseException:
            self._close_client()
            raise

    def _close_client(self) -> None:
        """Let the client go; the next poll makes a new one."""
        client, self._consumer = self._consumer, None
        self._generations += self._given.generation + 1
        self._given.owned = frozenset()
        if client is not None:
            with suppress(KafkaError, OSError):
                client.close(autocommit=False, timeout_ms=CLOSE_MS)

    def _finish_joining(self) -> None:
        """Let the next poll go on with joining the group, where the last one ran out of time.

        The client forgets to, where it was new partitions that made it join again, and would
        from then on neither read nor be a member.
        """
        if self._consumer.group_metadata().state is not MemberState.STABLE:
            self._consumer._coordinator.request_rejoin()

    def _forget_parked(self, place: Any) -> None:
        """Drop what was fetched of a partition and parked when it was paused.

        The client takes it up again only if its own slot for records is empty, which it need
        never be, and fetches nothing more of the partition before it has.
        """
        fetcher = self._consumer._fetcher
        fetcher._paused_completed_fetches.pop(place, None)
        fetcher._paused_partition_records.pop(place, None)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Errors of a poll as those of the port."""
        with translated(self._kafka):
            try:
                yield
            except OffsetOutOfRangeError as error:
                ends = dict.fromkeys((place.partition for place in error.args[0]), None)
                raise OutOfRange(ends) from error
            except LogTruncationError as error:
                raise OutOfRange(_ends(error.divergent_offsets)) from error
            except FencedInstanceIdError as error:
                raise InstanceTaken(str(self._settings.instance)) from error
            except CorruptRecordError as error:
                self._close_client()
                problem = f"a batch came damaged: {error}"
                raise BrokerAway(", ".join(self._kafka.servers), problem) from error

    def _hold(self, reading: frozenset[int]) -> None:
        """Let just these partitions be fetched."""
        for place in self._consumer.assignment():
            with suppress(*_TAKEN):
                if place.partition in reading:
                    self._consumer.resume(place)
                else:
                    self._consumer.pause(place)

    def _place(self, partition: int) -> Any:
        return TopicPartition(self._kafka.topic, partition)


def _ends(divergent: Mapping[Any, Any]) -> dict[int, int | None]:
    return {place.partition: at.offset if at else None for place, at in divergent.items()}
