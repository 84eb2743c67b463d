"""Sending what the ledger holds, in its order, each sink from where it is itself.

How far a sink is, is written down after it took something. So whatever dies in between, each
announcement is taken at least once, under the same id, and none before those before it.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Protocol

from engine import metrics
from engine.announcement import Announcement
from engine.backoff import Backoff
from engine.crash import reached
from engine.errors import EngineError, SinkAway, SinkRefused, StoreAway, StoreFull, StoreIO
from engine.store import announcements as ledger
from engine.store.facts import Facts

AT_ONCE = 200  # announcements, between two notes of how far a sink is
LOOK_EVERY_S = 1.0  # where nobody says that there is something to send
FIRST_REST_S, LONGEST_REST_S = 0.5, 60.0
STOP_S = 20.0  # to be given for what is on its way
SECOND_US = 1_000_000
PASSING = (SinkAway, StoreAway, StoreFull, StoreIO)  # what is over sooner or later
log = logging.getLogger(__name__)

Message = tuple[Announcement, bytes]  # and its Avro bytes


class Sink(Protocol):
    """Somewhere that takes announcements."""

    @property
    def name(self) -> str:
        """What it is called, in metrics and where it is written down how far it is."""
        ...

    def send(self, messages: Sequence[Message]) -> int:
        """Hand over some, in their order; how many of them are taken, at least the first.

        Raises:
            SinkAway: Not even the first is; the same are sent again later.
        """
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


OpenFacts = Callable[[], Facts]
MakeSink = Callable[[], Sink]


def send_some(facts: Facts, sink: Sink) -> bool:
    """Let a sink take what follows; whether there was anything.

    Raises:
        SinkAway: It takes nothing for now.
        AnnouncerOvertaken: Another process has sent to it.
    """
    with facts.snapshot() as connection:
        before = ledger.taken(connection, sink.name)
        messages = ledger.following(connection, before, AT_ONCE)
        waiting, since = ledger.waiting(connection, before)
    metrics.sink_lag(sink.name, waiting, None if since is None else since / SECOND_US)
    if not messages:
        return False
    count = sink.send(messages)
    reached(f"sink.{sink.name}")
    with facts.transaction() as connection:
        ledger.take(connection, sink.name, before, messages[count - 1][0].number)
    return True


class Sender:
    """Sends to one sink on a thread of its own: it may take as long as it likes."""

    def __init__(self, make: MakeSink, open_facts: OpenFacts) -> None:
        """`open_facts` opens the database once more: threads that write share no connection."""
        self._make, self._open_facts = make, open_facts
        self._wanted, self._closing = threading.Event(), threading.Event()
        self._said = ""
        self.died: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="leadledger-sink", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There is something to send."""
        self._wanted.set()

    def close(self) -> None:
        """Send nothing more; what is on its way may arrive."""
        self._closing.set()
        self._wanted.set()
        self._thread.join(STOP_S)

    def _run(self) -> None:
        try:
            with closing(self._make()) as sink, self._open_facts() as facts:
                self._send(facts, sink)
        except BaseException as error:  # whoever waits for this thread raises it
            self.died = error

    def _send(self, facts: Facts, sink: Sink) -> None:
        backoff = Backoff(FIRST_REST_S, LONGEST_REST_S)
        while not self._closing.is_set():
            self._wanted.clear()
            try:
                if not send_some(facts, sink):
                    self._wanted.wait(LOOK_EVERY_S)
                if backoff.failures:
                    log.info("the sink %s takes announcements again", sink.name)
                    backoff.reset()
                    self._said = ""
            except PASSING as error:
                metrics.sink_retried(sink.name)
                self._tell(error)
                self._closing.wait(backoff.next_s())

    def _tell(self, error: EngineError) -> None:
        """Say what is wrong, once."""
        if str(error) != self._said:
            self._said = str(error)
            log.log(logging.ERROR if isinstance(error, SinkRefused) else logging.WARNING, error)


@contextmanager
def sending(sinks: Sequence[MakeSink], open_facts: OpenFacts) -> Iterator[Callable[[bool], None]]:
    """Send to all sinks meanwhile.

    Returns:
        A function to be told now and then whether there is more; it raises what ended a sender.
    """
    senders = [Sender(make, open_facts) for make in sinks]

    def tell(more: bool) -> None:
        for sender in senders:
            if sender.died is not None:
                raise sender.died
            if more:
                sender.wake()

    try:
        yield tell
    finally:
        for sender in senders:
            sender.close()
