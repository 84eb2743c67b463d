"""Announcements to a Kafka topic: acknowledged by all replicas before they count as taken.

A message's key is made of the lead's first touchpoint: it is the same for what was told of a lead
and for what corrects it, so a correction never overtakes what it corrects. An id would not do, for
a lead goes by another once it is known better.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any

from kafka.errors import KafkaError

from engine.announcement import lead_key
from engine.errors import SinkAway, SinkRefused, TopicMissing
from engine.kafka.client import abandon, connected
from engine.kafka.faults import fault
from engine.kafka.settings import LIFECYCLE, KafkaSettings
from engine.sinks.sending import Message

NAME = "kafka"
CONNECT_S, ACKNOWLEDGE_S = 5.0, 15.0


class KafkaSink:
    """Messages in the topic of announcements."""

    name = NAME

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = replace(kafka, topic=kafka.lifecycle)
        self._producer: Any = None

    def send(self, messages: Sequence[Message]) -> int:
        """Send all, and wait; how many, from the first on, are acknowledged.

        Raises:
            SinkAway: No broker acknowledges.
            SinkRefused: There is no such topic.
        """
        try:
            if self._producer is None:
                self._producer = connected(self._kafka, CONNECT_S, ACKNOWLEDGE_S)
            sent = [
                self._producer.send(self._kafka.topic, key=lead_key(told.first), value=data)
                for told, data in messages
            ]
        except TopicMissing as error:
            servers = ", ".join(self._kafka.servers)
            told = f"{servers} has no topic {self._kafka.topic}: make it by `leadledger kafka init`"
            raise SinkRefused(NAME, f"{told}, or name another by {LIFECYCLE}") from error
        except (KafkaError, OSError) as error:
            raise self._away(error) from error
        try:
            for one in sent:
                one.get(timeout=ACKNOWLEDGE_S)
        except (KafkaError, OSError) as error:
            self.close()
            count = len([*takewhile(lambda one: one.succeeded(), sent)])
            if not count:
                raise self._away(error) from error
            return count
        return len(sent)

    def close(self) -> None:
        """Give the client up."""
        producer, self._producer = self._producer, None
        if producer is not None:
            abandon(producer)

    def _away(self, error: Exception) -> SinkAway:
        self.close()
        return SinkAway(NAME, str(fault(error, self._kafka)))
