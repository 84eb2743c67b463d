"""Announcements: what is told, whose it is now, when more is due, and how far sinks are.

Nothing of the engine is imported here, for that changes: this is how the tables were. Nothing
announced before, so the table of announcements is empty and is made anew.
"""

from alembic import op
from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

revision = "0003"
down_revision = "0002"

METADATA = MetaData()
NUMBER = BigInteger().with_variant(Integer(), "sqlite")
TEXT = Text().with_variant(Text(collation="C"), "postgresql")


def key(name, kind=NUMBER):
    return Column(name, kind, primary_key=True, autoincrement=False)


def column(name, kind=NUMBER, *parts):
    return Column(name, kind, *parts, nullable=False)


Table("rule_sets", METADATA, Column("id", TEXT, primary_key=True))
NEW = [
    Table(
        "announcements",
        METADATA,
        key("number"),
        Column("id", TEXT, nullable=False, unique=True),
        column("lead", TEXT),
        column("first_source", TEXT),
        column("first_event_id", TEXT),
        column("first_position"),
        column("kind", TEXT),
        column("name", TEXT),
        column("at"),
        Column("due", NUMBER),
        Column("cause", TEXT),
        column("position"),
        column("settled_to"),
        column("rules_id", TEXT, ForeignKey("rule_sets.id")),
        Column("corrects", TEXT),
        column("announced_at"),
        column("data", LargeBinary()),
        Index("announcements_of", "first_position"),
    ),
    Table(
        "standing",
        METADATA,
        key("number"),
        column("lead"),
        column("position"),
        Index("standing_of", "lead"),
    ),
    Table(
        "announcing",
        METADATA,
        key("one"),
        column("settled_to"),
        column("position"),
        column("made_with", TEXT),
    ),
    Table(
        "announcing_due",
        METADATA,
        key("lead"),
        column("at"),
        column("ahead"),
        Index("announcing_due_at", "at"),
    ),
    Table("sinks", METADATA, key("name", TEXT), column("number"), sqlite_with_rowid=False),
]


def upgrade():
    """Put the new table of announcements in the place of the old one, and the others beside."""
    op.drop_table("announcements")
    METADATA.create_all(op.get_bind(), tables=NEW)
