"""The tables of the facts, declared once for SQLite and PostgreSQL.

`stored_events` is the table of the eventsourcing library, to the letter. The position of
an event is its rowid in SQLite and its `notification_id` in PostgreSQL. Everything else is
written in the same transaction.

SQLAlchemy takes a while to load: engine/store/schema.py asks for this module only where
tables are made.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.types import TypeEngine

from engine.store.dialects import dialect_of

METADATA = MetaData()
EVENTS: Mapping[str, Sequence[str]] = {
    "sqlite": (
        "CREATE TABLE IF NOT EXISTS stored_events ("
        "originator_id TEXT, "
        "originator_version INTEGER, "
        "topic TEXT, "
        "state BLOB, "
        "PRIMARY KEY "
        "(originator_id, originator_version))",
    ),
    "postgresql": (
        "CREATE TABLE IF NOT EXISTS stored_events ("
        "originator_id uuid NOT NULL, "
        "originator_version bigint NOT NULL, "
        "topic text, "
        "state bytea, "
        "notification_id bigserial, "
        "PRIMARY KEY "
        "(originator_id, originator_version)) "
        "WITH ("
        "    autovacuum_enabled = true,"
        "    autovacuum_vacuum_threshold = 100000000,"
        "    autovacuum_vacuum_scale_factor = 0.5,"
        "    autovacuum_analyze_threshold = 1000,"
        "    autovacuum_analyze_scale_factor = 0.01"
        ")",
        "CREATE UNIQUE INDEX IF NOT EXISTS stored_events_notification_id_idx "
        "ON stored_events (notification_id ASC)",
    ),
}

_NUMBER = BigInteger().with_variant(Integer(), "sqlite")
_TEXT = Text().with_variant(Text(collation="C"), "postgresql")  # by its bytes, as SQLite compares
_ORIGINATOR = Text().with_variant(Uuid(), "postgresql")  # as `stored_events` has it
_BYTES = LargeBinary()


def statements(dialect: str) -> list[str]:
    """What makes all tables and indexes, in the words of "sqlite" or "postgresql"."""
    return [*EVENTS[dialect], *_declared(dialect_of(dialect))]


def names() -> set[str]:
    """Every column as table.column, and every index, as PostgreSQL has them."""
    events = ("originator_id", "originator_version", "topic", "state", "notification_id")
    found = {f"stored_events.{column}" for column in events}
    found.add("stored_events_notification_id_idx")
    for table in METADATA.sorted_tables:
        found |= {f"{table.name}.{column.name}" for column in table.columns}
        found |= {str(index.name) for index in table.indexes}
    return found


def _declared(dialect: Dialect) -> Iterator[str]:
    for table in METADATA.sorted_tables:
        yield str(CreateTable(table).compile(dialect=dialect)).strip()
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            yield str(CreateIndex(index).compile(dialect=dialect))


def _key(name: str, kind: TypeEngine[Any] = _NUMBER) -> Column[Any]:
    return Column(name, kind, primary_key=True, autoincrement=False)


def _counted(name: str) -> Column[Any]:
    """A key that the database counts up by itself, unless it is given."""
    return Column(name, _NUMBER, Identity(always=False), primary_key=True)


def _column(name: str, kind: TypeEngine[Any] = _NUMBER, *parts: ForeignKey) -> Column[Any]:
    return Column(name, kind, *parts, nullable=False)


def _unique(name: str, kind: TypeEngine[Any] = _TEXT) -> Column[Any]:
    return Column(name, kind, nullable=False, unique=True)


def _maybe(name: str, kind: TypeEngine[Any] = _NUMBER) -> Column[Any]:
    return Column(name, kind)


def _by_key(name: str, *parts: Column[Any] | Index) -> Table:
    """A table that SQLite keeps in the order of its key, without a rowid beside."""
    return Table(name, METADATA, *parts, sqlite_with_rowid=False)


def _by_number(name: str, *parts: Column[Any] | Index) -> Table:
    """A table whose key is one number; in SQLite that is its rowid."""
    return Table(name, METADATA, *parts)


_by_number(  # every identifier, and what else has a stream; most have one
    "streams",
    _key("number"),  # tells its kind, and in which order it was first recorded: engine/identity.py
    _unique("originator", _ORIGINATOR),  # the first 128 bits of the digest; SQLite: in hex
    _column("kind", _TEXT),
    _column("digest", _TEXT),
)
_by_key(
    "ids",
    _key("source", _TEXT),
    _key("event_id", _TEXT),
    _column("content", _BYTES),
    _column("position"),
)
_by_number(  # those that are not in `ids` yet: see engine/store/ids.py
    "recent_ids",
    _key("position"),
    _column("source", _TEXT),
    _column("event_id", _TEXT),
    _column("content", _BYTES),
)
_by_key(
    "touchpoints",
    _key("stream"),
    _key("position"),
    _maybe("void"),  # position from which on it is left out; 0: never folded
    _column("packed", _BYTES),  # see engine/history.py
)
_by_number(
    "recordings",
    _key("first"),  # position
    _column("last"),
    _column("recorded_at"),  # microseconds, UTC, never falling
    Index("recordings_at", "recorded_at", "last"),
)
_by_number(
    "retractions",
    _key("position"),
    _column("source", _TEXT),  # of the touchpoint that it voids
    _column("event_id", _TEXT),
    _maybe("stream"),  # of that touchpoint, where it came first
    Index("retractions_of", "source", "event_id", "position"),
)
_by_key(  # identifiers that touchpoints name besides that of their stream
    "evidence",
    _key("identifier"),  # a number of `streams`
    _key("position"),
    _column("stream"),
)
_by_key(  # strong identifiers that stand together on a touchpoint or a link; both ways round
    "pairs",
    _key("identifier"),
    _key("other"),
    _column("stream"),  # of the first touchpoint that names both
    _column("position"),
)
_by_key(  # links and unlinks by hand or of a CRM; both ways round
    "links",
    _key("identifier"),
    _key("position"),
    _column("other"),
    _column("linked"),  # 1; 0: unlinked
    _column("occurred_at"),  # its place in happening order
    _column("sequence"),
    _column("source", _TEXT),
    _column("event_id", _TEXT),
    _maybe("void"),  # position of the retraction
    Index("links_at", "position"),
    Index("links_void", "void"),
)
_by_number("strings", _counted("id"), _unique("text"))
_by_key("data_keys", _key("key_id", _TEXT), _column("wrapped", _BYTES))
_by_key(
    "key_marks",
    _key("name", _TEXT),  # identifier key, workspace key
    _column("mark", _TEXT),  # tells the key from others without giving it away
)
_ASIDE = _by_number(
    "aside",
    _counted("number"),
    _column("reason", _TEXT),
    _column("detail", _TEXT),
    _column("origin", _TEXT),
    _column("line"),
    _column("partition"),  # of the topic; 0 for files
    _column("form", _TEXT),
    _column("at"),
    _column("wrapped_key", _BYTES),
    _column("nonce", _BYTES),
    _column("ciphertext", _BYTES),
    _maybe("retried_at"),
    _maybe("outcome", _TEXT),  # recorded, duplicate; null while it is aside
    Index("aside_from", "origin", "line", "partition"),
)
_WAITING = _ASIDE.c.outcome.is_(None)
Index("aside_waiting", _ASIDE.c.number, sqlite_where=_WAITING, postgresql_where=_WAITING)
_by_key(
    "intake",
    _key("origin", _TEXT),
    _column("received"),
    _column("recorded"),
    _column("duplicates"),
    _column("set_aside"),
)
_by_key(  # identifiers by which nobody is meant
    "dropped",
    _key("origin", _TEXT),
    _key("reason", _TEXT),  # empty, placeholder, role
    _column("identifiers"),
)
_by_key("imports", _key("key", _TEXT), _column("state", _TEXT))  # state: JSON
_by_key(
    "offsets",
    _key("topic", _TEXT),
    _key("partition"),
    _column("topic_id", _TEXT),  # of the broker: a topic made anew under the old name has another
    _column("next_offset"),
    _column("epoch"),  # raised by each new owner; under an old one nothing is written
    _column("owner", _TEXT),
)
_by_number(
    "message_headers",
    _key("position"),  # of a touchpoint that came with headers worth keeping
    _column("headers", _BYTES),  # MessagePack: pairs of name and bytes
)
_by_number(
    "accesses",
    _counted("number"),
    _column("at"),
    _column("who", _TEXT),
    _column("lead", _TEXT),
    _column("reason", _TEXT),
)
_by_key("rule_sets", _key("id", _TEXT), _column("name", _TEXT), _column("toml", _TEXT))
_by_number(
    "rule_book",
    _key("number"),
    _column("rules_id", _TEXT, ForeignKey("rule_sets.id")),
    _maybe("effective_at"),  # null: the beginning of time
    _column("published_at"),
    _column("position"),
)
_by_number(  # rows are added, never changed
    "announcements",
    _key("number"),  # from 1, without a gap, in the order of telling
    _unique("id"),  # digest of first touchpoint, kind, name, at and position
    _column("lead", _TEXT),  # the id that it went by
    _column("first_source", _TEXT),  # its first touchpoint in happening order
    _column("first_event_id", _TEXT),
    _column("first_position"),
    _column("kind", _TEXT),  # what was told: engine/announcement.py has the kinds
    _column("name", _TEXT),  # of the stage (track.stage), clock or segment
    _column("at"),  # when it came about: microseconds, UTC
    _maybe("due"),  # of a clock's run
    _maybe("cause", _TEXT),  # JSON, as a visit tells it; null: time alone
    _column("position"),  # known at which it was folded
    _column("settled_to"),  # as of which it was folded: microseconds, UTC
    _column("rules_id", _TEXT, ForeignKey("rule_sets.id")),
    _maybe("corrects", _TEXT),  # id of the announcement that later knowledge made wrong
    _column("announced_at"),  # microseconds, UTC
    _column("data", _BYTES),  # the Avro bytes that went out
    Index("announcements_of", "first_position"),
)
_by_number(  # announcements that nothing corrects, and of whom they are now
    "standing",
    _key("number"),  # of the announcement
    _column("lead"),  # a number of `streams`
    _column("position"),  # of the first touchpoint by which the lead is known to be the one meant
    Index("standing_of", "lead"),
)
_by_number(  # one row, once announcing has begun
    "announcing",
    _key("one"),
    _column("settled_to"),  # all that came about by then is told: microseconds, UTC
    _column("position"),  # as it is known there
    _column("made_with", _TEXT),  # what `announcing_due` depends on besides facts and rules
)
_by_number(  # when something may have to be told of a lead though nothing new is known of it
    "announcing_due",
    _key("lead"),  # a number of `streams`
    _column("at"),  # microseconds, UTC
    _column("ahead"),  # 1: because of a touchpoint that lies ahead; else 0
    Index("announcing_due_at", "at"),
)
_by_key(  # how far each sink has taken the announcements
    "sinks",
    _key("name", _TEXT),
    _column("number"),  # of the last announcement that it took
)
