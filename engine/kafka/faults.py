"""Errors of kafka-python as errors of ours."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from kafka.errors import KafkaError, KafkaTimeoutError

from engine.errors import BrokerAway, BrokerRefused, EngineError
from engine.kafka.settings import KafkaSettings

MAX_TOLD = 200  # characters of what the client says


class _LastLoss(logging.Handler):
    """Why the client lost a connection last; it tells nobody but its log."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._why = ""

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg == "%s: Connection lost: %s" and isinstance(record.args, tuple):
            self._why = str(record.args[-1])[:MAX_TOLD]

    def take(self) -> str:
        """Tell it once."""
        why, self._why = self._why, ""
        return why


_lost = _LastLoss()
logging.getLogger("kafka.net.connection").addHandler(_lost)


def fault(error: Exception, kafka: KafkaSettings) -> EngineError:
    """What an error of the client means: a broker that is away, or one that refuses."""
    servers = ", ".join(kafka.servers)
    if isinstance(error, KafkaTimeoutError):
        return BrokerAway(servers, ", ".join(filter(None, ("no answer in time", _lost.take()))))
    if passes(error):
        return BrokerAway(servers, type(error).__name__)
    described = getattr(error, "description", None)
    return BrokerRefused(servers, ": ".join(filter(None, (type(error).__name__, described))))


def passes(error: Exception) -> bool:
    """Whether the same may go well later, nothing else changed."""
    return isinstance(error, OSError) or bool(getattr(error, "retriable", False))


@contextmanager
def translated(kafka: KafkaSettings) -> Iterator[None]:
    """Raise errors of the client as ours.

    Raises:
        BrokerAway, BrokerRefused: See there.
    """
    try:
        yield
    except (KafkaError, OSError) as error:
        raise fault(error, kafka) from error
