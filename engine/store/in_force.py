"""Which rules are in force: those that the book says, or the shipped default where it says none."""

from engine.rulefile import load, parse, shipped
from engine.ruleset import RuleSet
from engine.store.connection import Connection
from engine.store.recorder import last_position
from engine.store.rulebook import Publication, rule_book, written_rules

DEFAULT_RULES = "default"


def rules_in_force(connection: Connection, at: int) -> RuleSet:
    """The rule set in force at an instant, in microseconds, UTC.

    Raises:
        UnknownRuleSet, RulesInvalid: The book names one that is not kept, or was damaged.
    """
    entry = _entry(connection, at)
    if entry is None:
        return load(shipped()[DEFAULT_RULES])
    written = written_rules(connection, entry.rules_id)
    return parse(written.toml, f"the rule set {written.name}")


def id_in_force(connection: Connection, at: int) -> str:
    """The id of the rule set in force at an instant, even of one that cannot be read any more."""
    entry = _entry(connection, at)
    return load(shipped()[DEFAULT_RULES]).id if entry is None else entry.rules_id


def _entry(connection: Connection, at: int) -> Publication | None:
    """The entry last published among those that are effective by then."""
    book = rule_book(connection, last_position(connection))
    begun = (one for one in reversed(book) if one.effective_at is None or one.effective_at <= at)
    return next(begun, None)
