"""The tables of the facts, as each database is told to make them.

They are declared in engine/store/tables.py, whose SQLAlchemy takes a while to load: it is
loaded only to make them.
"""

from collections.abc import Sequence
from functools import partial

from engine.store.revision import REVISION, TABLE
from engine.store.sqlite import Format


def statements(dialect: str) -> Sequence[str]:
    """What makes a new database of facts, in the words of "sqlite" or "postgresql"."""
    from engine.store import tables

    version = f"INSERT INTO alembic_version VALUES ('{REVISION}')"
    return (*tables.statements(dialect), TABLE, version)


FACTS = Format(
    application_id=0x4C65_4C65, version=REVISION, statements=partial(statements, "sqlite")
)
