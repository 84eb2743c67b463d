"""Whether a store is what it says: facts against themselves, and what is derived against them.

Nothing is changed. All of it is looked at within one snapshot, in chunks, so memory stays
bounded however much there is.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from msgspec import Struct

from engine.errors import EngineError
from engine.journal.journal import Journal
from engine.progress import Progress, quiet
from engine.projections.database import Models
from engine.store.connection import Connection
from engine.store.facts import Facts
from engine.verify.announcements import check_announcements
from engine.verify.contents import ContentChecks
from engine.verify.events import Check, check_events, check_versions
from engine.verify.ledger import (
    check_conservation,
    check_recordings,
    check_rule_book,
    last_recorded,
)
from engine.verify.models import check_models
from engine.verify.rows import RowChecks
from engine.verify.scope import Difference, Keys, Scope
from engine.verify.strays import check_gone, check_strays

FIRST = "mend what else is said here first, and look again"
JOURNAL = "delete its folder: the next replay makes it anew"


class Asked(Struct, frozen=True, kw_only=True):
    """What is to be looked at, and with what."""

    lead: int | None = None  # number; None: everybody
    known_at: int | None = None  # a position; None: all that is recorded
    keys: Keys | None = None  # None: what is sealed stays so
    journal: Path | None = None  # its folder, where there is one


class Verdict(Struct, frozen=True):
    """What was looked at, and all that is wrong."""

    known_at: int  # position
    lead: str | None  # id
    checked: Mapping[str, int]  # how many of what
    notes: list[str]  # what could not be looked at, and why
    differences: list[Difference]  # by check the first ones
    found: Mapping[str, int]  # how many there are, by check


def verify(facts: Facts, models: Models, asked: Asked, progress: Progress = quiet) -> Verdict:
    """Look at everything, or at all that concerns one lead; `progress` is told steps."""
    with ExitStack() as stack:
        rows = stack.enter_context(models.reading())  # first: the facts are to be no older
        connection = stack.enter_context(facts.snapshot())
        upto = last_recorded(connection) if asked.known_at is None else asked.known_at
        scope = Scope(facts, connection, upto, asked.keys, progress)
        if asked.lead is not None:
            scope.narrow(asked.lead)
        scope.ahead(upto + len(facts.lead_numbers()) if scope.lead is None else 0)
        for name, check in _checks(scope, rows, asked).items():
            _run(scope, name, check)
    return Verdict(
        known_at=scope.upto,
        lead=scope.lead.id if scope.lead else None,
        checked=dict(scope.checked),
        notes=scope.notes,
        differences=scope.differences,
        found=dict(scope.found),
    )


def _checks(scope: Scope, rows: Connection, asked: Asked) -> Mapping[str, Callable[[], None]]:
    """What is to be done, in order; each goes on whatever the others find."""
    of_rows = RowChecks(scope)
    more: list[Check] = [of_rows.check]
    if scope.keys is not None:
        more.append(ContentChecks(scope, scope.keys).check)
    checks: dict[str, Callable[[], None]] = {
        "events": lambda: check_events(scope, more),
        "streams": lambda: check_versions(scope),
        "gone": lambda: check_gone(scope),
        "rows": lambda: check_strays(scope),
        "recordings": lambda: check_recordings(scope),
        "rule book": lambda: check_rule_book(scope),
        "read models": lambda: check_models(scope, rows),
        "announcements": lambda: check_announcements(scope),
    }
    if scope.lead is None and scope.head:
        checks["identifiers"] = of_rows.check_end
        checks["conservation"] = lambda: check_conservation(scope)
        if (folder := asked.journal) is not None:
            checks["journal"] = lambda: _check_journal(scope, folder)
    return checks


def _run(scope: Scope, name: str, check: Callable[[], None]) -> None:
    try:
        check()
    except EngineError as error:
        what, _, fix = str(error).partition("; ")
        scope.tell(Difference(name, what, fix=fix or FIRST))
    except Exception as error:  # damage shows as errors of many kinds
        what = f"this cannot be looked at ({type(error).__name__})"
        scope.tell(Difference(name, what, fix=FIRST))


def _check_journal(scope: Scope, folder: Path) -> None:
    """The journal says what the facts did where it stands."""
    for one in Journal.open(folder).verify(scope.facts):
        what = f"the journal differs in {one.what}"
        values = (one.journal, one.facts)
        scope.tell(Difference("journal", what, one.lead, one.position, *values, JOURNAL))
    scope.checked["journals"] += 1
