"""Adding touchpoints: every row that one leaves, in bulk, in the transaction at hand."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from engine.aggregates.lead import Lead
from engine.history import pack
from engine.identity import originator_of
from engine.store.bulk import listed
from engine.store.dictionary import Dictionary
from engine.store.mapper import TOUCHPOINT_RECORDED
from engine.store.recorder import Row, insert_rows, last_position
from engine.touchpoint import NEVER_FOLDED, Encoded, Identifier, Touchpoint

Key = tuple[str, str]  # source and event id of a touchpoint
NEVER_COUNTS = 0  # as `void`: left out from the beginning

_RELATIONS = {"identity_linked": 1, "identity_unlinked": 2}
_STREAMS = """
SELECT originator, number, folded_from,
    (SELECT ifnull(max(originator_version), 0) FROM stored_events WHERE originator_id = originator)
FROM streams WHERE originator IN (SELECT value FROM json_each(?))
"""
_VOID = """
UPDATE {} SET void = :position WHERE void IS NULL AND (stream, position) =
    (SELECT stream, position FROM ids WHERE source = :source AND event_id = :event_id)
"""


class OpenStream:
    """A stream that a batch adds to."""

    __slots__ = ("begun", "folded_from", "lead", "new", "number", "who")

    def __init__(self, number: int, who: Identifier, lead: Lead, folded_from: int | None) -> None:
        self.number = number
        self.who = who
        self.lead = lead
        self.folded_from = folded_from  # position of its first touchpoint of a folded type
        self.begun = False  # which is in this batch
        self.new = False


def contents_of(connection: sqlite3.Connection, keys: Iterable[Key]) -> dict[Key, str]:
    """The content digests recorded under these ids; ids that are new are left out."""
    return {key: content.hex() for key, content in _by_id(connection, "content FROM ids", keys)}


def append(
    connection: sqlite3.Connection, dictionary: Dictionary, batch: Sequence[Encoded]
) -> tuple[int, int]:
    """Add touchpoints whose ids are all new and all different.

    Returns:
        The first and the last position that they got.
    """
    first = last_position(connection) + 1
    streams = [encoded.touchpoint.stream for encoded in batch]
    opened = _open_streams(connection, streams)
    voids = _voids(connection, batch)
    rows = Rows(dictionary)
    for position, (encoded, stream) in enumerate(zip(batch, streams, strict=True), first):
        touchpoint = encoded.touchpoint
        void = voids.get((touchpoint.source, touchpoint.event_id)) if voids else None
        rows.add(position, encoded, stream, opened[originator_of(stream)], void)
    _write_streams(connection, opened.values())
    rows.insert(connection)
    return first, first + len(batch) - 1


class Rows:
    """What a batch adds, table by table."""

    def __init__(self, dictionary: Dictionary) -> None:
        self._dictionary = dictionary
        self._events: list[Row] = []
        self._ids: list[tuple[str, str, bytes, int, int]] = []
        self._touchpoints: list[tuple[int, int, int | None, bytes]] = []
        self._evidence: list[tuple[int, str, str, int, int, int | None]] = []
        self._retractions: list[dict[str, object]] = []

    def add(
        self,
        position: int,
        encoded: Encoded,
        stream: Identifier,
        into: OpenStream,
        void: int | None,
    ) -> None:
        """One touchpoint; `void` is the position of an earlier retraction that names it."""
        touchpoint = encoded.touchpoint
        number = into.number
        version = into.lead.record(stream)
        source, event_id = touchpoint.source, touchpoint.event_id
        self._events.append(
            (position, into.lead.originator, version, TOUCHPOINT_RECORDED, encoded.data)
        )
        self._ids.append((source, event_id, bytes.fromhex(touchpoint.content), number, position))
        if len(touchpoint.identifiers) > 1:
            self._add_evidence(position, touchpoint, number, void)
        if touchpoint.type in NEVER_FOLDED:
            void = NEVER_COUNTS
            self._add_retraction(position, touchpoint)
        elif into.folded_from is None:
            into.folded_from = position
            into.begun = True
        self._touchpoints.append((number, position, void, pack(touchpoint, self._dictionary)))

    def insert(self, connection: sqlite3.Connection) -> None:
        """Write all of it; then let the batch's own retractions void what they name."""
        insert_rows(connection, self._events)
        many = connection.executemany
        many("INSERT INTO ids VALUES (?, ?, ?, ?, ?)", self._ids)
        many("INSERT INTO touchpoints VALUES (?, ?, ?, ?)", self._touchpoints)
        many("INSERT INTO evidence VALUES (?, ?, ?, ?, ?, ?)", self._evidence)
        many("INSERT INTO retractions VALUES (:position, :source, :event_id)", self._retractions)
        for table in ("touchpoints", "evidence"):
            many(_VOID.format(table), self._retractions)

    def _add_evidence(
        self, position: int, touchpoint: Touchpoint, number: int, void: int | None
    ) -> None:
        relation = _RELATIONS.get(touchpoint.type, 0)
        self._evidence.extend(
            (position, who.kind, who.digest, relation, number, void)
            for who in dict.fromkeys(touchpoint.identifiers)
        )

    def _add_retraction(self, position: int, touchpoint: Touchpoint) -> None:
        if touchpoint.type == "touchpoint_retracted":
            names = {name: touchpoint.attributes[name] for name in ("source", "event_id")}
            self._retractions.append({"position": position, **names})


def _open_streams(
    connection: sqlite3.Connection, streams: Sequence[Identifier]
) -> dict[str, OpenStream]:
    """The streams of a batch by originator, each with a number; new ones are not written yet."""
    named = {originator_of(stream): stream for stream in streams}
    opened = {
        originator: OpenStream(number, named[originator], Lead(originator, version), folded_from)
        for originator, number, folded_from, version in connection.execute(
            _STREAMS, (listed(named),)
        )
    }
    last: int = connection.execute("SELECT ifnull(max(number), 0) FROM streams").fetchone()[0]
    new = [originator for originator in named if originator not in opened]
    for number, originator in enumerate(new, last + 1):
        opened[originator] = OpenStream(number, named[originator], Lead(originator), None)
        opened[originator].new = True
    return opened


def _write_streams(connection: sqlite3.Connection, opened: Iterable[OpenStream]) -> None:
    """Add the streams that are new; note in old ones the first touchpoint that is folded."""
    new, begun = [], []
    for stream in opened:
        if stream.new:
            who = stream.who
            row = (stream.number, stream.lead.originator, who.kind, who.digest, stream.folded_from)
            new.append(row)
        elif stream.begun:
            begun.append((stream.folded_from, stream.number))
    connection.executemany("INSERT INTO streams VALUES (?, ?, ?, ?, ?)", new)
    connection.executemany("UPDATE streams SET folded_from = ? WHERE number = ?", begun)


def _voids(connection: sqlite3.Connection, batch: Sequence[Encoded]) -> dict[Key, int]:
    """The first earlier retraction of each touchpoint that has one."""
    if not connection.execute("SELECT EXISTS (SELECT 1 FROM retractions)").fetchone()[0]:
        return {}
    keys = [(encoded.touchpoint.source, encoded.touchpoint.event_id) for encoded in batch]
    voids: dict[Key, int] = {}
    for key, position in _by_id(connection, "position FROM retractions", keys):
        voids[key] = min(position, voids.get(key, position))
    return voids


def _by_id(
    connection: sqlite3.Connection, what: str, keys: Iterable[Key]
) -> Iterable[tuple[Key, Any]]:
    """A column of the rows with these ids, source by source: one statement binds all of one."""
    by_source: dict[str, list[str]] = {}
    for source, event_id in keys:
        by_source.setdefault(source, []).append(event_id)
    statement = (
        f"SELECT event_id, {what} WHERE source = ? AND event_id IN (SELECT value FROM json_each(?))"
    )
    for source, event_ids in by_source.items():
        for event_id, value in connection.execute(statement, (source, listed(event_ids))):
            yield (source, event_id), value
