"""`migrate`: bring an older database to the tables of this program."""

import click

from engine.cli.options import as_json, database


@click.command("migrate", short_help="Bring an older database up to this program.")
@database
@as_json
def migrate_command(db: str | None, as_json: bool) -> None:
    """Bring the tables of an older database up to those of this program.

    Nothing recorded is lost or changed in meaning, and read models stay as they are. It is
    one transaction: all that is missing is applied, or nothing. Running it again does
    nothing, and a database that a newer program has migrated is refused. There is no way
    back but a backup: stop what writes, make one, and then migrate.

    On a PostgreSQL server it also makes the tables where there are none yet.

    \b
        $ leadledger migrate
        $ leadledger migrate --db postgresql://leadledger@localhost/leads
    """
    import os

    from engine.cli.output import emit
    from engine.settings import database_url
    from engine.store.migrating import migrate
    from engine.store.revision import REVISION

    done = migrate(database_url(os.environ, db))
    if as_json:
        steps = [step._asdict() for step in done.steps]
        emit({"database": done.name, "before": done.before, "after": REVISION, "applied": steps})
        return
    if done.before == REVISION:
        click.echo(f"{done.name} has the tables of this program, {REVISION}; nothing was changed")
        return
    click.echo(f"{done.name} had tables of version {done.before}; they are of {REVISION} now")
    for step in done.steps:
        click.echo(f"  {step.revision}  {step.what}")
