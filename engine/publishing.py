"""Publishing rule sets: which one judges from which instant on, and what that ends.

What is kept under an id never changes its meaning: a country of holidays is written out as the
dates that it stands for, since calendars of holidays are revised.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from engine.book import Book, Era, lost_names
from engine.errors import NamesLost, RulesInvalid, SeveralRuleSets, UnknownRuleSet
from engine.history import BEGINNING
from engine.instants import format_instant
from engine.rulefile import decode, file_of, parse
from engine.ruleid import with_dates
from engine.rulelang.clocks import holidays_of
from engine.rulelang.writer import write
from engine.ruleset import RuleSet
from engine.store.connection import Connection
from engine.store.facts import Facts
from engine.store.in_force import book_at, default_rules, default_text
from engine.store.recorder import last_position
from engine.store.rulebook import (
    Publication,
    WrittenRules,
    keep_rules,
    kept_beginning,
    rule_book,
    written_rules,
)
from engine.store.rulebook import publish as add_entries

Document = dict[str, Any]

LIVE: Final = "live"
_ID = re.compile(r"[0-9a-f]{6,64}")  # or the beginning of one
_COUNTRY = re.compile(r"""^([^#\n]*\bholidays["']?\s*=\s*)["'](\w+)["']""", re.MULTILINE)
_END = 1 << 62  # of time; microseconds, UTC


def publish(facts: Facts, rules: RuleSet, text: str, since: int | None = None) -> Document:
    """Put a rule set in the book, in force from an instant on.

    Args:
        facts: Where the book is.
        rules: The rule set.
        text: What it was read from.
        since: Microseconds, UTC; BEGINNING judges all of history anew; None is now.

    Returns:
        Name and id, since when (None: the beginning of time), whether anything was published
        at all, what it puts out of force, and whether folding changes, or only questions.

    Raises:
        NamesLost: The rule set before it has names that this one lacks; nothing was published.
    """
    kept = WrittenRules(rules.id, rules.name, for_good(text, rules.id))
    with facts.transaction() as connection:
        now = facts.clock()
        at = now if since is None else since
        before = book_at(connection)
        after = Book.of([*((era.since, era.rules) for era in before.eras), (at, rules)])
        if after.id != before.id:
            _check_carried(before, at, rules)
            keep_rules(connection, kept)
            add_entries(connection, [(rules.id, None if at == BEGINNING else at)], now)
    return outcome(before, rules, at)


def outcome(before: Book, rules: RuleSet, at: int) -> Document:
    """What it comes to that a rule set is published from an instant on, as `publish` tells it."""
    after = Book.of([*((era.since, era.rules) for era in before.eras), (at, rules)])
    changes = _changes(before, after)
    ended = (one for one in before.eras if one.since >= at and one.rules.id != rules.id)
    return {
        "name": rules.name,
        "id": rules.id,
        "effective_at": _shown(at),
        "published": changes is not None,
        "out_of_force": [_era(one) for one in ended] if changes else [],
        "changes": changes,
    }


def log(facts: Facts, known_at: int | None = None) -> list[Document]:
    """What judges by itself before anything is published, then every publication in its order.

    `in_force` is from when to when (None: without end), as the book known at a position
    stands; None where the publication numbered `put_out_by` came before it could be.
    """
    with facts.snapshot() as connection:
        upto = last_position(connection) if known_at is None else known_at
        told = rule_book(connection, upto)
        names = {one.rules_id: written_rules(connection, one.rules_id).name for one in told}
    default = default_rules()
    first = {"number": None, "published_at": None, "position": None}
    lines = [{**first, "name": default.name, "id": default.id, **_span(BEGINNING, told)}]
    for index, one in enumerate(told):
        line = {
            "number": one.number,
            "published_at": format_instant(one.published_at),
            "position": one.position,
            "name": names[one.rules_id],
            "id": one.rules_id,
        }
        lines.append({**line, **_span(one.since, told[index + 1 :])})
    return lines


def is_published(reference: str) -> bool:
    """Whether a reference means what is in a database: an id, the beginning of one, or `live`."""
    if reference == LIVE:
        return True
    return _ID.fullmatch(reference) is not None and not file_of(reference).exists()


def published(facts: Facts, reference: str) -> str:
    """The text of the rule set that is in force now, or of one by its id or the beginning of it.

    The shipped default, which judges before the first publication, goes by its id too.

    Raises:
        UnknownRuleSet: None with this id was ever published.
        SeveralRuleSets: Several ids begin so.
    """
    with facts.snapshot() as connection:
        if reference == LIVE:
            return _in_force(connection, facts.clock())
        found = kept_beginning(connection, reference)
    default = WrittenRules(default_rules().id, default_rules().name, default_text())
    if default.id.startswith(reference) and default.id not in [one.id for one in found]:
        found.append(default)
    if not found:
        raise UnknownRuleSet(reference)
    if len(found) > 1:
        raise SeveralRuleSets(reference, [one.id for one in found])
    return found[0].toml


def for_good(text: str, rules_id: str) -> str:
    """A text of the same rule set that names no country of holidays; comments stay if they can."""
    document = decode(text)
    named = {calendar["holidays"] for calendar in _countries(document)}
    if not named:
        return text

    def written_out(found: re.Match[str]) -> str:
        return f"{found[1]}{_dates(found[2])}" if found[2] in named else found[0]

    dated = _COUNTRY.sub(written_out, text)
    try:
        if parse(dated).id == rules_id and not _countries(decode(dated)):
            return dated
    except RulesInvalid:  # what looked like a country stood in a text
        pass
    return write(with_dates(document))


def _check_carried(before: Book, at: int, rules: RuleSet) -> None:
    """A set that begins where another ends goes on with its scores, stages and clocks, by name."""
    if at == BEGINNING:
        return
    earlier = before.at(at - 1)
    if lost := lost_names(earlier, rules):
        raise NamesLost(earlier.name, rules.name, lost)


def _changes(before: Book, after: Book) -> str | None:
    if after.id == before.id:
        return None
    was, now = (
        [(era.since, era.rules.fold_id) for era in book.folded_by(_END)] for book in (before, after)
    )
    return "questions" if was == now else "folding"


def _span(since: int, later: Sequence[Publication]) -> Document:
    """Since when an entry is effective, and when it is in force, given those published later."""
    until = min((one.since for one in later), default=None)
    over = [one.number for one in later if one.since <= since]
    return {
        "effective_at": _shown(since),
        "in_force": None if over else {"from": _shown(since), "until": _shown(until)},
        "put_out_by": over[0] if over else None,
    }


def _in_force(connection: Connection, now: int) -> str:
    told = rule_book(connection, last_position(connection))
    begun = [one for one in told if one.since <= now]
    if begun:
        return written_rules(connection, begun[-1].rules_id).toml
    return default_text()


def _shown(at: int | None) -> str | None:
    return None if at is None or at == BEGINNING else format_instant(at)


def _era(era: Era) -> Document:
    return {"name": era.rules.name, "id": era.rules.id, "effective_at": _shown(era.since)}


def _countries(document: Document) -> list[Document]:
    """The calendars that name a country."""
    calendars: list[Document] = document.get("calendar", [])
    return [one for one in calendars if isinstance(one.get("holidays"), str)]


def _dates(country: str) -> str:
    """The dates that a country stands for, a line a year, and where they come from."""
    years: dict[str, list[str]] = {}
    for day in holidays_of(country):
        years.setdefault(day[:4], []).append(f'"{day}"')
    lines = "".join(f"\n  {', '.join(days)}," for days in years.values())
    return f"[  # {country}{lines}\n]"
