"""Messages on their way to a topic: acknowledged by all replicas, or still in our hands.

A thread of its own sends. While no broker acknowledges, what waits goes to the
spool, where there is one, and else stays in memory, up to a bound that `put`
waits for. What was sent in vain is sent again: the consumer knows ids, so twice
does no harm. While anything is spooled, what is new is spooled behind it.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, NamedTuple

from kafka.errors import KafkaError, KafkaTimeoutError

from engine import metrics
from engine.backoff import Backoff
from engine.errors import EngineError, SpoolFailed
from engine.kafka.client import HOPELESS, abandon, connected
from engine.kafka.faults import fault
from engine.kafka.settings import KafkaSettings
from engine.kafka.spool import Spool, Spooled

MESSAGE_BYTES = 1024  # that a message on its way costs besides its own
AT_ONCE = 2000  # messages handed to the client, or to the disk, before looking around
LOOK_EVERY_S = 0.01  # while messages are on their way
log = logging.getLogger(__name__)


class Limits(NamedTuple):
    """How much memory and time sending may take."""

    held_bytes: int = 32 << 20  # of messages that are neither acknowledged nor on disk
    room_s: float = 60.0  # that `put` waits for some of it
    connect_s: float = 3.0  # after which a broker that does not answer is away
    acknowledge_s: float = 15.0  # after which one that does not acknowledge is
    retry_s: float = 0.25  # before the first attempt to reach one again; then ever longer
    retry_most_s: float = 15.0


class Message(NamedTuple):
    """What is sent; `number` counts rows as they were emitted, 0 is from before."""

    number: int
    key: bytes
    value: bytes

    @property
    def cost(self) -> int:
        """What it takes in memory."""
        return MESSAGE_BYTES + len(self.key) + len(self.value)


Failed = Callable[[Message, str], None]


class Sender:
    """Sends what it is given, in order, until it is told to stop."""

    def __init__(
        self, kafka: KafkaSettings, spool: Spool | None, failed: Failed, limits: Limits
    ) -> None:
        self._kafka = kafka
        self._spool = spool
        self._failed = failed  # called by the sending thread
        self._limits = limits
        self._changed = threading.Condition()  # over what follows, up to the thread
        self._waiting: deque[Message] = deque()
        self._flying: deque[tuple[Message, Any]] = deque()  # with the client's futures
        self._held = 0  # bytes of both
        self._stopping = False
        self._misses = 0  # times that the broker was found to be away
        self._next_attempt = 0.0
        self._died: BaseException | None = None
        self.sent = 0  # acknowledged by the broker
        self.spooled = len(spool) if spool else 0  # on disk
        metrics.spooled(self.spooled)
        self.problem: EngineError | None = None  # why nothing is acknowledged at the moment
        self._producer: Any = None
        self._backoff = Backoff(limits.retry_s, limits.retry_most_s)
        self._doubted = 0  # messages to be sent one by one, as no broker may take one of them
        self._segment: Path | None = None  # of the spool, that is being sent
        self._read: deque[Message] = deque()  # what of it is not acknowledged
        self._thread = threading.Thread(target=self._run, name="leadledger-send", daemon=True)
        self._thread.start()

    def put(self, message: Message) -> None:
        """Take a message over; waits until there is room for it.

        Raises:
            EngineError: There was none for too long: why. It was not taken.
        """
        with self._changed:
            if not self._wait(lambda: self._has_room(message.cost), self._limits.room_s):
                raise self.problem or fault(KafkaTimeoutError(), self._kafka)
            self._waiting.append(message)
            self._held += message.cost
            self._changed.notify_all()

    def outstanding(self) -> list[int]:
        """The numbers of the messages that are neither acknowledged nor on disk, ascending."""
        with self._changed:
            flying = [message.number for message, _ in self._flying]
            return flying + [message.number for message in self._waiting]

    def settle(self, timeout_s: float) -> bool:
        """Wait until every message is acknowledged, on disk or given up; whether it came to it."""
        with self._changed:
            return self._wait(lambda: not self._held, timeout_s)

    def drain(self, timeout_s: float) -> bool:
        """Wait until the spool is empty too, or until the broker is found to be away."""
        with self._changed:
            misses, self._next_attempt = self._misses, 0.0
            self._changed.notify_all()
            self._wait(lambda: self._is_done() or self._misses > misses, timeout_s)
            return self._is_done()

    def stop(self) -> None:
        """End the thread; what it still holds goes to the spool where there is one."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    def _is_done(self) -> bool:
        return not (self._held or self.spooled)

    def _has_room(self, cost: int) -> bool:
        return not self._held or self._held + cost <= self._limits.held_bytes

    def _wait(self, reached: Callable[[], bool], timeout_s: float) -> bool:
        """Wait for something; a fault that ended the thread is raised here."""
        if not reached() or self._died is not None:
            self._changed.wait_for(lambda: reached() or self._died is not None, timeout_s)
        if self._died is not None:
            raise RuntimeError("sending ended by a fault") from self._died
        return reached()

    # From here on: the sending thread. It alone takes messages out of the two queues.

    def _run(self) -> None:
        try:
            while not self._stopping:
                if self._producer is None:
                    self._be_away()
                elif self.spooled:
                    self._resend()
                elif self._doubted and self._waiting:
                    self._deliver(self._waiting)
                else:
                    self._send()
            self._end()
        except BaseException as error:
            log.exception("sending ended by a fault")
            with self._changed:
                self._died = error
                self._changed.notify_all()

    def _be_away(self) -> None:
        """Keep what waits on disk until it is time to look for the broker again."""
        if time.monotonic() >= self._next_attempt:
            self._connect()
            return
        stored = self._store()
        with self._changed:
            if not (self._stopping or (stored and self._waiting)):
                self._changed.wait(max(0.0, self._next_attempt - time.monotonic()))

    def _connect(self) -> None:
        if self._backoff.failures:
            metrics.retried("emit")
        try:
            self._producer = connected(
                self._kafka, self._limits.connect_s, self._limits.acknowledge_s
            )
        except (EngineError, KafkaError, OSError, ValueError, RuntimeError) as error:
            self._miss(error)
            return
        self._backoff.reset()
        with self._changed:
            self.problem = None
        metrics.broker_up(True)

    def _miss(self, error: Exception) -> None:
        """The broker is away: note why, and when to look again."""
        problem = error if isinstance(error, EngineError) else fault(error, self._kafka)
        with self._changed:
            if self.problem is None:
                log.warning("%s", problem)
            self.problem = problem
            self._misses += 1
            self._next_attempt = time.monotonic() + self._backoff.next_s()
            self._changed.notify_all()
        metrics.broker_up(False)

    def _send(self) -> None:
        """Hand what waits to the client, and see what was acknowledged."""
        with self._changed:
            if not (self._waiting or self._flying or self._stopping):
                self._changed.wait()
            batch = list(islice(self._waiting, AT_ONCE))
        for message in batch:
            try:
                future = self._producer.send(self._kafka.topic, message.value, message.key)
            except (KafkaError, ValueError) as error:
                self._lose(error)
                return
            with self._changed:
                self._flying.append((self._waiting.popleft(), future))
        self._reap()
        with self._changed:
            if self._flying and not (self._waiting or self._stopping):
                self._changed.wait(LOOK_EVERY_S)

    def _reap(self) -> None:
        """Let go of what was acknowledged, in its order."""
        with self._changed:
            done = [message for message, _ in takewhile(_is_acknowledged, self._flying)]
            for message in done:
                self._flying.popleft()
                self._held -= message.cost
            if done:
                self._count_sent(len(done))
                self._changed.notify_all()
            metrics.in_flight(len(self._flying) + len(self._waiting))
            stuck = self._flying[0][1].exception if self._flying else None
        if isinstance(stuck, HOPELESS):
            self._doubted = len(self._flying)
            self._give_client_up()
        elif stuck is not None:
            self._lose(stuck)

    def _deliver(self, queue: deque[Message]) -> bool:
        """Send a part of a queue, and wait until it is acknowledged; False where it was not.

        After the client failed a message that no broker would take it fails others by the
        same word, so those are sent one by one.
        """
        part = list(islice(queue, 1 if self._doubted else AT_ONCE))
        try:
            topic = self._kafka.topic
            for future in [self._producer.send(topic, one.value, one.key) for one in part]:
                future.get(2 * self._limits.acknowledge_s)
        except HOPELESS as error:
            self._give_client_up()
            if len(part) > 1:
                self._doubted = len(part)
                return False
            self._failed(part[0], type(error).__name__)
        except (KafkaError, ValueError) as error:
            self._lose(error)
            return False
        else:
            self._count_sent(len(part))
        with self._changed:
            for message in part:
                queue.popleft()
                self._held -= message.cost if queue is self._waiting else 0
            self._doubted = max(0, self._doubted - len(part))
            self._changed.notify_all()
        return self._producer is not None

    def _lose(self, error: Exception) -> None:
        """Look for a broker anew; what was not acknowledged waits again, before the rest."""
        self._give_client_up()
        self._miss(error)

    def _give_client_up(self) -> None:
        abandon(self._producer)
        self._producer = None
        with self._changed:
            back = [message for message, future in self._flying if not future.succeeded()]
            self._count_sent(len(self._flying) - len(back))
            self._waiting.extendleft(reversed(back))
            self._flying.clear()
            self._held = sum(message.cost for message in self._waiting)
            self._changed.notify_all()

    def _store(self) -> bool:
        """Put what waits on disk; False where it cannot be."""
        if self._spool is None:
            return False
        with self._changed:
            batch = list(islice(self._waiting, AT_ONCE))
        try:
            if batch:
                self._spool.append([Spooled(message.key, message.value) for message in batch])
        except SpoolFailed as error:
            self._trouble(error)
            return False
        with self._changed:
            for message in batch:
                self._waiting.popleft()
                self._held -= message.cost
            self._count_spooled()
        return True

    def _resend(self) -> None:
        """Send the oldest segment, part by part, and drop it when all of it is acknowledged."""
        assert self._spool is not None
        try:
            if self._segment is None:
                path, kept = self._spool.oldest()
                self._segment, self._read = path, deque(Message(0, *one) for one in kept)
            while self._read and not self._stopping:
                if not self._deliver(self._read):
                    return
                self._store()
            if not self._read:
                self._spool.drop(self._segment)
                self._segment = None
        except SpoolFailed as error:
            self._trouble(error)
            time.sleep(self._limits.retry_s)
        with self._changed:
            self._count_spooled()

    def _trouble(self, error: SpoolFailed) -> None:
        log.error("%s", error)
        with self._changed:
            self.problem = error

    def _count_sent(self, messages: int) -> None:
        self.sent += messages
        metrics.sent(messages)

    def _count_spooled(self) -> None:
        self.spooled = len(self._spool or ())
        metrics.spooled(self.spooled)
        self._changed.notify_all()

    def _end(self) -> None:
        """What was not acknowledged by now goes to the disk, if to anywhere."""
        if self._producer is not None:
            self._reap()
        if self._producer is not None:
            self._give_client_up()
        while self._waiting and self._store():
            pass


def _is_acknowledged(flying: tuple[Message, Any]) -> bool:
    return bool(flying[1].succeeded())
