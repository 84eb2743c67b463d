"""The loop of a consumer: assignment, claim, seek, poll, decode, record, and again.

The database knows how far a partition was read; it is asked whenever the group gives
partitions out and after everything that went wrong, and moved on in the transaction that
records a batch. So whatever happens between two statements here, a message has its effect
once. What is away is waited for, with the group kept; what cannot be mended by waiting
stops the loop, with an error that says what to do.
"""

import gc
import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from consumers.aside import AsidePublisher
from consumers.decode import Decoder
from consumers.lag import Lag, Stuck
from consumers.partitions import Partitions
from consumers.port import Messages, OutOfRange, Polled, Source
from engine import metrics
from engine.backoff import Backoff
from engine.crash import reached
from engine.errors import (
    BrokerAway,
    EngineError,
    Fenced,
    OffsetOutOfRange,
    RegistryAway,
    StoreAway,
    StoreError,
    StoreFull,
    TopicMissing,
    TopicRecreated,
)
from engine.lifecycle import Checkpoint, record
from engine.privacy import WorkspaceKey
from engine.store.connection import Connection
from engine.store.facts import Facts

AWAY = BrokerAway, RegistryAway, StoreAway, StoreFull, TopicMissing
WAIT_S = 0.2  # for messages, where there are none
LOOK_EVERY_S = 5.0
COMMIT_EVERY_S = 1.0
FIRST_REST_S, LONGEST_REST_S = 0.1, 5.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Work:
    """What a consumer does with messages, and where it puts them."""

    facts: Facts
    workspace_key: WorkspaceKey
    topic: str
    owner: str
    decoder: Decoder = field(default_factory=Decoder)
    batch: int = 5000
    aside: AsidePublisher | None = None


class Consumer:
    """Reads what the group gives it, until it is told to stop."""

    def __init__(self, source: Source, work: Work, stop: threading.Event) -> None:
        self._source = source
        self._work = work
        self._stop = stop
        self._generation = -1
        self._partitions = Partitions(work.facts, work.topic, work.owner)
        self._lag = Lag(work.topic)
        self._stuck = Stuck()
        self._away: EngineError | None = None
        self._backoff = Backoff(FIRST_REST_S, LONGEST_REST_S)
        self._looked_at = self._committed_at = time.monotonic()

    def run(self) -> None:
        """Read until told to stop; the batch in hand is finished first.

        Raises:
            TopicChanged: The topic is no longer what was read so far.
            EngineError: Whatever else no waiting mends.
        """
        while not self._stop.is_set():
            try:
                self._turn()
            except AWAY as away:
                self._rest(away)
            except Fenced as fenced:
                self._give_up(fenced)
            except OutOfRange as out:
                self._settle(out)
        self._commit()

    def _turn(self) -> None:
        """One look at the broker, and what follows from it."""
        polled = self._poll(WAIT_S, self._work.batch)
        wanted = self._partitions.to_claim()
        if wanted:
            self._claim(wanted)
            return
        messages = self._partitions.ours(polled.messages)
        if messages:
            reached("consumer.polled")
            self._record(messages)
        self._look_around()

    def _poll(self, seconds: float, most: int) -> Polled:
        polled = self._source.poll(seconds, most)
        if polled.generation != self._generation:
            self._generation = polled.generation
            self._partitions.give(polled.owned)
            log.info("partitions given to us: %s", sorted(polled.owned) or "none")
        return polled

    def _claim(self, wanted: list[int]) -> None:
        """Own partitions in the database, and read on from where it says."""
        look = self._source.look(wanted)
        self._partitions.claim(wanted, look)
        reached("consumer.claimed")
        self._source.seek(self._partitions.next_offsets())
        self._lag.looked(look.extents, self._partitions.next_offsets(wanted))
        self._publish_aside()
        self._is_back()

    def _record(self, messages: Messages) -> None:
        work = self._work
        arrivals = work.decoder.arrivals(work.topic, messages)
        reached("consumer.decoded")
        self._check_topic(messages, self._source.look().topic_id)
        steps = self._partitions.steps(messages)
        done = record(
            work.facts, arrivals, workspace_key=work.workspace_key, checkpoint=_Watched(steps)
        )
        reached("consumer.committed")
        self._partitions.moved(steps)
        self._lag.recorded(messages, self._partitions.next_offsets(messages))
        if done.set_aside:
            log.warning("set aside: %s", dict(done.set_aside))
            self._publish_aside()

    def _check_topic(self, partitions: Iterable[int], topic_id: str) -> None:
        """Make sure that the topic is the one that the offsets of partitions are of."""
        for partition in partitions:
            place = self._partitions.held[partition]
            if place.topic_id != topic_id:
                raise TopicRecreated(self._work.topic, partition, place.next_offset)

    def _look_around(self) -> None:
        """What is done every now and then: tell how far we are, see whether the broker is there."""
        now = time.monotonic()
        if now - self._committed_at >= COMMIT_EVERY_S:
            self._committed_at = now
            self._commit()
        if now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            gc.collect()  # see `run`: between batches, and not for each
            held = sorted(self._partitions.held)
            look = self._source.look(held)
            self._check_topic(held, look.topic_id)
            following = self._partitions.next_offsets()
            self._lag.looked(look.extents, following)
            self._is_back()
            if stuck := self._stuck.looked(look.extents, following):
                log.warning("nothing comes of partitions %s, which have more", stuck)
                self._source.close()  # the next poll makes the client anew

    def _commit(self) -> None:
        following = self._partitions.next_offsets()
        if following:
            self._source.commit(following)

    def _publish_aside(self) -> None:
        if self._work.aside is not None:
            self._work.aside.publish(self._partitions.held)

    def _give_up(self, fenced: Fenced) -> None:
        """Drop what is in hand: a partition has another owner by now."""
        log.warning("%s", fenced)
        self._partitions.lose(fenced.partition)
        self._source.seek(self._partitions.next_offsets())

    def _settle(self, out: OutOfRange) -> None:
        """Stop where a partition has not the offset that comes next; else it was a passing state.

        Raises:
            OffsetOutOfRange, TopicRecreated: See there.
        """
        following = self._partitions.next_offsets(out.ends)
        try:
            look = self._source.look(sorted(following))
        except AWAY as away:
            self._rest(away)
            return
        self._check_topic(following, look.topic_id)
        for partition, offset in following.items():
            begin, end = look.extents[partition]
            cut_at = out.ends[partition]
            if cut_at is not None and cut_at < offset:
                raise OffsetOutOfRange(self._work.topic, partition, offset, (begin, cut_at))
            self._partitions.check_range(partition, offset, (begin, end))
        self._rest(BrokerAway("the broker", "it refuses an offset that it has"))

    def _rest(self, away: EngineError) -> None:
        """Wait for what is away, staying in the group; then the database is asked anew."""
        if self._away is None or type(self._away) is not type(away):
            log.warning("%s; waiting for it", away)
        self._away = away
        metrics.retried("consume")
        if isinstance(away, StoreError):
            metrics.database_up(False)
        elif not isinstance(away, RegistryAway):
            metrics.broker_up(False)
        self._partitions.release()
        self._source.seek({})
        until = time.monotonic() + self._backoff.next_s()
        while not self._stop.is_set() and (left := until - time.monotonic()) > 0:
            try:
                self._poll(min(left, WAIT_S), 0)
            except (BrokerAway, OutOfRange):
                self._stop.wait(min(left, WAIT_S))

    def _is_back(self) -> None:
        """All that is needed has just answered."""
        if self._away is not None:
            log.warning("it is back; going on")
        self._away = None
        self._backoff.reset()
        metrics.database_up(True)
        metrics.broker_up(True)


class _Watched:
    """Keeps the steps of a batch, with a place to die before and after."""

    def __init__(self, steps: Checkpoint) -> None:
        self._steps = steps

    def keep(self, connection: Connection) -> None:
        """See `Checkpoint.keep`."""
        reached("consumer.recorded")
        self._steps.keep(connection)
        reached("consumer.kept")
