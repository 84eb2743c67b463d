"""The first tables of the facts.

Nothing of the engine is imported here, for that changes: this is how the tables were.
"""

from alembic import op
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

revision = "0001"
down_revision = None

METADATA = MetaData()
EVENTS = {
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
NUMBER = BigInteger().with_variant(Integer(), "sqlite")
TEXT = Text().with_variant(Text(collation="C"), "postgresql")
ORIGINATOR = Text().with_variant(Uuid(), "postgresql")
BYTES = LargeBinary()


def upgrade():
    for statement in EVENTS[op.get_context().dialect.name]:
        op.execute(statement)
    METADATA.create_all(op.get_bind(), checkfirst=False)


def key(name, kind=NUMBER):
    return Column(name, kind, primary_key=True, autoincrement=False)


def counted(name):
    return Column(name, NUMBER, Identity(always=False), primary_key=True)


def column(name, kind=NUMBER, *parts):
    return Column(name, kind, *parts, nullable=False)


def unique(name, kind=TEXT):
    return Column(name, kind, nullable=False, unique=True)


def maybe(name, kind=NUMBER):
    return Column(name, kind)


def by_key(name, *parts):
    return Table(name, METADATA, *parts, sqlite_with_rowid=False)


def by_number(name, *parts):
    return Table(name, METADATA, *parts)


by_number(
    "streams",
    key("number"),
    unique("originator", ORIGINATOR),
    column("kind", TEXT),
    column("digest", TEXT),
    maybe("folded_from"),
)
by_key(
    "ids",
    key("source", TEXT),
    key("event_id", TEXT),
    column("content", BYTES),
    column("position"),
)
by_number(
    "recent_ids",
    key("position"),
    column("source", TEXT),
    column("event_id", TEXT),
    column("content", BYTES),
)
by_key(
    "touchpoints",
    key("stream"),
    key("position"),
    maybe("void"),
    column("packed", BYTES),
)
by_number(
    "recordings",
    key("first"),
    column("last"),
    column("recorded_at"),
    Index("recordings_at", "recorded_at", "last"),
)
by_number(
    "retractions",
    key("position"),
    column("source", TEXT),
    column("event_id", TEXT),
    maybe("stream"),
    Index("retractions_of", "source", "event_id", "position"),
)
by_key(
    "evidence",
    key("position"),
    key("kind", TEXT),
    key("digest", TEXT),
    column("relation"),
    column("stream"),
    maybe("void"),
)
by_number("strings", counted("id"), unique("text"))
by_key("data_keys", key("key_id", TEXT), column("wrapped", BYTES))
by_key(
    "key_marks",
    key("name", TEXT),
    column("mark", TEXT),
)
ASIDE = by_number(
    "aside",
    counted("number"),
    column("reason", TEXT),
    column("detail", TEXT),
    column("origin", TEXT),
    column("line"),
    column("partition"),
    column("form", TEXT),
    column("at"),
    column("wrapped_key", BYTES),
    column("nonce", BYTES),
    column("ciphertext", BYTES),
    maybe("retried_at"),
    maybe("outcome", TEXT),
    Index("aside_from", "origin", "line", "partition"),
)
WAITING = ASIDE.c.outcome.is_(None)
Index("aside_waiting", ASIDE.c.number, sqlite_where=WAITING, postgresql_where=WAITING)
by_key(
    "intake",
    key("origin", TEXT),
    column("received"),
    column("recorded"),
    column("duplicates"),
    column("set_aside"),
    column("dropped"),
)
by_key("imports", key("key", TEXT), column("state", TEXT))
by_key(
    "offsets",
    key("topic", TEXT),
    key("partition"),
    column("topic_id", TEXT),
    column("next_offset"),
    column("epoch"),
    column("owner", TEXT),
)
by_number(
    "message_headers",
    key("position"),
    column("headers", BYTES),
)
by_number(
    "accesses",
    counted("number"),
    column("at"),
    column("who", TEXT),
    column("lead", TEXT),
    column("reason", TEXT),
)
by_key("rule_sets", key("id", TEXT), column("name", TEXT), column("toml", TEXT))
by_number(
    "rule_book",
    key("number"),
    column("rules_id", TEXT, ForeignKey("rule_sets.id")),
    maybe("effective_at"),
    column("published_at"),
    column("position"),
)
by_number(
    "announcements",
    counted("number"),
    unique("id"),
    column("lead", TEXT),
    column("first_source", TEXT),
    column("first_event_id", TEXT),
    column("kind", TEXT),
    column("name", TEXT),
    column("at"),
    maybe("cause", TEXT),
    column("position"),
    column("settled_to"),
    column("rules_id", TEXT, ForeignKey("rule_sets.id")),
    maybe("corrects", TEXT),
    column("announced_at"),
    column("data", BYTES),
    Index("announcements_of", "lead", "kind", "name", "at"),
)
