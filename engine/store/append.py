"""Adding touchpoints: every row that one leaves, in bulk, in the transaction at hand."""

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple

from engine.aggregates.lead import Lead
from engine.history import pack
from engine.identity import originator_of
from engine.store.bulk import listed
from engine.store.connection import Connection
from engine.store.dictionary import Dictionary
from engine.store.evidence import Evidence, Pairs
from engine.store.ids import Ids, Key, Recorded, by_id
from engine.store.mapper import TOUCHPOINT_RECORDED
from engine.store.recorder import Row, insert_rows, last_position
from engine.touchpoint import NEVER_FOLDED, Encoded, Identifier, Touchpoint, precedence

NEVER_COUNTS = 0  # as `void`: left out from the beginning

_STREAM_COLUMNS = ("number", "originator", "kind", "digest", "folded_from")
_STREAMS = """
SELECT originator, number, folded_from,
    (SELECT max(originator_version) FROM stored_events WHERE originator_id = originator)
FROM streams WHERE originator IN (SELECT value FROM json_each(?))
"""
_STREAM_AT = """
(SELECT number FROM stored_events JOIN streams ON originator = originator_id
WHERE stored_events.rowid = :voided)
"""
_RETRACT = f"INSERT INTO retractions VALUES (:retraction, :source, :event_id, {_STREAM_AT})"
_VOID = f"""
UPDATE touchpoints SET void = :retraction
WHERE void IS NULL AND position = :voided AND stream = {_STREAM_AT}
"""
_VOID_LINK = "UPDATE links SET void = :retraction WHERE void IS NULL AND position = :voided"


class OpenStream:
    """An identifier that a batch names, and its stream."""

    __slots__ = ("begun", "folded_from", "lead", "new", "number", "who")

    def __init__(self, number: int, who: Identifier, lead: Lead, folded_from: int | None) -> None:
        self.number = number
        self.who = who
        self.lead = lead
        self.folded_from = folded_from  # position of its first touchpoint of a folded type
        self.begun = False  # which is in this batch
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
    named = [_named(encoded.touchpoint) for encoded in batch]
    opened = _open_streams(connection, named)
    voids = _voids(connection, batch)
    rows = Rows(memory)
    for position, (encoded, who) in enumerate(zip(batch, named, strict=True), first):
        touchpoint = encoded.touchpoint
        void = voids.get((touchpoint.source, touchpoint.event_id)) if voids else None
        rows.add(position, encoded, [opened[originator_of(one)] for one in who], void)
    _write_streams(connection, opened.values())
    rows.insert(connection)
    return first, first + len(batch) - 1


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
        self._events: list[Row] = []
        self._ids: list[tuple[Key, Recorded]] = []
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
        self._events.append(
            (position, into.lead.originator, version, TOUCHPOINT_RECORDED, bytearray(encoded.data))
        )
        what = bytes.fromhex(touchpoint.content), position
        self._ids.append(((touchpoint.source, touchpoint.event_id), what))
        if len(numbers) > 1:
            who = [(one.who, one.number) for one in named]
            self._evidence.add(position, touchpoint, who, void)
        if touchpoint.type in NEVER_FOLDED:
            void = NEVER_COUNTS
            self._add_retraction(position, touchpoint)
        elif into.folded_from is None:
            into.folded_from = position
            into.begun = True
        packed = bytearray(pack(touchpoint, self._memory.dictionary, numbers[1:]))
        if void is None:
            self._counting.append((number, position, packed))
        else:
            self._void.append((number, position, void, packed))

    def insert(self, connection: Connection) -> None:
        """Write all of it; then let the batch's own retractions void what they name."""
        insert_rows(connection, self._events)
        self._memory.ids.add(connection, self._ids)
        add = connection.add_rows
        self._counting.sort(key=itemgetter(0))  # in the order of the table: fewer pages at once
        add("touchpoints", ("stream", "position", "packed"), self._counting)
        add("touchpoints", ("stream", "position", "void", "packed"), self._void)
        self._evidence.insert(connection, self._memory.pairs)
        if self._retractions:
            self._retract(connection, self._memory.ids)

    def _retract(self, connection: Connection, ids: Ids) -> None:
        found = ids.find(connection, {key for _, key in self._retractions})
        rows = []
        for position, key in self._retractions:
            names = {"retraction": position, "source": key[0], "event_id": key[1]}
            rows.append({**names, "voided": found[key][1] if key in found else None})
        connection.executemany(_RETRACT, rows)
        for statement in (_VOID, _VOID_LINK):
            connection.executemany(statement, rows)

    def _add_retraction(self, position: int, touchpoint: Touchpoint) -> None:
        if touchpoint.type == "touchpoint_retracted":
            named = touchpoint.attributes
            self._retractions.append((position, (str(named["source"]), str(named["event_id"]))))


def _open_streams(
    connection: Connection, batch: Iterable[Sequence[Identifier]]
) -> dict[str, OpenStream]:
    """All that a batch names by originator, each with a number; new ones are not written yet."""
    named = {originator_of(who): who for some in batch for who in some}
    opened = {}
    rows = connection.execute(_STREAMS, (listed(named),))
    for originator, number, folded_from, version in rows:
        lead = Lead(originator, version or 0)
        opened[originator] = OpenStream(number, named[originator], lead, folded_from)
    last: int = connection.execute("SELECT coalesce(max(number), 0) FROM streams").fetchone()[0]
    new = [originator for originator in named if originator not in opened]
    for number, originator in enumerate(new, last + 1):
        opened[originator] = OpenStream(number, named[originator], Lead(originator), None)
        opened[originator].new = True
    return opened


def _write_streams(connection: Connection, opened: Iterable[OpenStream]) -> None:
    """Add the streams that are new; note in old ones the first touchpoint that is folded."""
    new, begun = [], []
    for stream in opened:
        if stream.new:
            who = stream.who
            row = (stream.number, stream.lead.originator, who.kind, who.digest, stream.folded_from)
            new.append(row)
        elif stream.begun:
            begun.append((stream.folded_from, stream.number))
    connection.add_rows("streams", _STREAM_COLUMNS, new)
    connection.executemany("UPDATE streams SET folded_from = ? WHERE number = ?", begun)


def _voids(connection: Connection, batch: Sequence[Encoded]) -> dict[Key, int]:
    """The first earlier retraction of each touchpoint that has one."""
    if not connection.execute("SELECT EXISTS (SELECT 1 FROM retractions)").fetchone()[0]:
        return {}
    keys = [(encoded.touchpoint.source, encoded.touchpoint.event_id) for encoded in batch]
    voids: dict[Key, int] = {}
    for key, (position,) in by_id(connection, "position FROM retractions", keys):
        voids[key] = min(position, voids.get(key, position))
    return voids
