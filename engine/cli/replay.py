"""`replay`: history under other rules beside what readers see, and putting them in force."""

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from engine.cli import output
from engine.cli.group import Group
from engine.cli.options import as_json, database
from engine.cli.progress import progress
from engine.cli.session import Session, session
from engine.cli.whatif import diff_command

if TYPE_CHECKING:
    from engine.projections.runs import Run

Document = dict[str, Any]
Command = TypeVar("Command", bound=Callable[..., Any])
STOPPED = 130  # exit code: it is not ready
ID_DIGITS = 12  # of an id, where people read it
NEXT = {  # what to do with a run, by its state
    "paused": "to go on: {resume}",
    "ready": "to put it in force: {promote}",
    "promoted": "to take it back: {revert}; to let go of what it replaced: {drop}",
    "reverted": "to put it in force again: {promote}; to let go of it: {drop}",
}


@click.group(
    "replay", cls=Group, short_help="History under other rules, and putting them in force."
)
def replay_command() -> None:
    """What other rules make of all history, filled beside what readers see, and put in force.

    A replay announces and sends nothing. While it runs, all else goes on; readers see the one
    or the other, never a mix, and what was replaced stays until `replay drop`.

    \b
        $ leadledger replay start mine.toml
        $ leadledger replay promote
        $ leadledger replay revert
    """


for more in (diff_command,):
    replay_command.add_command(more)


def _of_one(command: Command) -> Command:
    """What commands about one replay take."""
    run = click.argument("run", type=click.IntRange(min=1), required=False)
    return run(database(as_json(command)))


anyway = click.option(
    "--anyway", is_flag=True, help="Also where rules were published since, which it puts an end to."
)


@replay_command.command("start", short_help="Fill read models under other rules, beside the live.")
@click.argument("rules", metavar="FILE|NAME|ID")
@database
@as_json
def start_replay(rules: str, db: str | None, as_json: bool) -> None:
    """Fill read models under other rules, beside the live ones, until they are caught up.

    Nobody sees them before `replay promote`. Ctrl-C or SIGTERM pauses it; wherever it is ended,
    `replay resume` goes on from there. The rules are kept from now on, under their id.

    \b
        $ leadledger replay start mine.toml
    """
    from engine import replay

    def start(opened: Session, *how: Any) -> "Run":
        kept = replay.written(opened.text(rules), rules)
        return replay.start(opened.facts, opened.models, kept, *how)

    _work(start, db, as_json)


@replay_command.command("resume", short_help="Go on with a replay that was stopped.")
@_of_one
def resume_replay(run: int | None, db: str | None, as_json: bool) -> None:
    """Go on with a replay that was paused, or whose process ended; RUN only where several were.

    \b
        $ leadledger replay resume
        $ leadledger replay resume 3
    """
    from engine import replay
    from engine.replay_runs import fitting

    def resume(opened: Session, *how: Any) -> "Run":
        number = fitting(opened.facts, opened.models, "resume", run).number
        return replay.resume(opened.facts, opened.models, number, *how)

    _work(resume, db, as_json)


@replay_command.command("list", short_help="List replays, and how far they have come.")
@database
@as_json
def list_replays(db: str | None, as_json: bool) -> None:
    """List replays: their state, whose rules are in force, how far they are, and how fast.

    Counted are identifiers, of which a lead has one or more. `interrupted` is one that should
    be running, and no process is at it: `replay resume`.

    \b
        $ leadledger replay list
    """
    from engine.replay_runs import in_force, standing

    with session(db) as opened:
        runs, rules = standing(opened.facts, opened.models), opened.rules_in_force
        live = in_force(runs, opened.facts.rule_book(), rules.id)
    zone = rules.zone
    found = [{**_document(run), "in_force": run.number == live} for run in runs]
    if as_json:
        output.emit(found)
        return
    columns = ("replay", "rules", "id", "state", "began", "done", "of", "a second", "left")
    rows = (_row(document, zone) for document in found)
    output.table(f"Replays: {len(found):,} · times in {zone}", columns, rows, left=5)


@replay_command.command("pause", short_help="Stop a replay for now.")
@_of_one
def pause_replay(run: int | None, db: str | None, as_json: bool) -> None:
    """Let the process that works on a replay stop; `replay resume` goes on from there.

    \b
        $ leadledger replay pause
    """
    from engine import replay

    _do("pause", lambda opened, number: replay.pause(opened.models, number), run, db, as_json)


@replay_command.command("cancel", short_help="End a replay before it is ready.")
@_of_one
def cancel_replay(run: int | None, db: str | None, as_json: bool) -> None:
    """End a replay before it is ready; what it filled is dropped, and who works on it stops.

    \b
        $ leadledger replay cancel 3
    """
    from engine.replay import cancel

    def do(opened: Session, number: int) -> "Run":
        return cancel(opened.facts, opened.models, number)

    _do("cancel", do, run, db, as_json)


@replay_command.command("promote", short_help="Put the rules of a replay in force for all time.")
@anyway
@_of_one
def promote_replay(run: int | None, anyway: bool, db: str | None, as_json: bool) -> None:
    """Put the rules of a replay in force for all time: readers see what it filled from then on.

    That is `rules publish --retroactive` with no wait. Where rules were published since it
    began they are named, and it wants --anyway. What it replaces is kept until `replay drop`.

    \b
        $ leadledger replay promote
        $ leadledger replay promote 3 --anyway
    """
    from engine.replay import promote

    def do(opened: Session, number: int) -> "Run":
        return promote(opened.facts, opened.models, number, anyway=anyway)

    _do("promote", do, run, db, as_json)


@replay_command.command("revert", short_help="Put back in force what a replay replaced.")
@anyway
@_of_one
def revert_replay(run: int | None, anyway: bool, db: str | None, as_json: bool) -> None:
    """Publish again, in order, what was in the rule book before a replay was promoted.

    Readers see at once what they would see had it never been promoted. The replay is kept, and
    can be promoted again, until `replay drop`.

    \b
        $ leadledger replay revert
    """
    from engine.replay import revert

    def do(opened: Session, number: int) -> "Run":
        return revert(opened.facts, opened.models, number, anyway=anyway)

    _do("revert", do, run, db, as_json)


@replay_command.command("drop", short_help="Let go of what a replay keeps.")
@_of_one
def drop_replay(run: int | None, db: str | None, as_json: bool) -> None:
    """Let go of what a replay keeps: what it replaced once promoted, else what it filled.

    What is in force stays. It cannot be reverted or promoted from then on.

    \b
        $ leadledger replay drop
    """
    from engine.replay import drop

    def do(opened: Session, number: int) -> "Run":
        return drop(opened.facts, opened.models, number)

    _do("drop", do, run, db, as_json)


def _work(work: Callable[..., "Run"], db: str | None, as_json: bool) -> None:
    """Start or resume a replay until it is ready or stopped, and tell which."""
    from engine.service import stopped_by_signals

    bar = progress("Replaying", 1, unit="identifiers")
    with session(db) as opened, stopped_by_signals() as stop, bar as report:
        run = work(opened, report, stop.is_set)
    _tell(run, db, as_json)
    if run.state != "ready":
        raise SystemExit(STOPPED)


def _do(
    what: str,
    do: Callable[[Session, int], "Run"],
    number: int | None,
    db: str | None,
    as_json: bool,
) -> None:
    """Do something with the replay that is named, or the only one that it can be done with."""
    from engine.replay_runs import fitting

    with session(db) as opened:
        run = do(opened, fitting(opened.facts, opened.models, what, number).number)
    _tell(run, db, as_json)


def _tell(run: "Run", db: str | None, as_json: bool) -> None:
    if as_json:
        output.emit(_document(run))
    else:
        far = f"{run.done:,} of {run.total:,} identifiers done"
        rules = output.plain(f"{run.name} {run.rules_id[:ID_DIGITS]}")
        click.echo(f"replay {run.number} of {rules} is {run.state}: {far}")
    named = f" --db {shlex.quote(db)}" if db else ""
    commands = {
        name: f"leadledger replay {name} {run.number}{named}"
        for name in ("resume", "promote", "revert", "drop")
    }
    if run.state in NEXT:
        output.note(NEXT[run.state].format(**commands))


def _document(run: "Run") -> Document:
    from engine.instants import format_instant

    return {
        "replay": run.number,
        "name": run.name,
        "rules_id": run.rules_id,
        "state": run.state,
        "started_at": format_instant(run.started_at),
        "done": run.done,
        "total": run.total,
        "per_second": run.rate,
        "seconds_left": run.left_s,
        "generation": run.generation,
        "replaced": run.replaced,
    }


def _row(listed: Document, zone: str) -> tuple[str, ...]:
    rate, left = listed["per_second"], listed["seconds_left"]
    return (
        str(listed["replay"]),
        listed["name"],
        listed["rules_id"][:ID_DIGITS],
        listed["state"] + (", in force" if listed["in_force"] else ""),
        output.clock(listed["started_at"], zone),
        output.count(listed["done"]),
        output.count(listed["total"]),
        "–" if rate is None else f"{rate:,.0f}",
        "–" if left is None else f"{left:,.0f} s",
    )
