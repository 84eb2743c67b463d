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


class RulesInForce:
    """The rules in force while time goes on and others are published, parsed when they change."""

    def __init__(self) -> None:
        self.until: int | None = None  # when others come into force, as the book stands
        self._known: tuple[str | None, RuleSet] | None = None

    def at(self, connection: Connection, now: int) -> RuleSet:
        """The rule set in force at an instant, in microseconds, UTC.

        Raises:
            UnknownRuleSet, RulesInvalid: The book names one that is not kept, or was damaged.
        """
        book = rule_book(connection, last_position(connection))
        ahead = (one.effective_at for one in book if one.effective_at is not None)
        self.until = min((at for at in ahead if at > now), default=None)
        entry = _entry(connection, now)
        rules_id = entry.rules_id if entry else None
        if self._known is None or self._known[0] != rules_id:
            self._known = rules_id, rules_in_force(connection, now)
        return self._known[1]


def _entry(connection: Connection, at: int) -> Publication | None:
    """The entry last published among those that are effective by then."""
    book = rule_book(connection, last_position(connection))
    begun = (one for one in reversed(book) if one.effective_at is None or one.effective_at <= at)
    return next(begun, None)
