"""`audit`: whether the store is what it says, and what came to be known between two instants."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from engine.cli import output
from engine.cli.compare import compare_command
from engine.cli.group import Group
from engine.cli.options import as_json, database, known_at
from engine.cli.progress import progress
from engine.cli.session import Session, session

if TYPE_CHECKING:
    from pathlib import Path

    from engine.verify.scope import Difference
    from engine.verify.verify import Verdict

FOUND_A_DIFFERENCE = 6  # exit code


@click.group("audit", cls=Group, short_help="Check the store, and what changed what.")
def audit_command() -> None:
    """Whether the store is what it says, and what came to be known in between.

    Changes nothing. docs/audit.md says what is looked at, what cannot be, and what to do.

    \b
        $ leadledger audit verify
        $ leadledger audit compare 2026-03-01 2026-03-08
    """


@audit_command.command("verify", short_help="Check facts against themselves, and all else by them.")
@click.argument("lead", required=False)
@known_at
@database
@as_json
def verify_store(lead: str | None, known_at: Any, db: str | None, as_json: bool) -> None:
    """Check facts against themselves, and all that is derived or was announced against them.

    With a LEAD all that concerns it. Changes nothing; exit code 6 if anything differs.

    \b
        $ leadledger audit verify
        $ leadledger audit verify email:an@example.vn
    """
    with session(db) as opened:
        verdict = _verified(opened, lead, known_at)
    if as_json:
        output.emit(verdict)
    else:
        for line in _lines(verdict):
            click.echo(output.plain(line))
    raise SystemExit(FOUND_A_DIFFERENCE if verdict.differences else 0)


def _verified(opened: Session, lead: str | None, known_at: Any) -> "Verdict":
    from engine.cli.one_lead import FEW, found

    position, number = opened.position(known_at), None
    if lead is not None:
        from engine.compiled import leave_plain

        number = found(opened, lead, position)
        if opened.facts.touchpoint_count(number) <= FEW:
            leave_plain()
    from engine.privacy import IdentifierKey
    from engine.verify.scope import Keys
    from engine.verify.verify import Asked, verify

    keys = Keys(IdentifierKey(opened.settings.identifier_key), opened.workspace_key)
    asked = Asked(lead=number, known_at=position, keys=keys, journal=_journal(opened))
    with progress("Looking at everything") as report:
        return verify(opened.facts, opened.models, asked, report)


def _journal(opened: Session) -> "Path | None":
    """The folder of the journal, where there is one."""
    from engine.journal.journal import journal_beside
    from engine.store.facts import file_of, is_server

    if is_server(opened.settings.database_url):
        return None
    folder = journal_beside(file_of(opened.settings.database_url))
    return folder if folder.exists() else None


def _counted(many: int, what: str) -> str:
    """So many, and what they are: one of "rows of read models" is a row of read models."""
    return f"{many:,} {what}" if many != 1 else f"1 {re.sub('s(?![a-z])', '', what, count=1)}"


def _lines(verdict: "Verdict") -> Iterator[str]:
    of = "" if verdict.lead is None else f" of the lead {verdict.lead}"
    counted = ", ".join(_counted(many, what) for what, many in verdict.checked.items())
    yield f"looked at what is known{of} at #{verdict.known_at}: {counted}"
    yield from (f"not looked at: {note}" for note in verdict.notes)
    for one in verdict.differences:
        yield from _told(one)
    for check, many in verdict.found.items():
        listed = sum(one.check == check for one in verdict.differences)
        if many > listed:
            yield f"BAD {check}: {many - listed:,} more, not listed here"
    yield f"{sum(verdict.found.values()):,} differences" if verdict.found else "no differences"


def _told(one: "Difference") -> Iterator[str]:
    """A difference: what, where, both values, and the way out."""
    import msgspec

    where = ", ".join(
        f"{name} {place}"
        for name, place in (("lead", one.lead), ("position", one.position))
        if place is not None
    )
    yield f"BAD {one.check}: {one.what}{f' ({where})' if where else ''}"
    if (one.stored, one.expected) != (None, None):
        yield f"      there: {msgspec.json.encode(one.stored).decode()}"
        yield f"      should be: {msgspec.json.encode(one.expected).decode()}"
    yield f"      → {one.fix}"


audit_command.add_command(compare_command)
