"""Facts and read models of either kind, for tests of the runner."""

from pathlib import Path

from engine import reading
from engine.book import Book
from engine.projections import generations, runner
from engine.projections.database import Models, tables_there
from engine.projections.projection import PROJECTIONS
from engine.projections.runner import book_known, bring_up_to_date, derive_leads, rebuild
from engine.reading import Question
from engine.rulefile import parse
from engine.store.facts import Facts, models_of
from engine.store.rulebook import WrittenRules
from engine.touchpoint import Identifier
from tests.read_side import RULES, touch
from tests.storing import store

COLD_SOON = RULES.replace('after_silence = "30d"', 'after_silence = "5d"')
SMALL, OTHER = parse(RULES), parse(COLD_SOON)
TEXTS = {SMALL.id: RULES, OTHER.id: COLD_SOON}


def lead(number):
    return (Identifier("crm_id", f"{number:032x}" * 2),)


def about(number, at, **fields):
    """A touchpoint of one lead; 0 is what rules are published under."""
    fields = {"event_id": f"{number}-{at}", **fields}
    return touch(at, identifiers=lead(number), **fields)


def retraction(event_id):
    named = {"source": "web", "event_id": event_id}
    return touch(0, event_id=f"r-{event_id}", type="touchpoint_retracted", attributes=named)


class Shop:
    """Facts and read models in a folder, or at the URL of a database.

    Rules that are not in force are published for all time first, which takes a position.
    """

    def __init__(self, where):
        url = where / "facts.db" if isinstance(where, Path) else where
        self.models_at = models_of(url)
        self.facts = Facts.open(url, clock=lambda: 0)
        self.models = Models.open(self.models_at)

    def record(self, *touchpoints):
        store(self.facts, *touchpoints)

    def publish(self, text, since=None):
        rules = parse(text)
        self.facts.publish(WrittenRules(rules.id, rules.name, text), since)

    def put_in_force(self, rules):
        if book_known(self.facts).id != rules.id:
            self.publish(TEXTS[rules.id])

    def keep_up(self, now, rules=SMALL):
        self.put_in_force(rules)
        return bring_up_to_date(self.facts, self.models, now)

    def rebuild(self, now, chunk=runner.CHUNK, rules=SMALL):
        self.put_in_force(rules)
        return rebuild(self.facts, self.models, now, chunk=chunk)

    def stored(self):
        return stored(self.models)

    def told_truly(self, generation, book=None):
        """Whether every row is that of as-of and known-at where a generation stands."""
        rows, (settled_to, checkpoint) = stored(self.models, generation)
        book = book or book_known(self.facts, checkpoint).until(settled_to)
        leads, as_of = self.facts.lead_numbers(), (settled_to, PROJECTIONS, checkpoint)
        tables = derive_leads(self.facts, leads, book, *as_of)
        return all(sorted(rows[name]) == sorted(tables[name].rows()) for name in rows)

    def frames(self, **asked):
        self.put_in_force(SMALL)
        return reading.frames(self.facts, self.models, Question(Book.always(SMALL), **asked))

    def close(self):
        self.models.close()
        self.facts.close()


def stored(models, generation=None):
    """All rows of all tables of a generation, else the newest, and where it stands."""
    with models.reading() as connection:
        one = generation or generations.ready_generations(connection)[-1]
        tables = {
            projection.name: connection.execute(
                f"SELECT * FROM {projection.name}_{one.number} ORDER BY {key_of(projection)}"
            ).fetchall()
            for projection in PROJECTIONS
        }
    return tables, (one.settled_to, one.checkpoint)


def key_of(projection):
    return ", ".join(projection.table.primary_key.columns.keys())


def tables_of(models):
    """The names of all tables that are there, with the number of their generation."""
    with models.reading() as connection:
        return tables_there(connection) - {"generations", "runs"}


def all_of(*numbers):
    return {f"{projection.name}_{number}" for projection in PROJECTIONS for number in numbers}
