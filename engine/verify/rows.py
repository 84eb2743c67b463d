"""Whether the rows beside the events are those that recording the events again would write."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.identity import number_of, originator_of, recorded_before
from engine.store.append import Memory, add_derived
from engine.store.bulk import listed
from engine.store.connection import Connection, Cursor
from engine.store.dictionary import Dictionary, StoredStrings
from engine.store.evidence import Pair, Pairs
from engine.store.ids import Ids
from engine.touchpoint import Encoded, Identifier, precedence
from engine.verify.events import Placed
from engine.verify.packed import differing, fields_of
from engine.verify.scope import Difference, Scope

NOT_KEPT = -1  # as the number of a text that the dictionary does not have
KNOWN_PAIRS = 1 << 18  # remembered, not to be looked up again
_LIST = "IN (SELECT value FROM json_each(:asked))"
_WITHIN = "position BETWEEN :first AND :last"
_STORED = {
    "touchpoints": ("stream", "position", "void", "packed"),
    "evidence": ("identifier", "position", "stream"),
    "links": (
        *("identifier", "position", "other", "linked"),
        *("occurred_at", "sequence", "source", "event_id", "void"),
    ),
    "retractions": ("position", "source", "event_id", "stream"),
}
_WHERE = {
    "touchpoints": f"stream {_LIST} AND {_WITHIN}",
    "evidence": f"identifier {_LIST} AND {_WITHIN}",
    "links": f"position {_LIST}",
    "retractions": f"position {_LIST}",
}
_KEYS = {"touchpoints": 2, "evidence": 2, "links": 2, "retractions": 1}  # columns
_CALLED = {
    "touchpoints": "the packed row",
    "evidence": "what is kept of whom else it names",
    "links": "what is kept of whom it is about",
    "retractions": "what is kept of which touchpoint it takes back",
}
_IDENTIFIERS = """
SELECT originator, number, kind, digest FROM streams
WHERE originator IN (SELECT value FROM json_each(?))
"""
_PAIR = "SELECT position, stream FROM pairs WHERE identifier = ? AND other = ?"
_BEYOND = "SELECT number, kind, digest FROM streams WHERE number >= ? ORDER BY number"

Row = dict[str, Any]  # by column
Rows = dict[tuple[Any, ...], Row]  # by key


class RowChecks:
    """Records events again, batch by batch, all but for the writing, and compares."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._dictionary, self._ids = _Known(scope.facts.strings), Ids()
        self._pairs: set[Pair] = set()
        self._told: set[str] = set()  # streams of which something was told
        self._named = 0  # how many identifiers were named so far

    def check(self, scope: Scope, placed: Sequence[Placed]) -> None:
        """All that stands beside some events."""
        if not placed:
            return
        self._check_identifiers(placed)
        self._dictionary.bind(scope.connection)
        written, pairs = _Written(scope.connection), _Seen()
        again = [(one.position, Encoded(one.touchpoint, one.data)) for one in placed]
        add_derived(written, Memory(self._dictionary, self._ids, pairs), again)
        by_position = {one.position: one for one in placed}
        for table in _STORED:
            self._compare(table, written.rows(table), by_position)
        self._check_pairs(pairs, by_position)

    def check_end(self) -> None:
        """That there are no identifiers but those that were named."""
        beyond = (number_of(self._named + 1, "crm_id"),)
        for number, kind, digest in self._scope.connection.execute(_BEYOND, beyond).fetchall():
            what = f"no touchpoint names the {kind} numbered {recorded_before(number)}"
            self._scope.tell(Difference("rows", what, stored={"kind": kind, "digest": digest}))

    def _compare(self, table: str, expected: Rows, placed: Mapping[int, Placed]) -> None:
        stored = self._stored(table, expected, placed)
        self._scope.checked["rows"] += len(expected)
        for key in expected.keys() | stored.keys():
            if stored.get(key) != expected.get(key):
                self._tell(table, key, (stored.get(key), expected.get(key)), placed)

    def _stored(self, table: str, expected: Rows, placed: Mapping[int, Placed]) -> Rows:
        """What is there at these positions; where an identifier leads to it, of those expected."""
        by_position = table in ("links", "retractions")
        asked = placed if by_position else {key[0] for key in expected}
        columns = _STORED[table]
        values = {"asked": listed([*asked]), "first": min(placed), "last": max(placed)}
        found = self._scope.connection.execute(
            f"SELECT {', '.join(columns)} FROM {table} WHERE {_WHERE[table]}", values
        )
        rows = _keyed(table, (dict(zip(columns, row, strict=True)) for row in found))
        return {
            key: row
            for key, row in rows.items()
            if key in expected or (by_position and row["position"] in placed)
        }

    def _tell(
        self,
        table: str,
        key: tuple[Any, ...],
        rows: tuple[Row | None, Row | None],
        placed: Mapping[int, Placed],
    ) -> None:
        one = placed[key[0] if table == "retractions" else key[1]]
        stored, expected = (fields_of(row, self._scope.facts.strings) for row in rows)
        what = f"{_CALLED[table]} of {one} differs"
        if stored is None or expected is None:
            state = "missing" if stored is None else "there, though its event says no such thing"
            what = f"{_CALLED[table]} of {one} is {state}"
        else:
            stored, expected = differing(stored, expected)
            if not stored:  # the same, packed otherwise
                stored, expected = ({"packed": row["packed"].hex()} for row in rows if row)
            if expected.keys() == {"void"}:
                what = f"the mark of what voids {one} is not that of its retraction"
        lead = self._scope.lead_at(one.stream, one.position)
        self._scope.tell(Difference("rows", what, lead, one.position, stored, expected))

    def _check_identifiers(self, placed: Sequence[Placed]) -> None:
        """Each identifier is kept as it is named, numbered in the order of being named first."""
        named: dict[str, tuple[Identifier, Placed]] = {}
        for one in placed:
            for who in _named(one):
                named.setdefault(originator_of(who), (who, one))
        found = self._scope.connection.execute(_IDENTIFIERS, (listed([*named]),))
        kept = {originator: tuple(row) for originator, *row in found}
        self._scope.checked["identifiers"] += len(named)
        for originator, (who, one) in named.items():
            self._check_identifier(who, one, kept.get(originator))

    def _check_identifier(self, who: Identifier, one: Placed, kept: tuple[Any, ...] | None) -> None:
        number = kept[0] if kept else 0
        expected = (number_of(recorded_before(number), who.kind), who.kind, who.digest)
        if kept != expected:
            self._tell_identifier(who, one, f"the {who.kind} that {one} names is kept as another")
        if self._scope.lead is not None or not kept:
            return
        due = self._named + 1
        self._named = max(self._named, recorded_before(number))
        if self._named > due:
            what = f"{one} names the identifier numbered {self._named} where {due} was due"
            self._tell_identifier(who, one, what)

    def _tell_identifier(self, who: Identifier, one: Placed, what: str) -> None:
        if who.digest in self._told:
            return
        self._told.add(who.digest)
        lead = self._scope.lead_at(one.stream, one.position)
        expected = {"kind": who.kind, "digest": who.digest}
        self._scope.tell(Difference("rows", what, lead, one.position, None, expected))

    def _check_pairs(self, seen: "_Seen", placed: Mapping[int, Placed]) -> None:
        """Who stands together on a touchpoint is kept, with the first touchpoint of both."""
        if len(self._pairs) > KNOWN_PAIRS:
            self._pairs.clear()
        for pair, (position, stream) in seen.pairs:
            if pair in self._pairs:
                continue
            self._pairs.add(pair)
            kept = self._scope.connection.execute(_PAIR, pair).fetchone()
            if kept is None or kept[0] > position or (kept[0] == position and kept[1] != stream):
                one = placed[position]
                what = f"what is kept of two who stand together on {one} is not of this touchpoint"
                lead = self._scope.lead_at(stream, position)
                expected = {"position": position, "stream": stream}
                stored = None if kept is None else {"position": kept[0], "stream": kept[1]}
                self._scope.tell(Difference("rows", what, lead, position, stored, expected))


def _named(one: Placed) -> Sequence[Identifier]:
    """Whom a touchpoint names, by precedence; of what names nobody its stream."""
    identifiers = sorted(set(one.touchpoint.identifiers), key=precedence)
    return identifiers or (one.touchpoint.stream,)


def _keyed(table: str, rows: Iterable[Row]) -> Rows:
    key = _STORED[table][: _KEYS[table]]
    return {tuple(row[column] for column in key): row for row in rows}


class _Seen(Pairs):
    """Who stands together, and where; each as often as it comes."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs: list[tuple[Pair, tuple[int, int]]] = []  # with position and stream

    def add(self, connection: Connection, seen: Iterable[tuple[Pair, tuple[int, int]]]) -> None:
        """Keep them."""
        self.pairs += seen


class _Known(Dictionary):
    """The dictionary as it is: a text that it does not have gets no number."""

    def __init__(self, strings: StoredStrings) -> None:
        super().__init__()
        self._strings = strings

    def __missing__(self, text: str) -> int:
        self[text] = number = self._strings.ids([text])[0] or NOT_KEPT
        return number


class _Written:
    """A connection that reads, and keeps what it is told to write."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: dict[str, list[Row]] = defaultdict(list)

    @property
    def dialect(self) -> str:
        return self._connection.dialect

    def execute(self, sql: str, parameters: Any = (), /) -> Cursor:
        return self._connection.execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> None:
        """Retractions, and what they void, which the rows say already."""
        self._rows["retractions"] = [
            {
                "position": row["retraction"],
                "source": row["source"],
                "event_id": row["event_id"],
                "stream": row["stream"],
            }
            for row in parameters
        ]

    def add_rows(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        for row in rows:
            given = dict(zip(columns, row, strict=True))
            if table == "touchpoints":
                given |= {"void": given.get("void"), "packed": bytes(given["packed"])}
            self._rows[table].append(given)

    def take_time(self) -> None:
        """Nothing is written."""

    def rows(self, table: str) -> Rows:
        """What a table would have got, by key."""
        return _keyed(table, self._rows[table])
