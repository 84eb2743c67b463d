"""`lead merge` and `lead unmerge`: saying by hand who is one person, and who is two."""

import shlex
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from engine.cli import output
from engine.cli.by_hand import hand_on, reason
from engine.cli.kinship import shown
from engine.cli.options import as_json, database
from engine.cli.session import Session

if TYPE_CHECKING:
    from engine.by_hand import Hand

Document = dict[str, Any]
Command = TypeVar("Command", bound=Callable[..., Any])
STILL_ONE = 3  # exit code


def _by_hand(command: Command) -> Command:
    """What both commands take."""
    one, other = click.argument("lead"), click.argument("other")
    return one(other(reason(database(as_json(command)))))


@click.command("merge", short_help="Say that two leads are one person.")
@_by_hand
def merge_leads(lead: str, other: str, reason: str, db: str | None, as_json: bool) -> None:
    """Say that two leads are one person: what they did becomes one history.

    Recorded is a link of the identifiers that the two go by. Nothing is moved, and
    `lead unmerge` takes it back without a trace in any figure; `lead identity` shows who
    linked them, when and why.

    \b
        $ leadledger lead merge email:an@example.vn phone:0912345678 --reason "same voice"
    """
    with hand_on(db, reason) as (opened, hand):
        from engine.lead_names import find
        from engine.merging import merge

        known = hand.identifier_key, opened.settings.phone_region
        leads = find(opened.facts, lead, *known), find(opened.facts, other, *known)
        done = merge(opened.facts, leads, hand)
    if as_json:
        output.emit(done)
        return
    link = done["linked"]
    click.echo(f"linked {_both(link)}: one lead now, {done['lead']}")
    output.note(f"to undo it: {_command(link, '…', db)}")


@click.command("unmerge", short_help="Say that two identifiers of a lead are two people.")
@_by_hand
def unmerge_leads(lead: str, other: str, reason: str, db: str | None, as_json: bool) -> None:
    """Say that two identifiers of a lead are two people.

    LEAD and OTHER name identifiers: an id the one that it was made of, whatever lead that is
    of now. Recorded is an unlink, which takes back all that joins these two directly. Where
    they are one lead all the same, the way by which they are is told, and exit code 3 says
    so; on a terminal you are asked which step of it to unlink as well.

    \b
        $ leadledger lead unmerge email:an@example.vn phone:0912345678 --reason "his wife"
    """
    with hand_on(db, reason) as (opened, hand):
        from engine.merging import unmerge

        two = _identifiers(opened, hand, (lead, other))
        done = unmerge(opened.facts, two, hand)
        if as_json:
            output.emit(done)
        else:
            click.echo(f"unlinked {_both(done['unlinked'])}")
        steps = done["still_joined_by"]
        if steps and not as_json:
            steps = _go_on(opened, two, steps, hand, db)
    if steps:
        raise SystemExit(STILL_ONE)
    if not as_json:
        click.echo("two leads now")


def _go_on(
    opened: Session, two: tuple[int, int], steps: list[Document], hand: "Hand", db: str | None
) -> list[Document]:
    """Show how two are still one, and unlink what people say; the way that is left."""
    from engine.merging import still_joined_by, unmerge

    zone = opened.rules_in_force.zone
    while steps:
        _draw(steps, zone)
        if not _on_a_terminal():
            click.echo("To unlink a step as well:")
            for step in steps:
                click.echo(f"  {_command(step, hand.reason, db)}")
            break
        number = _asked_step(len(steps))
        if not number:
            break
        step = steps[number - 1]
        unmerge(opened.facts, _identifiers(opened, hand, _ids(step)), hand)
        click.echo(f"unlinked {_both(step)}")
        steps = still_joined_by(opened.facts, two)
    return steps


def _identifiers(opened: Session, hand: "Hand", names: Sequence[str]) -> tuple[int, int]:
    from engine.lead_names import find_identifier

    region = opened.settings.phone_region
    one, other = (
        find_identifier(opened.facts, name, hand.identifier_key, region) for name in names
    )
    return one, other


def _on_a_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _asked_step(count: int) -> int:
    """The step to unlink, from 1; 0 for none."""
    step: int = click.prompt(
        f"Unlink which step, 1 to {count}? (Enter: none)",
        default=0,
        show_default=False,
        type=click.IntRange(0, count),
        err=True,
    )
    return step


def _draw(steps: Sequence[Document], zone: str) -> None:
    rows = (
        (
            str(number),
            *map(shown, step["identifiers"]),
            f"{step['type']} {step['source']} {step['event_id']}",
            output.clock(step["occurred_at"], zone),
            output.clock(step["recorded_at"], zone),
        )
        for number, step in enumerate(steps, 1)
    )
    columns = ("step", "identifier", "and", "joined by", "happened", "recorded")
    output.table(f"One lead still · times in {zone}", columns, rows, left=len(columns))


def _both(link: Document) -> str:
    return " and ".join(map(shown, link["identifiers"]))


def _ids(link: Document) -> list[str]:
    """The ids of the two identifiers of a link."""
    from engine.identity import ORIGINATOR_DIGITS

    return [who["digest"][:ORIGINATOR_DIGITS] for who in link["identifiers"]]


def _command(link: Document, reason: str, db: str | None) -> str:
    """The command that unlinks two identifiers."""
    words = ["leadledger", "lead", "unmerge", *_ids(link), "--reason", reason]
    return shlex.join([*words, *(("--db", db) if db else ())])
