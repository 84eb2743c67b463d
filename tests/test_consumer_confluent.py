"""The port over confluent-kafka, with a client that fails when it is told to."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from consumers.confluent import Confluent
from consumers.settings import ConsumerSettings
from engine.kafka.settings import KafkaSettings


class Read:
    """A message as the client has it."""

    def __init__(self, offset):
        self._offset = offset

    def offset(self):
        return self._offset

    def partition(self):
        return 0

    def timestamp(self):
        return 1, 0

    def error(self):
        return None

    key = value = headers = error


class Client:
    """Gives one message, fails, and goes on behind it."""

    def __init__(self):
        self._answers = [[Read(7)], KafkaException(KafkaError(KafkaError._TIMED_OUT)), [Read(8)]]

    def consume(self, _most, _seconds):
        answer = self._answers.pop(0) if self._answers else []
        if isinstance(answer, Exception):
            raise answer
        return answer

    def assignment(self):
        return []

    def pause(self, _places):
        pass

    resume = pause


@pytest.fixture
def source(monkeypatch):
    monkeypatch.setattr(Confluent, "_open", lambda self: setattr(self, "_consumer", Client()))
    made = Confluent(KafkaSettings(("127.0.0.1:1",), "touchpoints"), ConsumerSettings())
    made._reading = frozenset({0})
    return made


def test_what_was_read_before_an_error_that_passes_is_handed_over(source):
    offsets = []
    for _ in range(3):
        offsets += [one.offset for some in source.poll(0, 10).messages.values() for one in some]
    assert offsets == [7, 8]
