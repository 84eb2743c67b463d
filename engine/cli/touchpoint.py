"""`touchpoint`: single touchpoints; taking one back."""

from typing import Any

import click

from engine.cli import output
from engine.cli.by_hand import hand_on, reason
from engine.cli.group import Group
from engine.cli.options import as_json, database

Document = dict[str, Any]


@click.group("touchpoint", cls=Group, short_help="A touchpoint: take it back.")
def touchpoint_command() -> None:
    """A single touchpoint, named by its source and event id as `lead history` shows them.

    \b
        $ leadledger touchpoint retract crm e-17 --reason "a test of ours"
    """


@touchpoint_command.command("retract", short_help="Take a touchpoint back: it never counted.")
@click.argument("source")
@click.argument("event_id")
@click.option(
    "--anyway",
    is_flag=True,
    help="Even if it is not recorded yet: it will be void when it comes.",
)
@reason
@database
@as_json
def retract_touchpoint(
    source: str, event_id: str, anyway: bool, reason: str, db: str | None, as_json: bool
) -> None:
    """Take a touchpoint back: from now on it counts nowhere, at no instant.

    Recorded is a retraction; nothing is deleted, and what is known at an earlier position or
    instant (--known-at) still shows the touchpoint in every figure. A retraction cannot be
    taken back: to retract it has no effect.

    \b
        $ leadledger touchpoint retract crm e-17 --reason "a test of ours"
    """
    with hand_on(db, reason) as (opened, hand):
        from engine.retracting import retract

        done = retract(opened.facts, (source, event_id), hand, anyway=anyway)
        zone = opened.rules_in_force.zone
    if as_json:
        output.emit(done)
        return
    click.echo(output.plain(_said(done, zone)))
    if done["retracted"]["position"] is not None:
        output.note(f"known at #{done['by']['position'] - 1} and before, it still counts")


def _said(done: Document, zone: str) -> str:
    """What is void now, in a sentence."""
    voided = done["retracted"]
    name = f"{voided['source']} {voided['event_id']}"
    if voided["position"] is None:
        return f"{name} is not recorded yet; it will be void when it comes"
    said = f"retracted {voided['type']} {name} of {output.moment(voided['occurred_at'], zone)}"
    return f"{said}, of the lead {done['lead']}" if done["lead"] else f"{said}, which is of no lead"
