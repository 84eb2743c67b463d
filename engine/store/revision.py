"""The version of a database of facts: the last migration that it has, in every database.

It stands in Alembic's own table, and nowhere else: it lies with the facts, changes in the
transaction that changes them, and goes along with every dump of them.
"""

from engine.errors import StoreVersion

REVISION = "0003"  # that of engine/store/tables.py; migrations/versions has a module for each
NONE = "0000"  # of a database that does not say
TABLE = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
    "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)
SELECT = "SELECT version_num FROM alembic_version"


def check_revision(found: str, name: object) -> None:
    """Make sure that a database has the tables that this program works with.

    Raises:
        StoreVersion: It has those of an older or a newer one.
    """
    if found != REVISION:
        raise StoreVersion(name, found, REVISION)
