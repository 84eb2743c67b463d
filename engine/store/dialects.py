"""What SQLAlchemy calls the words of a database; each takes a while to load."""

from functools import cache

from sqlalchemy.engine import Dialect, make_url

_DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}


@cache
def dialect_of(name: str) -> Dialect:
    """The one for "sqlite" or "postgresql"."""
    return make_url(f"{_DRIVERS[name]}://").get_dialect()()
