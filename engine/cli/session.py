"""What a command works with: settings, the stores and the rules, opened when first asked for."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cli.options import Position
from engine.settings import Settings, database_path, database_url

if TYPE_CHECKING:
    from engine.book import Book
    from engine.edge import Edge
    from engine.privacy import WorkspaceKey
    from engine.projections.database import Models
    from engine.projections.projection import Frames, Projection
    from engine.reading import View
    from engine.ruleset import RuleSet
    from engine.store.facts import Facts

UNASKED: Mapping[str, Any] = {"rules": None, "as_of": None, "known_at": None}


class Session:
    """One run of a command over one database."""

    def __init__(self, db: str | None = None, *, create: bool = False) -> None:
        if not create:
            _check_there(database_path(database_url(os.environ, db)))
        self.settings = Settings.load(os.environ, db)
        self._create = create
        self._opened: list[Facts | Models] = []

    @cached_property
    def facts(self) -> "Facts":
        """The facts."""
        from engine.store.facts import Facts

        facts = Facts.of(self.settings, create=self._create)
        self._opened.append(facts)
        return facts

    @cached_property
    def models(self) -> "Models":
        """The read models."""
        from engine.projections.database import Models

        models = Models.open(self.models_at)
        self._opened.append(models)
        return models

    @property
    def models_at(self) -> str | Path:
        """Where the read models are."""
        from engine.store.facts import models_of

        return models_of(self.settings.database_url)

    @cached_property
    def workspace_key(self) -> "WorkspaceKey":
        """The key that wraps data keys."""
        from engine.privacy import WorkspaceKey

        return WorkspaceKey(self.settings.workspace_key)

    @cached_property
    def edge(self) -> "Edge":
        """Where touchpoints come in."""
        from engine.edge import Edge
        from engine.privacy import IdentifierKey

        key = IdentifierKey(self.settings.identifier_key)
        return Edge(key, self.facts.keyring(self.workspace_key), self.settings.phone_region)

    def text(self, named: str) -> str:
        """The text of a file, of a shipped rule set, or of a published one by its id or `live`."""
        from engine.publishing import is_published, published
        from engine.rulefile import file_of, read

        return published(self.facts, named) if is_published(named) else read(file_of(named))

    def book(self, named: str | None, known_at: int | None = None) -> "Book":
        """The rules named, for all time; else the rule book as known at a position."""
        from engine.book import Book
        from engine.rulefile import parse
        from engine.store.in_force import book_at

        if named is not None:
            return Book.always(parse(self.text(named), named))
        with self.facts.snapshot() as connection:
            return book_at(connection, known_at)

    @cached_property
    def book_in_force(self) -> "Book":
        """What the rule book says; the shipped default where nothing was published."""
        return self.book(None)

    @property
    def rules_in_force(self) -> "RuleSet":
        """The rule set in force now."""
        return self.book_in_force.at(self.facts.clock())

    def view(self, where: Mapping[str, Any]) -> "View":
        """What `--as-of`, `--known-at` and `--rules` ask for."""
        from engine.reading import View

        known_at = self.position(where["known_at"])
        book = self.book(where["rules"], known_at)
        now = self.facts.clock()
        return View(book, self.instant(where["as_of"], book.at(now)), known_at)

    def instant(self, asked: int | date | None, rules: "RuleSet") -> int:
        """Microseconds, UTC: now where nothing is asked; of a day, its first in the rules' zone.

        How a day was read is said, for no figure shows it.

        Raises:
            BadInstant: No calendar has it.
        """
        from engine.cli.output import note
        from engine.instants import format_instant, start_of

        if not isinstance(asked, date):
            return self.facts.clock() if asked is None else asked
        at = start_of(asked, rules.zone)
        note(f"as of {format_instant(at)}, where {asked} begins in {rules.zone}")
        return at

    def position(self, asked: "Position | int | date | None") -> int | None:
        """The position that `--known-at` asks for; None where it asks for none.

        How a day was read is said, for no figure shows it.
        """
        from engine.cli.output import note
        from engine.instants import format_instant, start_of

        if asked is None:
            return None
        if isinstance(asked, Position):
            head = self.facts.head()
            if asked > head:
                note(f"#{asked} is not reached yet: the last position is #{head}")
            return min(int(asked), head)
        if isinstance(asked, date):
            zone = self.rules_in_force.zone
            day, asked = asked, start_of(asked, zone)
            note(f"known at {format_instant(asked)}, where {day} begins in {zone}")
        return self.facts.recorded_upto(asked)

    def frames(self, where: Mapping[str, Any], needs: "tuple[Projection, ...]") -> "Frames":
        """The read models that a command asks for; as known when, if not now, is said."""
        from engine import reading
        from engine.cli.output import note
        from engine.cli.progress import progress

        view = self.view(where)
        if view.known_at is not None:
            note(f"as known at #{view.known_at}")
        question = reading.Question(
            in_force=self.book_in_force,
            now=self.facts.clock(),
            book=view.book,
            as_of=None if where["as_of"] is None else view.as_of,
            known_at=view.known_at,
            needs=needs,
        )
        with progress("Deriving leads") as report:
            return reading.frames(self.facts, self.models, question, report)

    def close(self) -> None:
        """Close what was opened."""
        for store in reversed(self._opened):
            store.close()


def _check_there(database: Path | None) -> None:
    """Miss a database before its keys are made."""
    if database is not None and not database.exists() and not database.is_symlink():
        from engine.errors import StoreMissing

        raise StoreMissing(database)


@contextmanager
def session(db: str | None = None, *, create: bool = False) -> Iterator[Session]:
    """A session that is closed at the end."""
    opened = Session(db, create=create)
    try:
        yield opened
    finally:
        opened.close()
