"""`rules`: check, list, show, compose and compare rule sets; publish them, and look at the book."""

from datetime import date
from typing import TYPE_CHECKING, Any

import click

from engine.cli import output
from engine.cli.group import Group
from engine.cli.options import Instant, as_json, database, known_at, language
from engine.cli.session import Session, session

if TYPE_CHECKING:
    from engine.cli.options import Position
    from engine.rulediff import Difference
    from engine.ruleset import RuleSet

Document = dict[str, Any]
DIFFER = 5  # exit code
ID_DIGITS = 12  # of an id, where people read it
FOLDING = {
    "folding": "folding changes: touchpoints are judged by other rules",
    "questions": "folding stays as it is: only what is asked changes, as funnels and segments",
    "words": "folding and questions stay as they are: only names, labels or notation change",
}


@click.group("rules", cls=Group, short_help="Rule sets: check, show, compare and publish them.")
def rules_command() -> None:
    """Rule sets: what signals, scores, stages, funnels, clocks and segments mean.

    Only `publish` changes anything. docs/rules.md explains the language.

    \b
        $ leadledger rules show default > mine.toml
        $ leadledger rules check mine.toml
        $ leadledger rules diff live mine.toml
        $ leadledger rules publish mine.toml --retroactive
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
@database
@as_json
def show_rules(name: str, db: str | None, as_json: bool) -> None:
    """Print a rule set: a shipped one by name, a file, or a published one by its id.

    The first 6 digits of an id are enough; `live` is the rule set in force now.

    \b
        $ leadledger rules show default
    """
    from engine.rulefile import parse

    text = _text(name, db)
    rules = parse(text, name)
    if as_json:
        output.emit({"name": rules.name, "id": rules.id, "fold_id": rules.fold_id, "toml": text})
    else:
        click.echo(text, nl=False)


def _text(named: str, db: str | None) -> str:
    """The text of a file, of a shipped rule set, or of a published one."""
    from engine.publishing import is_published
    from engine.rulefile import file_of, read

    if not is_published(named):  # for which there need be no database
        return read(file_of(named))
    with session(db) as opened:
        return opened.text(named)


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


@rules_command.command("diff", short_help="Show what differs between two rule sets.")
@click.argument("older", metavar="A")
@click.argument("newer", metavar="B")
@database
@as_json
def diff_rules(older: str, newer: str, db: str | None, as_json: bool) -> None:
    """Show what differs between two rule sets, key by key, and whether folding changes.

    A and B are files, shipped names, ids of published rule sets (6 digits are enough), or
    `live`, the rule set in force now. Moves, steps and the like are numbered as they stand
    in A, new ones as in B. Exit code 5 says that something differs.

    \b
        $ leadledger rules diff live mine.toml
        score engagement: half-life 14 days → 30 days
        folding changes: touchpoints are judged by other rules
    """
    from engine.rulediff import changes, differences
    from engine.rulefile import decode, parse

    texts = [_text(named, db) for named in (older, newer)]
    one, other = (parse(text, named) for text, named in zip(texts, (older, newer), strict=True))
    found, what = differences(*map(decode, texts)), changes(one, other)
    if as_json:
        both = {"a": _named(one), "b": _named(other)}
        output.emit({**both, "changes": what, "differences": [_line(line) for line in found]})
    elif found:
        for line in found:
            click.echo(output.plain(line.words))
        click.echo(FOLDING[what])
    else:
        click.echo(f"no difference: both are {one.name} {one.id[:ID_DIGITS]}")
    if found:
        raise SystemExit(DIFFER)


def _named(rules: "RuleSet") -> Document:
    return {"name": rules.name, "id": rules.id, "fold_id": rules.fold_id}


def _line(line: "Difference") -> Document:
    """A difference with its values as JSON has them."""
    from msgspec import Raw

    from engine.ruleid import canonical

    values = {"before": Raw(canonical(line.before)), "after": Raw(canonical(line.after))}
    return {**line._asdict(), **values}


@rules_command.command("publish", short_help="Put a rule set in force, from an instant on.")
@click.argument("file", metavar="FILE|NAME|ID")
@click.option("--retroactive", is_flag=True, help="For all time: history is judged anew by it.")
@click.option(
    "--from",
    "since",
    type=Instant(),
    help="From this instant on, past or future, such as 2026-03-01T08:00:00+07:00; a date means "
    "where that day begins in the rule set's time zone.  [default: now]",
)
@database
@as_json
def publish_rules(
    file: str, retroactive: bool, since: "int | date | None", db: str | None, as_json: bool
) -> None:
    """Put a rule set in force: what happens from an instant on is judged by it.

    What happened before stays judged by the rules of then, and goes on under the new ones: so
    these must have every score, track, stage and clock of the rule set before. With
    --retroactive all of history is judged anew: the read models are filled beside those in use,
    as by `replay start` and `promote`, and `replay revert` takes it back. Later publications end
    where this one begins. What was published is kept as it is, under its id; `rules log` lists
    it.

    \b
        $ leadledger rules publish mine.toml
        $ leadledger rules publish mine.toml --from 2026-03-01
        $ leadledger rules publish mine.toml --retroactive
    """
    if retroactive and since is not None:
        raise click.UsageError("--retroactive is for all time, --from is not: give one of them.")
    from engine.instants import start_of
    from engine.publishing import publish
    from engine.rulefile import parse

    text = _text(file, db)
    rules = parse(text, file)
    at = start_of(since, rules.zone) if isinstance(since, date) else since
    with session(db, create=True) as opened:
        if retroactive:
            done = _judge_anew(opened, rules, text)
        else:
            done = publish(opened.facts, rules, text, at)
    if as_json:
        output.emit(done)
        return
    if not done["published"]:
        click.echo(f"in force already: {_told(done, rules.zone)}; nothing was published")
        return
    click.echo(f"published {_told(done, rules.zone)}")
    for one in done["out_of_force"]:
        click.echo(f"out of force is {_told(one, rules.zone)}")
    click.echo(FOLDING[done["changes"]])


def _judge_anew(opened: Session, rules: "RuleSet", text: str) -> Document:
    """Publish a rule set for all time; readers have its figures at once."""
    from engine import replay
    from engine.cli.progress import progress
    from engine.history import BEGINNING
    from engine.publishing import outcome

    before, kept = opened.book(None), replay.written(text, rules.name)
    with progress("Replaying history") as report:
        replay.publish_retroactively(opened.facts, opened.models, kept, report)
    return outcome(before, rules, BEGINNING)


def _told(entry: Document, zone: str) -> str:
    """A rule set of the book, and since when it judges."""
    return f"{entry['name']} {entry['id'][:ID_DIGITS]} from {_since(entry, zone)}"


def _since(entry: Document, zone: str) -> str:
    at = entry["effective_at"]
    return "the beginning" if at is None else f"{output.clock(at, zone)} {zone}"


@rules_command.command("log", short_help="List what was published, and when it is in force.")
@known_at
@database
@as_json
def log_of_rules(known_at: "Position | int | date | None", db: str | None, as_json: bool) -> None:
    """List every publication in its order, and from when to when it is in force.

    Before the first there is what judges by itself: the shipped default.

    \b
        $ leadledger rules log
        $ leadledger rules log --known-at 2026-03-01 --json
    """
    from engine.publishing import log

    with session(db) as opened:
        lines = log(opened.facts, opened.position(known_at))
        zone = opened.rules_in_force.zone
    if as_json:
        output.emit(lines)
        return
    columns = ("number", "published", "at", "rules", "id", "in force from", "until")
    rows = (_row(line, zone) for line in lines)
    output.table(f"The rule book · times in {zone}", columns, rows, left=len(columns))


def _row(line: Document, zone: str) -> tuple[str, ...]:
    def shown(at: str | None, none: str) -> str:
        return none if at is None else output.clock(at, zone)

    until = line["in_force"] and shown(line["in_force"]["until"], "–")
    return (
        "–" if line["number"] is None else str(line["number"]),
        shown(line["published_at"], "–"),
        "–" if line["position"] is None else f"#{line['position']}",
        line["name"],
        line["id"][:ID_DIGITS],
        shown(line["effective_at"], "the beginning"),
        until or f"out of force by {line['put_out_by']}",
    )
