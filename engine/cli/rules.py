"""`rules`: check, list, show and compose rule sets."""

from typing import Any

import click

from engine.cli import output
from engine.cli.group import Group
from engine.cli.options import as_json, language


@click.group("rules", cls=Group, short_help="Rule sets: check, list, show and compose them.")
def rules_command() -> None:
    """Rule sets: what signals, scores, stages, funnels, clocks and segments mean.

    None of these commands changes anything. docs/rules.md explains the language.

    \b
        $ leadledger rules list
        $ leadledger rules show default > mine.toml
        $ leadledger rules check mine.toml
    """


@rules_command.command("check")
@click.argument("file")
@as_json
def check_rules(file: str, as_json: bool) -> None:
    """Check a rule file, or one that ships; every fault is listed with its key and line.

    \b
        $ leadledger rules check rules/default.toml
        default is sound
    """
    from engine.errors import RulesInvalid
    from engine.rulefile import file_of, load

    try:
        rules = load(file_of(file))
    except RulesInvalid as invalid:
        if not as_json:
            raise
        faults = [fault._asdict() for fault in invalid.faults]
        output.emit({"file": file, "faults": faults})
        raise SystemExit(invalid.exit_code) from None
    if as_json:
        output.emit({"file": file, "name": rules.name, "id": rules.id, "faults": []})
    else:
        click.echo(f"{rules.name} is sound")


@rules_command.command("list", short_help="List the rule sets that come with the engine.")
@language
@as_json
def list_rules(lang: str, as_json: bool) -> None:
    """List the rule sets that come with the engine, with the stages of their first track.

    \b
        $ leadledger rules list --lang vi
    """
    from engine.rulefile import load, shipped

    found = [(name, load(path)) for name, path in shipped().items()]
    if as_json:
        output.emit([{"name": name, "id": r.id, "label": dict(r.label)} for name, r in found])
        return
    rows = (
        (name, output.words(dict(rules.label), "", lang), _stages(rules, lang))
        for name, rules in found
    )
    output.table("", ("name", "what", "stages"), rows, left=3)


def _stages(rules: Any, lang: str) -> str:
    first = rules.tracks[0].stages if rules.tracks else ()
    return " · ".join(output.words(dict(stage.label), stage.name, lang) for stage in first)


@rules_command.command("show")
@click.argument("name")
@as_json
def show_rules(name: str, as_json: bool) -> None:
    """Print a rule set: a shipped one by name, or a file.

    \b
        $ leadledger rules show default
    """
    from engine.rulefile import file_of, parse, read

    path = file_of(name)
    text = read(path)
    rules = parse(text, str(path))
    if as_json:
        output.emit({"name": rules.name, "id": rules.id, "fold_id": rules.fold_id, "toml": text})
    else:
        click.echo(text, nl=False)


@rules_command.command("compose", short_help="Make one rule file of several; print it.")
@click.argument("files", nargs=-1, required=True)
@click.option("--name", help="What the composed rule set is called.")
def compose_rules(files: tuple[str, ...], name: str | None) -> None:
    """Make one rule file of several, which then run side by side; print it.

    FILES are files or names of rule sets that ship.

    \b
        $ leadledger rules compose aida temperature_bought > both.toml
    """
    from engine.compose import compose_files
    from engine.rulefile import file_of

    click.echo(compose_files([file_of(file) for file in files], name), nl=False)
