"""`import`, `export`, `head` and `rebuild`: what goes in, what comes out, where things stand."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.cli import output
from engine.cli.group import Group
from engine.cli.options import as_json, database, reading
from engine.cli.progress import progress
from engine.cli.session import Session, session

if TYPE_CHECKING:
    from engine.folded import Folded
    from engine.reading import View

SET_ASIDE = 3  # exit code: refused in part, the rest is done
BYTES_WORTH_SHOWING = 4 << 20


@click.command("import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--mapping",
    metavar="FILE|NAME",
    help="How rows become touchpoints: a TOML file, or a mapping that ships "
    "(docs/mappings.md). Without it, lines are touchpoints in JSON (docs/formats.md).",
)
@database
@as_json
def import_command(file: Path, mapping: str | None, db: str | None, as_json: bool) -> None:
    """Record the touchpoints of a file; again, it changes nothing.

    The database is made if there is none; a file ending in .gz is unpacked on the way.
    An import that was stopped goes on where it stopped. What cannot be accepted is
    set aside with its reason (exit code 3): see `leadledger aside list`.

    \b
        $ leadledger import touchpoints.jsonl
        $ leadledger import deals.csv --mapping olist_deals
        $ leadledger import leads.csv --mapping ./our_crm.toml --db leads.db
    """
    from engine import importer, mapfile

    rows = None if mapping is None else mapfile.load(mapping)
    bar = progress(f"Importing {file.name}", BYTES_WORTH_SHOWING)
    with session(db, create=True) as opened, bar as report:
        done = importer.import_file(
            opened.facts,
            opened.edge,
            file,
            rows,
            workspace_key=opened.workspace_key,
            progress=report,
        )
    if as_json:
        output.emit({name: getattr(done, name) for name in done.__dataclass_fields__})
    else:
        aside = f"{sum(done.set_aside.values()):,} set aside"
        if done.set_aside:
            aside += f" ({_by_reason(done.set_aside)}); `leadledger aside list` says why"
        click.echo(
            f"{done.received:,} received: {done.recorded:,} recorded, "
            f"{done.duplicates:,} known already, {aside}"
        )
        if done.dropped:
            nobody = f"{sum(done.dropped.values()):,} identifiers that name nobody"
            click.echo(f"{nobody} were left out ({_by_reason(done.dropped)})")
    raise SystemExit(SET_ASIDE if done.set_aside else 0)


def _by_reason(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in sorted(counts.items()))


@click.command("head", short_help="Print the position of the last recorded touchpoint.")
@database
@as_json
def head_command(db: str | None, as_json: bool) -> None:
    """Print the position of the last recorded touchpoint; changes nothing.

    \b
        $ leadledger head
    """
    with session(db) as opened:
        position = opened.facts.head()
    if as_json:
        output.emit({"head": position})
    else:
        click.echo(position)


@click.command("rebuild", short_help="Derive all read models anew from the facts.")
@click.option(
    "--identity",
    is_flag=True,
    help="First make again, from the touchpoints, what is kept of who is named beside whom; "
    "nothing else is recorded meanwhile.",
)
@database
@as_json
def rebuild_command(identity: bool, db: str | None, as_json: bool) -> None:
    """Derive all read models anew, from nothing but the facts; readers see the old until then.

    Never needed for right answers, only where `leadledger doctor` says so: the file
    beside the database that ends in .models.db is written again, or the schema `models`.

    \b
        $ leadledger rebuild
        $ leadledger rebuild --identity
    """
    with session(db) as opened:
        if identity:
            with progress("Reading touchpoints") as report:
                opened.facts.rebuild_evidence(report)
        generation, leads = _derive_anew(opened)
    if as_json:
        output.emit({"generation": generation, "leads": leads})
    else:
        click.echo(f"generation {generation}: {leads:,} leads derived")


def _derive_anew(opened: Session) -> tuple[int, int]:
    """The number of the new generation, and how many leads are in it."""
    from engine.errors import ReadModelsDamaged
    from engine.projections import runner
    from engine.projections.database import Models
    from engine.projections.generations import lead_count

    with progress("Deriving leads") as report:
        facts = opened.facts
        try:
            models = opened.models
        except ReadModelsDamaged:
            Models.discard(opened.models_at)
            models = opened.models
        generation = runner.rebuild(facts, models, facts.clock(), report)
        with models.reading() as connection:
            return generation.number, lead_count(connection, generation)


@click.group("export", cls=Group)
def export_command() -> None:
    """States and funnels, one JSON object a line.

    \b
        $ leadledger export states > states.jsonl
    """


@export_command.command("states", short_help="Print every lead's state.")
@reading
def export_states(**where: Any) -> None:
    """Print every lead's state, ordered by the first touchpoint; changes nothing.

    \b
        $ leadledger export states > states.jsonl
        $ leadledger export states --as-of 2026-03-01T08:00:00+07:00
    """
    from engine.states import state_documents

    with session(where["db"]) as opened:
        output.emit_lines(state_documents(_folded(opened, opened.view(where))))


@export_command.command("funnel", short_help="Print each lead's way through a funnel.")
@click.argument("name")
@reading
def export_funnel(name: str, **where: Any) -> None:
    """Print a line per lead that entered a funnel; changes nothing.

    With `entry = "every"` in the rules it is a line per attempt. `leadledger funnel`
    lists the names.

    \b
        $ leadledger export funnel first_touch_to_won > ways.jsonl
    """
    from engine.errors import UnknownName
    from engine.states import funnel_documents

    with session(where["db"]) as opened:
        view = opened.view(where)
        names = [funnel.name for funnel in view.rules.funnels]
        if name not in names:
            raise UnknownName("funnel", name, names)
        output.emit_lines(funnel_documents(_folded(opened, view), name))


def _folded(opened: Session, view: "View") -> "Folded":
    from engine.folding import fold

    return fold(opened.facts.histories(known_at=view.known_at), view.book, view.as_of)
