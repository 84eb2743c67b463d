"""`backup`: a copy of the facts to put away."""

import os
from pathlib import Path

import click

from engine.cli import output
from engine.cli.options import as_json, database


@click.command("backup", short_help="Copy the facts to a file, while others go on.")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@database
@as_json
def backup_command(file: Path, db: str | None, as_json: bool) -> None:
    """Copy the facts to a file that is not there yet, while others go on recording.

    The copy is whole and looked over. The key file is not in it: keep that elsewhere, for
    with both anybody can open personal fields, and without it nobody can. Read models are
    not in it either, since `leadledger rebuild` makes them. For PostgreSQL: pg_dump.

    \b
        $ leadledger backup leadledger-2026-03-01.db
    """
    from engine.errors import NoFileToCopy
    from engine.settings import database_path, database_url
    from engine.store.backup import back_up

    path = database_path(database_url(os.environ, db))
    if path is None:
        raise NoFileToCopy
    size = back_up(path, file)
    if as_json:
        output.emit({"file": str(file), "bytes": size})
    else:
        click.echo(f"{output.plain(str(file))}: {size:,} bytes; the keys are not in it")
