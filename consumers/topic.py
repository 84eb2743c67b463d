"""The topic as the broker has it: whether it still is the one that was read before."""

from collections.abc import Sequence
from typing import Any

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec

from consumers.port import Look
from engine.errors import TopicMissing
from engine.kafka.faults import translated
from engine.kafka.settings import KafkaSettings

WAIT_MS = 5000
_UNKNOWN_TOPIC = 3  # error code of Kafka's protocol


class Topic:
    """Asks about one topic over a connection that stays open.

    No consumer protocol says which topic of a name a message is from, so this is asked
    after each batch was read and before it is recorded.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._client: Any = None

    def look(self, partitions: Sequence[int] = ()) -> Look:
        """The topic's id, and the offsets (first, next) of partitions.

        Raises:
            TopicMissing, BrokerAway, BrokerRefused: See there.
        """
        try:
            with translated(self._kafka):
                return self._look(partitions)
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _look(self, partitions: Sequence[int]) -> Look:
        if self._client is None:
            self._client = KafkaAdminClient(
                **self._kafka.python(), bootstrap_timeout_ms=WAIT_MS, request_timeout_ms=WAIT_MS
            )
        (told,) = self._client.describe_topics([self._kafka.topic])
        if told["error_code"] == _UNKNOWN_TOPIC:
            raise TopicMissing(self._kafka.topic, ", ".join(self._kafka.servers))
        places = [TopicPartition(self._kafka.topic, partition) for partition in partitions]
        if not places:
            return Look(str(told["topic_id"]), {})
        first = self._client.list_partition_offsets(dict.fromkeys(places, OffsetSpec.EARLIEST))
        after = self._client.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST))
        extents = {at.partition: (first[at].offset, after[at].offset) for at in places}
        return Look(str(told["topic_id"]), extents)
