"""What a command works with: settings, the stores and the rules, opened when first asked for."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from engine.settings import Settings, database_path, database_url

if TYPE_CHECKING:
    from engine.edge import Edge
    from engine.privacy import WorkspaceKey
    from engine.projections.database import Models
    from engine.projections.projection import Frames, Projection
    from engine.ruleset import RuleSet
    from engine.store.facts import Facts


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

    def rules(self, named: str | None) -> "RuleSet":
        """The rule set that a file, a shipped name or a published id means; else those in force."""
        from engine.rulefile import file_of, is_id, load, parse

        if named is None:
            return self.rules_in_force
        if is_id(named):
            return parse(self.facts.written_rules(named).toml, named)
        return load(file_of(named))

    @cached_property
    def rules_in_force(self) -> "RuleSet":
        """What the rule book says now; the shipped default where nothing was published."""
        from engine.store.in_force import rules_in_force

        with self.facts.snapshot() as connection:
            return rules_in_force(connection, self.facts.clock())

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

    def frames(
        self, rules: str | None, as_of: int | date | None, needs: "tuple[Projection, ...]"
    ) -> "Frames":
        """The read models that a command asks for."""
        from engine import reading
        from engine.cli.progress import progress

        asked = None if rules is None else self.rules(rules)
        question = reading.Question(
            in_force=self.rules_in_force,
            now=self.facts.clock(),
            rules=asked,
            as_of=None if as_of is None else self.instant(as_of, asked or self.rules_in_force),
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
