"""`demo` and `doctor`: a first look, and what is wrong."""

from pathlib import Path

import click

from engine.cli import output
from engine.cli.options import as_json, database
from engine.cli.progress import progress
from engine.cli.session import UNASKED, Session, session

DEMO_FOLDER = "demo-data"
FUNNEL = "first_touch_to_won"


@click.command("demo", short_help="Record a made-up business and show its figures.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(DEMO_FOLDER),
    show_default=True,
    help="Where the demo's database goes; what an earlier demo left there is replaced.",
)
@click.option(
    "--leads",
    type=click.IntRange(min=1),
    default=2_400,
    show_default=True,
    metavar="N",
    help="How many leads are made up.",
)
@click.option(
    "--seed",
    type=int,
    default=7,
    show_default=True,
    metavar="N",
    help="Another number makes up another business.",
)
def demo_command(folder: Path, leads: int, seed: int) -> None:
    """Record a made-up business of the last 90 days and show its funnel and pipeline.

    All of it goes into a folder of its own; your own leads are not touched.

    \b
        $ leadledger demo
        $ leadledger demo --leads 300 --folder /tmp/demo
    """
    from engine import demo

    database = demo.clean(folder)
    with session(str(database), create=True) as opened:
        with progress("Recording the sample", 1) as report:
            done = demo.record_sample(
                opened.facts, opened.edge, opened.workspace_key, (seed, leads), report
            )
        click.echo(
            f"{done.received:,} touchpoints: {done.recorded:,} recorded, "
            f"{done.duplicates:,} came twice, "
            f"{sum(done.set_aside.values()):,} set aside"
        )
        _next_steps(database, _show(opened))


def _show(opened: Session) -> str:
    """Draw funnel and pipeline; the id of a lead worth looking at."""
    from engine.cli import reports
    from engine.reports import funnel, leads, pipeline

    frames = opened.frames(UNASKED, (*pipeline.NEEDS, *funnel.NEEDS[1:]))
    zone = frames.rules.zone
    reports.draw_funnel(funnel.report(frames, FUNNEL), (), "en", zone)
    reports.draw_pipeline(pipeline.report(frames), (), "en", zone)
    won = leads.report(frames, leads.Filters(stage="sales.won"), 1)["leads"]
    some: str = (won or leads.report(frames, limit=1)["leads"])[0]["lead"]
    return some


def _next_steps(database: Path, lead: str) -> None:
    output.note(
        f"""
What to try next:
  export LEADLEDGER_DATABASE_URL={database}
  .venv/bin/leadledger funnel {FUNNEL} --by channel
  .venv/bin/leadledger pipeline --by owner --lang vi
  .venv/bin/leadledger leads --segment hot_and_idle
  .venv/bin/leadledger pipeline --rules aida
  .venv/bin/leadledger lead show {lead}
  .venv/bin/leadledger lead history {lead}
  .venv/bin/leadledger --help"""
    )


@click.command("doctor", short_help="Say what is wrong, and how to mend it.")
@database
@as_json
def doctor_command(db: str | None, as_json: bool) -> None:
    """Look over everything that can be wrong, and say how to mend it; changes nothing.

    Exit code 1 if something is wrong.

    \b
        $ leadledger doctor
    """
    import os

    from engine import doctor

    findings = doctor.examine(os.environ, db)
    if as_json:
        output.emit([finding.document() for finding in findings])
    else:
        for finding in findings:
            mark = "ok " if finding.ok else "BAD"
            click.echo(f"{mark} {finding.check}: {finding.what}")
            if finding.fix:
                click.echo(f"      → {finding.fix}")
    raise SystemExit(0 if all(finding.ok for finding in findings) else 1)
