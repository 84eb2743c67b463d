"""Adding touchpoints: every row that one leaves, in bulk, in the transaction at hand."""

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple

from engine.aggregates.lead import Lead
from engine.history import pack
from engine.identity import number_of, originator_of, recorded_before
from engine.store.bulk import listed
from engine.store.connection import Connection
from engine.store.dictionary import Dictionary
from engine.store.evidence import LINKED, Evidence, Pairs
from engine.store.ids import Ids, Key, Recorded, by_id
from engine.store.mapper import TOUCHPOINT_RECORDED
from engine.store.recorder import Row, insert_rows, last_position
from engine.touchpoint import NEVER_FOLDED, Encoded, Identifier, Touchpoint, precedence

NEVER_COUNTS = 0  # as `void`: left out from the beginning

_STREAM_COLUMNS = ("number", "originator", "kind", "digest")
_NUMBERS = (
    "SELECT originator, number FROM streams WHERE originator IN (SELECT value FROM json_each(?))"
)
_VERSIONS = """
SELECT originator,
    (SELECT max(originator_version) FROM stored_events WHERE originator_id = originator)
FROM streams WHERE originator IN (SELECT value FROM json_each(?))
"""
_STREAM_AT = """
SELECT number FROM stored_events JOIN streams ON originator = originator_id
WHERE stored_events.rowid = ?
"""
_RETRACT = "INSERT INTO retractions VALUES (:retraction, :source, :event_id, :stream)"
_VOID = """
UPDATE touchpoints SET void = :retraction
WHERE void IS NULL AND position = :voided AND stream = :stream
"""
_VOID_LINK = "UPDATE links SET void = :retraction WHERE void IS NULL AND position = :voided"


class OpenStream:
    """An identifier that a batch names, and its stream."""

    __slots__ = ("lead", "new", "number", "who")

    def __init__(self, number: int, who: Identifier, lead: Lead) -> None:
        self.number = number
        self.who = who
        self.lead = lead
        self.new = False


class Memory(NamedTuple):
    """What the one who writes remembers from batch to batch."""

    dictionary: Dictionary
    ids: Ids
    pairs: Pairs

    def forget(self) -> None:
        """Empty it: a transaction was undone."""
        self.dictionary.forget()
        self.ids.forget()
        self.pairs.forget()


def append(connection: Connection, memory: Memory, batch: Sequence[Encoded]) -> tuple[int, int]:
    """Add touchpoints whose ids are all new and all different.

    Returns:
        The first and the last position that they got.
    """
    first = last_position(connection) + 1
    placed = list(enumerate(batch, first))
    events = add_derived(connection, memory, placed)
    insert_rows(connection, events)
    memory.ids.add(connection, [_id(position, encoded.touchpoint) for position, encoded in placed])
    return first, first + len(batch) - 1


def add_derived(
    connection: Connection, memory: Memory, placed: Sequence[tuple[int, Encoded]]
) -> list[Row]:
    """Add all that is kept of touchpoints but their events and ids: whatever can be made again.

    Args:
        connection: In a transaction that writes.
        memory: What was remembered of the batches before.
        placed: Touchpoints by position, ascending; what came before them is there already.

    Returns:
        The events, each in the next version of its stream.
    """
    named = [_named(encoded.touchpoint) for _, encoded in placed]
    opened = _open_streams(connection, named)
    voids = _voids(connection, [encoded for _, encoded in placed])
    rows = Rows(memory)
    for (position, encoded), who in zip(placed, named, strict=True):
        touchpoint = encoded.touchpoint
        void = voids.get((touchpoint.source, touchpoint.event_id)) if voids else None
        rows.add(position, encoded, [opened[originator_of(one)] for one in who], void)
        if touchpoint.type == "touchpoint_retracted":
            voids.setdefault(_retracted(touchpoint), position)
    _write_streams(connection, opened.values())
    rows.insert(connection)
    return rows.events


def _id(position: int, touchpoint: Touchpoint) -> tuple[Key, Recorded]:
    return (touchpoint.source, touchpoint.event_id), (bytes.fromhex(touchpoint.content), position)


def _retracted(touchpoint: Touchpoint) -> Key:
    named = touchpoint.attributes
    return str(named["source"]), str(named["event_id"])


def _named(touchpoint: Touchpoint) -> Sequence[Identifier]:
    """Its identifiers by precedence, its stream's first; of what names nobody just that."""
    if len(touchpoint.identifiers) > 1:
        return sorted(set(touchpoint.identifiers), key=precedence)
    return (touchpoint.stream,)


class Rows:
    """What a batch adds, table by table.

    No None and no bytes where there are many: Python would look for adapters of each.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.events: list[Row] = []
        self._places: dict[Key, tuple[int, int]] = {}  # position and stream
        self._counting: list[tuple[int, int, bytearray]] = []
        self._void: list[tuple[int, int, int, bytearray]] = []
        self._evidence = Evidence()
        self._retractions: list[tuple[int, Key]] = []

    def add(
        self,
        position: int,
        encoded: Encoded,
        named: Sequence[OpenStream],
        void: int | None,
    ) -> None:
        """One touchpoint; `void` is the position of an earlier retraction that names it.

        `named` are those whom it names, the one that it goes to first.
        """
        touchpoint, into = encoded.touchpoint, named[0]
        numbers = [one.number for one in named]
        number = into.number
        version = into.lead.record(into.who)
        self.events.append(
            (position, into.lead.originator, version, TOUCHPOINT_RECORDED, bytearray(encoded.data))
        )
        self._places[touchpoint.source, touchpoint.event_id] = position, number
        if touchpoint.type in LINKED:
            self._evidence.add_link(position, numbers, touchpoint, void)
        elif len(numbers) > 1 and touchpoint.type not in NEVER_FOLDED:
            self._evidence.add(position, numbers)
        if touchpoint.type in NEVER_FOLDED:
            void = NEVER_COUNTS
            if touchpoint.type == "touchpoint_retracted":
                self._retractions.append((position, _retracted(touchpoint)))
        packed = bytearray(pack(touchpoint, self._memory.dictionary, numbers[1:]))
        if void is None:
            self._counting.append((number, position, packed))
        else:
            self._void.append((number, position, void, packed))

    def insert(self, connection: Connection) -> None:
        """Write all of it; then let the batch's own retractions void what they name."""
        add = connection.add_rows
        self._counting.sort(key=itemgetter(0))  # in the order of the table: fewer pages at once
        add("touchpoints", ("stream", "position", "packed"), self._counting)
        add("touchpoints", ("stream", "position", "void", "packed"), self._void)
        self._evidence.insert(connection, self._memory.pairs)
        if self._retractions:
            self._retract(connection)

    def _retract(self, connection: Connection) -> None:
        found = self._memory.ids.find(connection, {key for _, key in self._retractions})
        rows = []
        for retraction, key in self._retractions:
            voided, stream = self._places.get(key) or _place(connection, found.get(key))
            if voided is not None and voided > retraction:  # it is void as it comes
                voided = stream = None
            names = {"retraction": retraction, "source": key[0], "event_id": key[1]}
            rows.append({**names, "voided": voided, "stream": stream})
        connection.executemany(_RETRACT, rows)
        for statement in (_VOID, _VOID_LINK):
            connection.executemany(statement, rows)


def _place(connection: Connection, known: Recorded | None) -> tuple[int | None, int | None]:
    """Position and stream of a recorded touchpoint; None twice where there is none."""
    if known is None:
        return None, None
    position = known[1]
    row = connection.execute(_STREAM_AT, (position,)).fetchone()
    return position, row[0] if row else None


def _open_streams(
    connection: Connection, batch: Sequence[Sequence[Identifier]]
) -> dict[str, OpenStream]:
    """All that a batch names by originator, each with a number; new ones are not written yet."""
    named = {originator_of(who): who for some in batch for who in some}
    added_to = {originator_of(some[0]) for some in batch}
    versions = dict(connection.execute(_VERSIONS, (listed(added_to),)))
    opened = {}
    for originator, number in connection.execute(_NUMBERS, (listed(named),)):
        lead = Lead(originator, versions.get(originator) or 0)
        opened[originator] = OpenStream(number, named[originator], lead)
    last = connection.execute("SELECT coalesce(max(number), 0) FROM streams").fetchone()[0]
    new = [originator for originator in named if originator not in opened]
    for before, originator in enumerate(new, recorded_before(last) + 1):
        who = named[originator]
        opened[originator] = OpenStream(number_of(before, who.kind), who, Lead(originator))
        opened[originator].new = True
    return opened


def _write_streams(connection: Connection, opened: Iterable[OpenStream]) -> None:
    """Add those that are new."""
    new = [
        (one.number, one.lead.originator, one.who.kind, one.who.digest) for one in opened if one.new
    ]
    connection.add_rows("streams", _STREAM_COLUMNS, new)


def _voids(connection: Connection, batch: Sequence[Encoded]) -> dict[Key, int]:
    """The first earlier retraction of each touchpoint that has one."""
    if not connection.execute("SELECT EXISTS (SELECT 1 FROM retractions)").fetchone()[0]:
        return {}
    keys = [(encoded.touchpoint.source, encoded.touchpoint.event_id) for encoded in batch]
    voids: dict[Key, int] = {}
    for key, (position,) in by_id(connection, "position FROM retractions", keys):
        voids[key] = min(position, voids.get(key, position))
    return voids
