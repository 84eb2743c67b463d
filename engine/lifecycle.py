"""Recording: what came is stored, known already, or set aside, and nothing is lost between.

The set of recorded touchpoints is all that a lead's state depends on, so
recording a delivery again, in whatever batches, changes nothing.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, NamedTuple, Protocol

from engine import metrics
from engine.edge import Edge, Row
from engine.errors import Refused
from engine.metrics import Verdict
from engine.privacy import WorkspaceKey
from engine.progress import Progress, quiet
from engine.store import aside, ledger
from engine.store.append import append
from engine.store.aside import Aside
from engine.store.bulk import without_collecting
from engine.store.connection import Connection
from engine.store.facts import Facts
from engine.store.ledger import Intake
from engine.touchpoint import Arrival, Encoded

RECORDED: Final = "recorded"
DUPLICATE: Final = "duplicate"
SET_ASIDE: Final = "set_aside"
_REUSED = ("id_reused", "this source and event_id are recorded with other content")

Remap = Callable[[bytes], list[Row]]  # the rows of a delivery of a mapped file; may raise Refused
Redecode = Callable[[tuple[str, int, int], bytes], Arrival]  # of topic, partition, offset; data


class Checkpoint(Protocol):
    """How far an input has been read, kept together with what it gave."""

    def keep(self, connection: Connection) -> None:
        """Write it; an error undoes the batch."""
        ...


class ImportState(NamedTuple):
    """How far an import has come."""

    key: str
    state: str  # JSON

    def keep(self, connection: Connection) -> None:
        """Write it."""
        ledger.keep_import_state(connection, self.key, self.state)


@dataclass(frozen=True)
class Recorded:
    """What became of deliveries: received = recorded + duplicates + all set aside."""

    received: int = 0
    recorded: int = 0
    duplicates: int = 0
    set_aside: Counter[str] = field(default_factory=Counter)  # by reason
    dropped: Counter[str] = field(default_factory=Counter)  # identifiers of nobody, by reason

    def __add__(self, more: "Recorded") -> "Recorded":
        return Recorded(
            self.received + more.received,
            self.recorded + more.recorded,
            self.duplicates + more.duplicates,
            self.set_aside + more.set_aside,
            self.dropped + more.dropped,
        )


def record(
    facts: Facts,
    arrivals: Sequence[Arrival],
    *,
    workspace_key: WorkspaceKey,
    checkpoint: Checkpoint | None = None,
) -> Recorded:
    """Store a batch in one transaction: all of it or, on any error, nothing.

    What was set aside does not use up its id; delivered again from the same
    place, it is a duplicate of itself.

    Raises:
        StoreFull, StoreLocked, StoreReadOnly, StoreCorrupt: See there.
    """
    begun = time.monotonic()
    with without_collecting(), facts.transaction() as connection:
        now = facts.clock()
        verdicts, fresh, refused = _sift(facts, connection, arrivals)
        _append(facts, connection, fresh, now)
        for index, why in refused:
            kept = aside.set_aside(connection, arrivals[index], why, now, workspace_key)
            verdicts[index] = SET_ASIDE if kept else DUPLICATE
        _count(connection, arrivals, verdicts)
        dropped = _count_dropped(connection, arrivals)
        if checkpoint is not None:
            checkpoint.keep(connection)
    metrics.batch(_told(arrivals, verdicts, refused), time.monotonic() - begun)
    reasons = Counter(why[0] for index, why in refused if verdicts[index] == SET_ASIDE)
    return Recorded(len(arrivals), len(fresh), verdicts.count(DUPLICATE), reasons, dropped)


def retry_aside(
    facts: Facts,
    edge: Edge,
    workspace_key: WorkspaceKey,
    remap: Remap | None = None,
    redecode: Redecode | None = None,
    *,
    progress: Progress = quiet,
) -> Recorded:
    """Send everything that waits aside through the edge again; what passes is recorded.

    An item passes whole, with all touchpoints that it stands for, or stays. Rows
    of mapped files need `remap`, messages `redecode`, without which they stay. Batch
    after batch is read and settled, each in a transaction: whatever stops it undoes
    one batch at most, and the next call goes on with what still waits.

    Returns:
        What became of the items; what stays is `set_aside`, by its first reason.
    """
    total, upto = facts.waiting_aside()
    done, last = Recorded(), 0
    while items := facts.aside_batch(last, upto):
        datas = [item.data(workspace_key) for item in items]
        rows = [_rows(*one, remap) for one in zip(items, datas, strict=True)]
        driven = _drive(rows, edge, facts.clock())
        if redecode is not None:
            _decode_again(items, datas, driven, redecode)
        with facts.transaction() as connection:
            outcomes = [
                _settle(facts, connection, item, arrivals)
                for item, arrivals in zip(items, driven, strict=True)
            ]
        done += _tried(items, outcomes)
        last = items[-1].number
        progress(done.received, total)
    return done


def _sift(
    facts: Facts, connection: Connection, arrivals: Sequence[Arrival]
) -> tuple[list[Verdict], list[Arrival], list[tuple[int, tuple[str, str]]]]:
    """A verdict each, what is new, and what is refused: its index, reason and detail."""
    ids = [_id(arrival.encoded) if arrival.encoded else None for arrival in arrivals]
    found = facts.memory.ids.find(connection, [key for key in ids if key])
    contents = {key: content.hex() for key, (content, _) in found.items()}
    verdicts: list[Verdict] = []
    fresh: list[Arrival] = []
    refused: list[tuple[int, tuple[str, str]]] = []
    for index, (arrival, key) in enumerate(zip(arrivals, ids, strict=True)):
        verdict: Verdict = DUPLICATE
        why = _REUSED
        if arrival.encoded is None or key is None:
            verdict, why = SET_ASIDE, (arrival.reason or "undecodable", arrival.detail)
        else:
            content = arrival.encoded.touchpoint.content
            known = contents.get(key)
            if known is None:
                verdict, contents[key] = RECORDED, content
                fresh.append(arrival)
            elif known != content:
                verdict = SET_ASIDE
        if verdict == SET_ASIDE:
            refused.append((index, why))
        verdicts.append(verdict)
    return verdicts, fresh, refused


def _id(encoded: Encoded) -> tuple[str, str]:
    return encoded.touchpoint.source, encoded.touchpoint.event_id


def _told(
    arrivals: Sequence[Arrival],
    verdicts: Sequence[Verdict],
    refused: Sequence[tuple[int, tuple[str, str]]],
) -> Iterator[tuple[Verdict, str | None, str | None]]:
    """Each delivery as it is counted: verdict, source, and type or reason."""
    reasons = {index: why[0] for index, why in refused}
    for index, (arrival, verdict) in enumerate(zip(arrivals, verdicts, strict=True)):
        touchpoint = arrival.encoded.touchpoint if arrival.encoded else None
        source, what = (touchpoint.source, touchpoint.type) if touchpoint else (None, None)
        yield verdict, source, reasons[index] if verdict == SET_ASIDE else what


def _append(facts: Facts, connection: Connection, fresh: Sequence[Arrival], now: int) -> None:
    encoded = [arrival.encoded for arrival in fresh if arrival.encoded]
    if encoded:
        first, last = append(connection, facts.memory, encoded)
        ledger.keep_headers(connection, first, [arrival.headers for arrival in fresh])
        ledger.stamp(connection, first, last, now)


def _count(connection: Connection, arrivals: Sequence[Arrival], verdicts: Sequence[str]) -> None:
    """Add a batch to what came, by origin."""
    origins = [arrival.origin for arrival in arrivals]
    became = Counter(zip(origins, verdicts, strict=True))
    for origin, received in Counter(origins).items():
        recorded, duplicates, kept = (
            became[origin, verdict] for verdict in (RECORDED, DUPLICATE, SET_ASIDE)
        )
        ledger.add_intake(connection, origin, Intake(received, recorded, duplicates, kept))


def _count_dropped(connection: Connection, arrivals: Sequence[Arrival]) -> Counter[str]:
    """Add the identifiers that name nobody, by origin and reason; how many they are by reason."""
    found = Counter((one.origin, reason) for one in arrivals for reason in one.dropped)
    ledger.add_dropped(connection, found)
    dropped: Counter[str] = Counter()
    for (_, reason), count in found.items():
        dropped[reason] += count
    return dropped


def _drive(rows: Sequence[Sequence[Row]], edge: Edge, now: int) -> list[list[Arrival]]:
    """What the edge now makes of the rows of each item."""
    accepted = iter(edge.accept([row for some in rows for row in some], now))
    return [list(islice(accepted, len(some))) for some in rows]


def _decode_again(
    items: Sequence[Aside],
    datas: Sequence[bytes],
    driven: list[list[Arrival]],
    redecode: Redecode,
) -> None:
    """Put in what is now made of each message."""
    for index, (item, data) in enumerate(zip(items, datas, strict=True)):
        if item.form == "message":
            driven[index] = [redecode((item.origin, item.partition, item.line), data)]


def _rows(item: Aside, data: bytes, remap: Remap | None) -> list[Row]:
    """The rows that an item stands for; none where they cannot be made."""
    if item.form == "touchpoint":
        return [Row(origin=item.origin, line=item.line, data=data)]
    if item.form == "message":
        return []
    try:
        return remap(data) if remap else []
    except Refused:
        return []


def _tried(items: Sequence[Aside], outcomes: Sequence[str]) -> Recorded:
    """What became of items; those that stay by the reason for which they came."""
    stayed = (one.reason for one, what in zip(items, outcomes, strict=True) if what == SET_ASIDE)
    recorded, duplicates = outcomes.count(RECORDED), outcomes.count(DUPLICATE)
    return Recorded(len(items), recorded, duplicates, Counter(stayed))


def _settle(facts: Facts, connection: Connection, item: Aside, arrivals: Sequence[Arrival]) -> str:
    """Record what an item stands for, if all of it passes; returns what became of the item."""
    now = facts.clock()
    if not aside.waits(connection, item.number):  # another process was quicker
        return DUPLICATE
    _, fresh, refused = _sift(facts, connection, arrivals)
    if refused or not arrivals:
        aside.mark(connection, item.number, now, None)
        return SET_ASIDE
    _append(facts, connection, fresh, now)
    outcome = RECORDED if fresh else DUPLICATE
    aside.mark(connection, item.number, now, outcome)
    known = len(arrivals) - len(fresh)
    ledger.add_intake(connection, item.origin, Intake(len(arrivals) - 1, len(fresh), known, -1))
    _count_dropped(connection, arrivals)
    return outcome
