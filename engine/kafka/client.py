"""kafka-python's producer, as it is used here: everything acknowledged, nothing doubled."""

from contextlib import suppress
from typing import Any

from kafka import KafkaProducer
from kafka.errors import (
    InvalidRecordError,
    InvalidTimestampError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)

from engine.errors import TopicMissing
from engine.kafka.settings import KafkaSettings
from engine.kafka.topics import MAX_MESSAGE_BYTES

HOPELESS = (
    InvalidRecordError,
    InvalidTimestampError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)


def connected(kafka: KafkaSettings, connect_s: float, acknowledge_s: float) -> Any:
    """A producer of kafka-python that knows the topic.

    Args:
        kafka: Where.
        connect_s: To reach a broker and learn of the topic, each.
        acknowledge_s: To have a message acknowledged by all replicas, attempts included.

    Raises:
        TopicMissing: There is none.
        KafkaError: No broker answers, or none that takes us.
    """
    producer = KafkaProducer(
        **kafka.python(),
        acks="all",
        enable_idempotence=True,
        allow_auto_create_topics=False,
        linger_ms=5,
        batch_size=128 << 10,
        max_request_size=MAX_MESSAGE_BYTES,
        bootstrap_timeout_ms=int(connect_s * 1000),
        max_block_ms=int(connect_s * 1000),
        request_timeout_ms=int(acknowledge_s * 500),
        delivery_timeout_ms=int(acknowledge_s * 1000),
        metrics_enabled=False,
    )
    try:
        producer.partitions_for(kafka.topic)
    except KafkaTimeoutError:  # it reached a broker, which does not know the topic
        abandon(producer)
        raise TopicMissing(kafka.topic, ", ".join(kafka.servers)) from None
    except BaseException:
        abandon(producer)
        raise
    return producer


def abandon(producer: Any) -> None:
    """Close a client at once; by itself it would wait for what cannot be delivered."""
    producer._sender.force_close()
    producer._sender.join(1)
    with suppress(KafkaError):
        producer.close(timeout=1)
