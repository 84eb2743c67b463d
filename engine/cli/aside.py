"""`aside`: what was set aside, and trying it again."""

import os
from typing import TYPE_CHECKING, Any

import click

from engine.cli import output
from engine.cli.group import Group
from engine.cli.options import as_json, database
from engine.cli.progress import progress
from engine.cli.session import session

if TYPE_CHECKING:
    from engine.store.aside import Aside


@click.group("aside", cls=Group, short_help="What could not be accepted, and trying it again.")
def aside_command() -> None:
    """What could not be accepted: kept sealed, with its reason and origin.

    \b
        $ leadledger aside list
        $ leadledger aside retry
    """


@aside_command.command("list")
@database
@click.option("--all", "everything", is_flag=True, help="Also what was accepted since.")
@as_json
def list_aside(db: str | None, everything: bool, as_json: bool) -> None:
    """List what was set aside and still waits; with --json, an object a line.

    \b
        $ leadledger aside list
    """
    with session(db) as opened:
        items = opened.facts.aside(waiting=not everything)
    if as_json:
        output.emit_lines(_document(item) for item in items)
        return
    rows = (
        (str(i.number), _origin(i), str(i.line), i.reason, i.detail, i.outcome or "waiting")
        for i in items
    )
    columns = ("number", "origin", "line", "reason", "detail", "outcome")
    output.table(f"{len(items):,} set aside", columns, rows, left=len(columns))


def _origin(item: "Aside") -> str:
    """A file, or a topic and its partition; beside it stands the line, or the offset."""
    return f"{item.origin}[{item.partition}]" if item.form == "message" else item.origin


def _document(item: "Aside") -> dict[str, Any]:
    partition = {"partition": item.partition} if item.form == "message" else {}
    return {
        "origin": item.origin,
        "line": item.line,
        "reason": item.reason,
        "detail": item.detail,
        **partition,
    }


@aside_command.command("retry", short_help="Try all that waits once more.")
@database
@as_json
def retry_aside(db: str | None, as_json: bool) -> None:
    """Try all that waits once more; what is accepted now is recorded.

    Rows of a CSV are mapped again, as the mapping is by now: mend it, then retry.
    Messages of a topic are decoded again, by the schemas that are known by now.
    Doing it twice changes nothing, also while consumers are at work.

    \b
        $ leadledger aside retry
    """
    from consumers.again import redecoder
    from engine import lifecycle
    from engine.rowmap import remapper

    with session(db) as opened, progress("Trying again") as report:
        done = lifecycle.retry_aside(
            opened.facts,
            opened.edge,
            opened.workspace_key,
            remapper(opened.edge),
            redecoder(os.environ),
            progress=report,
        )
    if as_json:
        output.emit({name: getattr(done, name) for name in done.__dataclass_fields__})
    else:
        waits = sum(done.set_aside.values())
        click.echo(
            f"{done.received:,} tried: {done.recorded:,} recorded, "
            f"{done.duplicates:,} known already, {waits:,} still aside"
        )
