"""`announce`: tell what comes about, for as long as it runs."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.cli import output
from engine.cli.options import as_json, database, metrics_port
from engine.cli.session import Session, session

if TYPE_CHECKING:
    from engine.announcer import Office, Once
    from engine.settings import AnnounceSettings
    from engine.sinks.sending import MakeSink

AWAY = 7  # exit code: a sink takes nothing


@click.command("announce", short_help="Tell others what comes about: stages, clocks, segments.")
@click.option("--once", is_flag=True, help="Tell what there is to tell now, send it, and end.")
@click.option(
    "--from-beginning",
    is_flag=True,
    help="Where nothing is told yet, begin with all that was ever recorded, and not with what "
    "comes from now on.",
)
@click.option(
    "--due-soon",
    metavar="DURATION",
    help="Tell of clocks so long before their time is up, such as 15m.  "
    "[env: LEADLEDGER_DUE_SOON; default: never]",
)
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Add them to this file, a JSON object a line.  "
    "[env: LEADLEDGER_ANNOUNCE_FILE; default: none]",
)
@click.option(
    "--webhook",
    metavar="URL",
    help="POST each to this URL, signed with LEADLEDGER_WEBHOOK_SECRET.  "
    "[env: LEADLEDGER_WEBHOOK_URL; default: none]",
)
@metrics_port
@database
@as_json
def announce_command(
    once: bool,
    from_beginning: bool,
    metrics_port: int | None,
    db: str | None,
    as_json: bool,
    **given: object,
) -> None:
    """Tell others, once, that a lead entered a stage, breached a clock, joined or left a segment.

    What is told is kept, numbered, in the database, and goes to the file, the webhook and, where
    LEADLEDGER_KAFKA is set, the topic that LEADLEDGER_LIFECYCLE_TOPIC names. A place that is away
    gets it later; none is skipped. What turns out to be wrong is corrected by name. The first
    run tells nothing of what came before it. Of several processes one works, and the others
    stand by. --json is for --once. docs/announcements.md has the form of what is told.

    \b
        $ leadledger announce --file told.jsonl
        $ leadledger announce --once --from-beginning --json
    """
    if as_json and not once:
        raise click.UsageError("--json is for --once: what runs on has no end to print.")
    with session(db) as opened:
        settings = _settings(given)
        office = _office(opened, settings)
        if once:
            _announce_once(opened, office, settings, from_beginning, as_json)
            return
        from engine.announcer import announce
        from engine.service import show_metrics, stopped_by_signals, tell

        tell()
        show_metrics(opened.settings, metrics_port)
        if from_beginning:
            _begin_with_everything(opened, office, settings)
        with stopped_by_signals() as stop:
            announce(office, stop.is_set)


def _settings(given: dict[str, object]) -> "AnnounceSettings":
    """Those of the environment, outweighed by options."""
    from engine.settings import ANNOUNCE_FILE, DUE_SOON, WEBHOOK_URL, AnnounceSettings

    names = {"due_soon": DUE_SOON, "file": ANNOUNCE_FILE, "webhook": WEBHOOK_URL}
    told = {names[name]: str(value) for name, value in given.items() if value is not None}
    return AnnounceSettings.load({**os.environ, **told})


def _office(opened: Session, settings: "AnnounceSettings") -> "Office":
    from engine.announcer import Office
    from engine.store.facts import Facts

    return Office(
        url=opened.settings.database_url,
        name=_shown(opened.settings.database_url),
        open_facts=lambda: Facts.of(opened.settings, create=False),
        soon_us=settings.due_soon_us,
        sinks=[*_sinks(settings)],
    )


def _sinks(settings: "AnnounceSettings") -> "Iterator[MakeSink]":
    """What makes each sink that is asked for; what is asked wrongly is refused at once."""
    from functools import partial

    if settings.file is not None:
        from engine.sinks.file import FileSink

        yield partial(FileSink, settings.file)
    if settings.webhook_url is not None:
        from engine.sinks.webhook import WebhookSink, receiver_of

        receiver = receiver_of(settings.webhook_url, insecure=settings.webhook_insecure)
        yield partial(WebhookSink, receiver, settings.webhook_secret)
    if os.environ.get("LEADLEDGER_KAFKA"):
        from engine.cli.kafka import kafka_settings
        from engine.sinks.kafka import KafkaSink

        yield partial(KafkaSink, kafka_settings(None))


def _shown(url: str) -> str:
    """A database without its password."""
    from engine.store.facts import is_server

    if not is_server(url):
        return url
    from engine.store.postgres import named

    return named(url)


def _begin_with_everything(opened: Session, office: "Office", settings: "AnnounceSettings") -> None:
    from engine.announcements import Announcer
    from engine.announcer import begin_with_everything, said

    announcer = Announcer(opened.facts, settings.due_soon_us)
    output.note(said(begin_with_everything(office, announcer)))


def _announce_once(
    opened: Session,
    office: "Office",
    settings: "AnnounceSettings",
    from_beginning: bool,
    as_json: bool,
) -> None:
    from engine.announcements import Announcer
    from engine.announcer import announce_once, said
    from engine.cli.progress import progress

    if from_beginning:
        _begin_with_everything(opened, office, settings)
    with progress("Looking at leads") as report:
        done = announce_once(office, Announcer(opened.facts, settings.due_soon_us, report))
    if done.begun is not None:
        output.note(said(done.begun))
    for problem in done.problems:
        output.note(output.plain(str(problem)))
    _show(done, as_json)
    raise SystemExit(AWAY if done.problems else 0)


def _show(done: "Once", as_json: bool) -> None:
    from engine.instants import format_instant

    position, at = done.stand.position, format_instant(done.stand.settled_to)
    if as_json:
        kinds = {kind: done.kinds[kind] for kind in sorted(done.kinds)}
        problems = [{"code": one.code, "problem": str(one)} for one in done.problems]
        output.emit({"told": kinds, "position": position, "settled_to": at, "problems": problems})
        return
    parts = ", ".join(f"{count:,} {kind}" for kind, count in sorted(done.kinds.items()))
    told = f"{done.kinds.total():,} announcements told" + (f" ({parts})" if parts else "")
    click.echo(f"{told}, up to position {position:,}, as of {at}")
