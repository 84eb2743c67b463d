"""Emitting: what a tool has to tell goes to the topic, canonical, sealed and acknowledged.

A small client for tools written in Python. It needs the database only for data
keys, and the workspace's keys; what leaves it holds no personal value in clear.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, Self

from engine import metrics
from engine.edge import Edge, Row
from engine.errors import NotAcknowledged
from engine.kafka.sender import Limits, Message, Sender
from engine.kafka.settings import KafkaSettings
from engine.kafka.spool import Spool
from engine.privacy import IdentifierKey, WorkspaceKey
from engine.settings import Settings
from engine.store.facts import Facts, system_clock

ORIGIN = "emit"
CHUNK, CHUNK_BYTES = 200, 4 << 20  # rows that go through the edge together, at most
CLOSING_S, HASTY_S = 30.0, 3.0  # to be given for the last acknowledgements
log = logging.getLogger(__name__)

OneRow = Mapping[str, Any] | bytes | str


class Refusal(NamedTuple):
    """Why a row did not go out; never a value of it."""

    number: int  # of the row, from 1 as it was emitted; 0: it was spooled by an earlier run
    reason: str
    detail: str


@dataclass(frozen=True)
class Emitted:
    """What became of rows: received = refused + sent + spooled + waiting, less those of before.

    Rows that an earlier run left in the spool count among the sent and the spooled.
    """

    received: int = 0
    refused: Counter[str] = field(default_factory=Counter)  # by reason
    sent: int = 0  # acknowledged by the broker
    spooled: int = 0  # on disk
    waiting: int = 0  # in memory alone


OnError = Callable[[Refusal], None]


class Emitter:
    """Emits touchpoints; safe to share among threads. Close it, or use it in a `with`."""

    def __init__(
        self,
        edge: Edge,
        kafka: KafkaSettings,
        spool: Path | None = None,
        on_error: OnError | None = None,
        *,
        limits: Limits | None = None,
        clock: Callable[[], int] = system_clock,
    ) -> None:
        """Begin to reach for the broker; that it is away is no error yet.

        Args:
            edge: Makes rows canonical, and seals them.
            kafka: Where they go.
            spool: A folder for what cannot be sent; without it that stays in memory.
            on_error: Is told of each row that does not go out, by `emit` or by a thread of
                the emitter's own; it must not emit. Without it the log is told.
            limits: Of memory and time.
            clock: Microseconds, UTC.

        Raises:
            SpoolInUse, SpoolFailed: See there.
        """
        self._edge = edge
        self._tell = on_error or _log
        self._clock = clock
        self._emitting = Lock()
        self._counting = Lock()
        self._received = 0
        self._refused: Counter[str] = Counter()
        self._closing = ExitStack()
        self._spool = None if spool is None else Spool(spool)
        self._sender = Sender(kafka, self._spool, self._give_up, limits or Limits())
        self._closed = False

    @classmethod
    def open(
        cls,
        environ: Mapping[str, str],
        *,
        spool: Path | None = None,
        on_error: OnError | None = None,
    ) -> Self:
        """An emitter as the environment has it: database, keys, Kafka and topic.

        Raises:
            BadSetting, KeyMissing, OtherKey, StoreError, SpoolInUse, SpoolFailed: See there.
        """
        settings, kafka = Settings.load(environ), KafkaSettings.load(environ)
        with ExitStack() as opened:
            facts = opened.enter_context(Facts.of(settings))
            keyring = facts.keyring(WorkspaceKey(settings.workspace_key))
            edge = Edge(IdentifierKey(settings.identifier_key), keyring, settings.phone_region)
            emitter = cls(edge, kafka, spool, on_error)
            emitter._closing = opened.pop_all()
        return emitter

    def emit(self, rows: OneRow | Iterable[OneRow]) -> range:
        """Send a row, or many: objects as in docs/formats.md, or their JSON.

        Returns as soon as they wait in memory; `flush` says that they are safe. Waits
        while too many do.

        Returns:
            The numbers of the rows, by which errors name them.

        Raises:
            BrokerAway, TopicMissing: No room was made for too long; `counts` says how many
                rows were received, the others were not taken over.
            StoreError, WrongKey: Data keys cannot be had; likewise.
        """
        source = [rows] if isinstance(rows, Mapping | bytes | str) else rows
        with self._emitting:
            if self._closed:
                raise ValueError("the emitter is closed")
            first = self._received + 1
            for chunk in _chunks(source):
                self._emit(chunk)
            return range(first, self._received + 1)

    def flush(self, timeout_s: float = CLOSING_S) -> None:
        """Wait until every row so far is acknowledged, on disk or refused.

        Raises:
            NotAcknowledged: Some were not in time; they are sent on all the same.
        """
        if not self._sender.settle(timeout_s):
            self._complain()

    def drain(self, timeout_s: float = CLOSING_S) -> bool:
        """Wait until the spool is empty too, as long as there is a broker; whether it is."""
        return self._sender.drain(timeout_s)

    def close(self, timeout_s: float = CLOSING_S) -> None:
        """Flush, and let go of everything; what is not acknowledged in time is spooled.

        Raises:
            NotAcknowledged: Some rows are neither acknowledged nor on disk, and go with us.
        """
        if self._closed:
            return
        self._closed = True
        try:
            self._sender.settle(timeout_s)
        finally:
            self._sender.stop()
            if self._spool is not None:
                self._spool.close()
            self._closing.close()
        if self._sender.outstanding():
            self._complain()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.close()
            return
        try:
            self.close(HASTY_S)
        except NotAcknowledged as error:  # what is being raised says more
            log.error("%s", error)

    @property
    def counts(self) -> Emitted:
        """What became of the rows so far."""
        sender = self._sender
        waiting = len(sender.outstanding())
        return Emitted(self._received, Counter(self._refused), sender.sent, sender.spooled, waiting)

    @property
    def outstanding(self) -> int | None:
        """The number of the first row that is in memory alone; None where none is."""
        return next(iter(self._sender.outstanding()), None)

    @property
    def problem(self) -> Exception | None:
        """Why the broker acknowledges nothing at the moment, if so."""
        return self._sender.problem

    def _emit(self, chunk: Sequence[OneRow]) -> None:
        rows = [_row(number, one) for number, one in enumerate(chunk, self._received + 1)]
        for arrival in self._edge.accept(rows, self._clock()):
            if arrival.encoded:
                key = bytes.fromhex(arrival.encoded.touchpoint.stream.digest)
                self._sender.put(Message(arrival.line, key, arrival.encoded.data))
            self._received += 1
            if not arrival.encoded:
                self._refuse(arrival.line, arrival.reason or "undecodable", arrival.detail)

    def _give_up(self, message: Message, reason: str) -> None:
        self._refuse(message.number, "refused_by_broker", reason)

    def _refuse(self, number: int, reason: str, detail: str) -> None:
        with self._counting:
            self._refused[reason] += 1
        metrics.failed()
        try:
            self._tell(Refusal(number, reason, detail))
        except Exception:
            log.exception("on_error failed")  # it must not stop the sending

    def _complain(self) -> None:
        waiting = self._sender.outstanding()
        if waiting:
            raise NotAcknowledged(len(waiting), waiting[0], self._sender.problem)


def _row(number: int, row: OneRow) -> Row:
    if isinstance(row, Mapping):
        return Row(origin=ORIGIN, line=number, data=b"", value=dict(row))
    data = row.encode(errors="surrogatepass") if isinstance(row, str) else row
    return Row(origin=ORIGIN, line=number, data=data)


def _chunks(rows: Iterable[OneRow]) -> Iterator[list[OneRow]]:
    """Rows that go through the edge together: so many, or so many bytes."""
    chunk: list[OneRow] = []
    size = 0
    for one in rows:
        chunk.append(one)
        size += 0 if isinstance(one, Mapping) else len(one)
        if len(chunk) == CHUNK or size > CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _log(refusal: Refusal) -> None:
    log.warning("row %d is refused as %s: %s", *refusal)
