"""Which rules judge: what the rule book says, and the shipped default before its first word."""

from collections.abc import Iterable
from functools import cache, lru_cache

from engine.book import Book
from engine.rulefile import parse, read, shipped
from engine.ruleset import RuleSet
from engine.store.connection import Connection
from engine.store.recorder import last_position
from engine.store.rulebook import Publication, rule_book, written_rules

DEFAULT_RULES = "default"


def book_at(connection: Connection, known_at: int | None = None) -> Book:
    """The rule book as known at a position; None: as it is.

    Raises:
        UnknownRuleSet, RulesInvalid: The book names one that is not kept, or was damaged.
    """
    upto = last_position(connection) if known_at is None else known_at
    return book_of(connection, rule_book(connection, upto))


def book_of(connection: Connection, told: Iterable[Publication]) -> Book:
    """The rule book that some publications make, in their order.

    Raises:
        UnknownRuleSet, RulesInvalid: See `book_at`.
    """
    entries = [
        (one.effective_at, kept_rules(connection, one.rules_id)) for one in _not_overtaken(told)
    ]
    return Book.of([(None, default_rules()), *entries])


def default_rules() -> RuleSet:
    """What judges where nothing was published."""
    return _parsed(default_text(), DEFAULT_RULES)


@cache
def default_text() -> str:
    """Its text, as it ships."""
    return read(shipped()[DEFAULT_RULES])


def _not_overtaken(told: Iterable[Publication]) -> list[Publication]:
    """Without what a later publication put out of force: nobody needs to be able to read that."""
    kept: list[Publication] = []
    for one in told:
        kept = [before for before in kept if before.since < one.since] + [one]
    return kept


def kept_rules(connection: Connection, rules_id: str) -> RuleSet:
    """A rule set that was published once.

    Raises:
        UnknownRuleSet, RulesInvalid: It is not kept, or was damaged.
    """
    written = written_rules(connection, rules_id)
    return _parsed(written.toml, written.name)


@lru_cache(maxsize=64)
def _parsed(toml: str, name: str) -> RuleSet:
    return parse(toml, f"the rule set {name}")
