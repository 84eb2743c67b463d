"""What is kept of who is who: identifiers by number, pairs and links.

Nothing of the engine is imported here, for that changes: this is how the tables were. They
are filled afterwards, with all else that can be made again from the streams.
"""

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, Text

revision = "0002"
down_revision = "0001"

METADATA = MetaData()
NUMBER = BigInteger().with_variant(Integer(), "sqlite")
TEXT = Text().with_variant(Text(collation="C"), "postgresql")


def key(name):
    return Column(name, NUMBER, primary_key=True, autoincrement=False)


def column(name, kind=NUMBER):
    return Column(name, kind, nullable=False)


EVIDENCE = Table(
    "evidence",
    METADATA,
    key("identifier"),
    key("position"),
    column("stream"),
    sqlite_with_rowid=False,
)
PAIRS = Table(
    "pairs",
    METADATA,
    key("identifier"),
    key("other"),
    column("stream"),
    column("position"),
    sqlite_with_rowid=False,
)
LINKS = Table(
    "links",
    METADATA,
    key("identifier"),
    key("position"),
    column("other"),
    column("linked"),
    column("occurred_at"),
    column("sequence"),
    column("source", TEXT),
    column("event_id", TEXT),
    Column("void", NUMBER),
    sqlite_with_rowid=False,
)
DROPPED = Table(
    "dropped",
    METADATA,
    Column("origin", TEXT, primary_key=True),
    Column("reason", TEXT, primary_key=True),
    column("identifiers"),
    sqlite_with_rowid=False,
)


def upgrade():
    """Put the new tables in the place of the old one."""
    op.drop_table("evidence")
    with op.batch_alter_table("streams") as streams:
        streams.drop_column("folded_from")
    METADATA.create_all(op.get_bind())
    op.execute(
        "INSERT INTO dropped SELECT origin, 'placeholder', dropped FROM intake WHERE dropped > 0"
    )
    with op.batch_alter_table("intake") as intake:
        intake.drop_column("dropped")
    op.create_index("links_at", "links", ["position"])
    op.create_index("links_void", "links", ["void"])
