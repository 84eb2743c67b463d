"""Facts and read models of either kind, for tests of the runner."""

from pathlib import Path

from engine import reading
from engine.book import Book
from engine.projections import database, runner
from engine.projections.database import Models
from engine.projections.projection import PROJECTIONS
from engine.projections.runner import bring_up_to_date, rebuild
from engine.reading import Question
from engine.rulefile import parse
from engine.store.facts import Facts, models_of
from engine.touchpoint import Identifier
from tests.read_side import RULES, touch
from tests.storing import store

SMALL = parse(RULES)
OTHER = parse(RULES.replace('after_silence = "30d"', 'after_silence = "5d"'))


TABLES = {
    "sqlite": "SELECT name FROM sqlite_schema WHERE type = 'table'",
    "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = 'models'",
}


def lead(number):
    return (Identifier("crm_id", f"{number:032x}" * 2),)


def about(number, at, **fields):
    """A touchpoint of one lead."""
    fields = {"event_id": f"{number}-{at}", **fields}
    return touch(at, identifiers=lead(number), **fields)


def retraction(event_id):
    named = {"source": "web", "event_id": event_id}
    return touch(0, event_id=f"r-{event_id}", type="touchpoint_retracted", attributes=named)


class Shop:
    """Facts and read models in a folder, or at the URL of a database."""

    def __init__(self, where):
        url = where / "facts.db" if isinstance(where, Path) else where
        self.models_at = models_of(url)
        self.facts = Facts.open(url, clock=lambda: 0)
        self.models = Models.open(self.models_at)

    def record(self, *touchpoints):
        store(self.facts, *touchpoints)

    def keep_up(self, now, rules=SMALL):
        return bring_up_to_date(self.facts, self.models, Book.always(rules), now)

    def rebuild(self, now, chunk=runner.CHUNK, rules=SMALL):
        return rebuild(self.facts, self.models, Book.always(rules), now, chunk=chunk)

    def stored(self):
        return stored(self.models)

    def frames(self, **asked):
        return reading.frames(self.facts, self.models, Question(Book.always(SMALL), **asked))

    def close(self):
        self.models.close()
        self.facts.close()


def stored(models):
    """All rows of all tables of the live generation, and where it stands."""
    with models.reading() as connection:
        live = database.live_generation(connection)
        tables = {
            projection.name: connection.execute(
                f"SELECT * FROM {projection.name}_{live.number} ORDER BY {key_of(projection)}"
            ).fetchall()
            for projection in PROJECTIONS
        }
    return tables, (live.settled_to, live.checkpoint)


def key_of(projection):
    return ", ".join(projection.table.primary_key.columns.keys())


def tables_of(models):
    """The names of all tables that are there, with the number of their generation."""
    with models.reading() as connection:
        names = connection.execute(TABLES[connection.dialect])
        return {name for (name,) in names} - {"generations"}


def all_of(number):
    return {f"{projection.name}_{number}" for projection in PROJECTIONS}
