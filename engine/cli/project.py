"""`project`: keep the read models up to date, for as long as it runs."""

import threading
from typing import TYPE_CHECKING

import click

from engine.cli.options import database, metrics_port
from engine.cli.session import Session, session

if TYPE_CHECKING:
    from engine.projections.database import Models
    from engine.store.facts import Facts


@click.command("project", short_help="Keep the read models up to date while touchpoints come in.")
@click.option("--once", is_flag=True, help="Bring them up to date, say where they stand, and end.")
@metrics_port
@database
def project_command(once: bool, metrics_port: int | None, db: str | None) -> None:
    """Keep the read models where the facts and the time are, until it is stopped.

    What is recorded shows within a second, leads change when their time comes, and commands
    that read find next to nothing left to derive. Of several one works, and the others stand
    by. While the database is away it waits. SIGTERM or Ctrl-C lets it finish its batch.

    \b
        $ leadledger project
        $ leadledger project --once
    """
    with session(db) as opened:
        if once:
            return _bring_up_to_date(opened)
        from engine.projections.follower import follow
        from engine.service import show_metrics, stopped_by_signals, tell

        tell()
        show_metrics(opened.settings, metrics_port)
        with stopped_by_signals() as stop:
            stores = _stores(opened, stop)
            if stores is not None:
                follow(*stores, stop.is_set)


def _bring_up_to_date(opened: Session) -> None:
    from engine.cli.progress import progress
    from engine.instants import format_instant
    from engine.projections import runner

    facts = opened.facts
    with progress("Deriving leads") as report:
        live = runner.bring_up_to_date(facts, opened.models, facts.clock(), report)
    click.echo(f"position {live.checkpoint:,}, as of {format_instant(live.settled_to)}")


def _stores(opened: Session, stop: threading.Event) -> "tuple[Facts, Models] | None":
    """Facts and read models, once the database is there; None where it is stopped before."""
    from engine.projections.follower import PASSING, Patience

    patience = Patience(stop.is_set, "project")
    while not stop.is_set():
        try:
            return opened.facts, opened.models
        except PASSING as error:
            patience.wait(error)
    return None
