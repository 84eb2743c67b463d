"""The rule book: which rule set was published when, and from which instant on it judges."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from engine.aggregates.rule_book import ORIGINATOR, RuleBook
from engine.errors import UnknownRuleSet
from engine.history import BEGINNING
from engine.store.connection import Connection
from engine.store.ledger import stamp
from engine.store.mapper import RULES_PUBLISHED
from engine.store.recorder import insert_rows, last_position

_ID_DIGITS = 64


class WrittenRules(Struct, frozen=True):
    """A rule set as it was written."""

    id: str
    name: str
    toml: str


class Publication(Struct, frozen=True):
    """One entry of the rule book."""

    number: int
    rules_id: str
    effective_at: int | None  # microseconds, UTC; None: the beginning of time
    published_at: int  # microseconds, UTC
    position: int  # known from here on

    @property
    def since(self) -> int:
        """From when on it judges: microseconds, UTC; BEGINNING for all time."""
        return BEGINNING if self.effective_at is None else self.effective_at


def keep_rules(connection: Connection, rules: WrittenRules) -> None:
    """Keep a rule set by its id; what is kept under an id never changes."""
    connection.execute(
        "INSERT INTO rule_sets VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (rules.id, rules.name, rules.toml),
    )


def written_rules(connection: Connection, rules_id: str) -> WrittenRules:
    """A rule set as it was written.

    Raises:
        UnknownRuleSet: None with this id was ever kept.
    """
    row = connection.execute("SELECT * FROM rule_sets WHERE id = ?", (rules_id,)).fetchone()
    if row is None:
        raise UnknownRuleSet(rules_id)
    return WrittenRules(*row)


def kept_beginning(connection: Connection, text: str) -> list[WrittenRules]:
    """The rule sets whose ids begin with some hex digits, by id."""
    rows = connection.execute(
        "SELECT * FROM rule_sets WHERE id >= ? AND id <= ? ORDER BY id",
        (text.ljust(_ID_DIGITS, "0"), text.ljust(_ID_DIGITS, "f")),
    )
    return [WrittenRules(*row) for row in rows]


def publish(connection: Connection, entries: Sequence[tuple[str, int | None]], now: int) -> None:
    """Add entries, each a rule set's id and the instant that it is effective at, in order.

    Each takes a position of its own, so that what was known at a position says
    which rules were.
    """
    if not entries:
        return
    first = last_position(connection) + 1
    last = first + len(entries) - 1
    at = stamp(connection, first, last, now)
    count = connection.execute("SELECT count(*) FROM rule_book").fetchone()[0]
    book = RuleBook(ORIGINATOR, count)
    for position, (rules_id, effective_at) in enumerate(entries, first):
        written_rules(connection, rules_id)
        number = book.advance()
        data = msgspec.json.encode({"rules_id": rules_id, "effective_at": effective_at})
        insert_rows(connection, [(position, ORIGINATOR, number, RULES_PUBLISHED, data)])
        connection.execute(
            "INSERT INTO rule_book VALUES (?, ?, ?, ?, ?)",
            (number, rules_id, effective_at, at, position),
        )


def rule_book(connection: Connection, known_at: int) -> list[Publication]:
    """The entries known at a position, in the order of publication."""
    rows = connection.execute(
        "SELECT * FROM rule_book WHERE position <= ? ORDER BY number", (known_at,)
    )
    return [Publication(*row) for row in rows]
