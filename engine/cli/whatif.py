"""`replay diff`: what other rules would have made of every lead; added to `replay`."""

import csv
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.cli import output
from engine.cli.options import Instant, as_json, database, known_at
from engine.cli.progress import progress
from engine.cli.session import Session, session

if TYPE_CHECKING:
    from engine.book import Book
    from engine.journal.journal import Journal
    from engine.whatif.whatif import Outcome, Preview, Question, Stored

Document = dict[str, Any]
DIFFER = 5  # exit code
MICRO = 10**6
SHORT_ID = 8  # characters of a lead's id: nearly always enough to name it by
UNTOLD = (".n", "_us", ".mean_days", ".p90_days")  # figures that tables leave out
KEYS = 10  # listed at most; --json has all
PLACES = re.compile(r"here|pool|ray|ray://\S+")


class Points(click.ParamType["int"]):
    """Points with up to six decimals, as micro-points."""

    name = "points"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Micro-points, exactly."""
        if isinstance(value, int):
            return value  # converted already
        whole, _, rest = value.partition(".")
        if not re.fullmatch(r"\d{1,7}(\.\d{1,6})?", value, re.ASCII):
            self.fail(f"{value!r} is no number of points from 0 with up to 6 decimals", param, ctx)
        return int(whole) * MICRO + int(rest.ljust(6, "0"))


class Place(click.ParamType["str"]):
    """Where to fold."""

    name = "here|pool|ray|ray://HOST:PORT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The place as it is."""
        if not PLACES.fullmatch(value):
            self.fail(f"there is no place {value!r}; it is one of {self.name}", param, ctx)
        return str(value)


@click.command("diff", short_help="What other rules would have made of every lead.")
@click.argument("rules", metavar="FILE|NAME|ID")
@click.option(
    "--against",
    metavar="live|FILE|NAME|ID",
    default="live",
    show_default=True,
    help="Compare with these rules; live is the rule book, with all that judged one after another.",
)
@click.option(
    "--as-of",
    type=Instant(),
    help="Compare states at this instant, past or future; a date means where that day begins in "
    "the time zone of the rules.  [default: now]",
)
@known_at
@click.option(
    "--points",
    type=Points(),
    default="0",
    show_default=True,
    help="Scores differ only by more than so many points.",
)
@click.option(
    "--on",
    type=Place(),
    metavar=Place.name,
    default="here",
    show_default=True,
    help="Fold in this process, in a pool of processes, or on a Ray cluster (docs/scaling.md).",
)
@click.option(
    "--journal",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where the columnar journal lies, which is made or extended first; a cluster has to see "
    "it there, too.  [default: beside the file of the database, else in your data folder]",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="N",
    help="List so many leads at most in the table; --json and --csv have all.",
)
@click.option("--csv", "as_csv", is_flag=True, help="CSV: a row for each lead and difference.")
@as_json
@database
def diff_command(rules: str, db: str | None, as_json: bool, **asked: Any) -> None:
    """Show what other rules would have made of every lead; changes nothing.

    All history is folded under both. A lead differs in a stage, a clock, a segment or a score;
    told are both values, where the two folds part first, and by which rule. Then the figures
    of pipeline and funnels that differ; `days` in their names are midnights passed, where the
    pipeline's own table shows days of 24 hours. Exit code 5 says that leads differ.

    \b
        $ leadledger rules show default | sed 's/at_least = 40 }/at_least = 55 }/' > mine.toml
        $ leadledger replay diff mine.toml --limit 1
        67 of 2,400 leads differ
        ...
          part because of           leads
         ─────────────────────────────────
          track.lifecycle.move[5]      67
        ...
    """
    if as_json and asked["as_csv"]:
        raise click.UsageError("--json and --csv are two forms: give one of them.")
    with session(db) as opened:
        source, outcome = _compared(opened, rules, asked)
        _note_what_is_not_compared(outcome)
        if asked["as_csv"]:
            _write_csv(outcome, source)
        elif as_json:
            _write_json(outcome, source)
        else:
            _draw(outcome, source, asked["limit"])
    if len(outcome.parted.leads):
        raise SystemExit(DIFFER)


def _compared(opened: Session, rules: str, asked: Document) -> "tuple[Journal | Stored, Outcome]":
    """Fold all history, with a preview and a bar on standard error."""
    from engine.whatif.whatif import WhatIf, history

    known = opened.position(asked["known_at"])
    question = _question(opened, rules, asked, known)
    with progress("Extending the journal") as report:
        source = history(opened.facts, _folder(opened, asked["journal"]), known, report)
    compared = WhatIf(source, question, asked["on"])
    output.note(_told(compared.preview()))
    with progress("Folding under both") as report:
        return source, compared.outcome(report)


def _question(opened: Session, rules: str, asked: Document, known: int | None) -> "Question":
    from engine.whatif.whatif import Question

    after = _book(opened, rules, known)
    as_of = opened.instant(asked["as_of"], after.at(opened.facts.clock()))
    return Question(_book(opened, asked["against"], known), after, as_of, asked["points"])


def _book(opened: Session, reference: str, known: int | None) -> "Book":
    """The rule book, or one rule set for all time."""
    from engine.publishing import LIVE

    return opened.book(None if reference == LIVE else reference, known)


def _folder(opened: Session, named: Path | None) -> Path:
    """Where the journal lies."""
    from engine.journal.journal import journal_beside
    from engine.settings import DATABASE, database_path, database_url
    from engine.store.facts import file_of, is_server

    if named is not None:
        return named
    if not is_server(opened.settings.database_url):
        return journal_beside(file_of(opened.settings.database_url))
    unnamed = {name: value for name, value in os.environ.items() if name != DATABASE}
    own = database_path(database_url(unnamed))
    assert own is not None, "by itself it is a file"
    return own.with_name(f"{re.sub(r'[^A-Za-z0-9]+', '-', opened.facts.name)}.journal")


def _told(preview: "Preview") -> str:
    seconds = max(1, round(preview.seconds))
    took = f"{seconds} s" if seconds < 100 else f"{round(seconds / 60)} min"
    return (
        f"{preview.touchpoints:,} touchpoints of {preview.leads:,} leads to fold under both, "
        f"about {took}; nothing is changed"
    )


def _note_what_is_not_compared(outcome: "Outcome") -> None:
    shared = outcome.question.shared
    for name, some in zip(_names(outcome), (shared.before, shared.after), strict=True):
        if some:
            output.note(output.plain(f"only in {name}, and not compared: {', '.join(some)}"))
    if not (shared.scores or shared.tracks or shared.clocks or shared.segments):
        output.note("so nothing of a lead is compared; `leadledger leads --rules` shows each side")


def _write_json(outcome: "Outcome", source: "Journal | Stored") -> None:
    """One document; its leads are written as they are made."""
    import msgspec

    from engine.whatif.lines import lead_documents, summary

    out, encoder = sys.stdout.buffer, msgspec.json.Encoder()
    out.write(encoder.encode(summary(outcome))[:-1] + b',"differ":[')
    for number, document in enumerate(lead_documents(outcome, source, None)):
        out.write(b"," * (number > 0) + encoder.encode(document))
    out.write(b"]}\n")
    out.flush()


def _write_csv(outcome: "Outcome", source: "Journal | Stored") -> None:
    from engine.whatif.lines import COLUMNS, lead_documents, rows

    sheet = csv.writer(sys.stdout, lineterminator="\n")
    sheet.writerow(COLUMNS)
    sheet.writerows(rows(lead_documents(outcome, source, None)))
    sys.stdout.flush()


def _draw(outcome: "Outcome", source: "Journal | Stored", limit: int) -> None:
    """How many differ, in what and why; then whom it concerns, and the figures that change."""
    from engine.whatif.lines import lead_documents, summary

    found, names = summary(outcome), _names(outcome)
    differ, zone = found["differing"], outcome.question.before.at(outcome.question.as_of).zone
    click.echo(f"{differ:,} of {found['leads']:,} leads differ")
    if differ:
        _draw_counts(found)
        title = f"leads that differ · times in {zone}"
        if differ > limit:
            title = f"{limit:,} of {differ:,} {title} · --json and --csv list all"
        columns = ("lead", "what", *names, "parts at", "by", "because of")
        rows = _lead_rows(lead_documents(outcome, source, limit), zone)
        output.table(title, columns, rows, left=len(columns))
    _draw_figures(found, names)


def _names(outcome: "Outcome") -> tuple[str, str]:
    """What the two are called; with the beginnings of their ids where their names are one."""
    question = outcome.question
    both = [book.at(question.as_of) for book in (question.before, question.after)]
    if both[0].name != both[1].name:
        return both[0].name, both[1].name
    return f"{both[0].name} {both[0].id[:SHORT_ID]}", f"{both[1].name} {both[1].id[:SHORT_ID]}"


def _draw_counts(found: Document) -> None:
    """In what leads differ, where they go, and which rules part them."""
    kinds = [(f"{one['what']} {one['name']}", one["leads"]) for one in found["differing_in"]]
    moves = [
        (f"{one['track']}: {one['before'] or 'none'} → {one['after'] or 'none'}", one["leads"])
        for one in found["moves"]
    ]
    keys = [(one["key"], one["leads"]) for one in found["keys"][:KEYS]]
    for heading, lines in (("differ in", kinds), ("go", moves), ("part because of", keys)):
        if lines:
            output.table("", (heading, "leads"), [(what, output.count(n)) for what, n in lines])


def _lead_rows(documents: Iterator[Document], zone: str) -> Iterator[tuple[str, ...]]:
    from engine.whatif.lines import shown

    def when(at: str) -> str:
        return output.clock(at, zone)

    for lead in documents:
        name, parted = lead["lead"][:SHORT_ID], lead["parted"]
        where = when(parted["at"]), _by(parted), parted["key"]
        for one in lead["differences"]:
            values = (shown(one["what"], one[side], when) for side in ("before", "after"))
            yield (name, f"{one['what']} {one['name']}", *values, *where)
            name, where = "", ("", "", "")


def _by(parted: Document) -> str:
    """The touchpoint or timed move by which two folds part."""
    if parted["touchpoint"]:
        return f"{parted['touchpoint']['source']} {parted['touchpoint']['event_id']}"
    if timer := parted["timer"]:
        return f"{timer['timer']} ({timer['track']}, move {timer['move']})"
    return "time passing"


def _draw_figures(found: Document, names: tuple[str, str]) -> None:
    """The figures of pipeline and funnels that change, of those that their own tables show."""
    from engine.whatif.lines import figures

    reports = [("pipeline", found["pipeline"])]
    reports += [
        (f"funnel {one['funnel']}", one)
        for one in found["funnels"]
        if one["before"] and one["after"]
    ]
    for title, report in reports:
        lines = [
            (path.replace("tracks.", "").replace("stages.", ""), *_figures(path, was, now))
            for path, was, now in figures(report["before"], report["after"])
            if not path.endswith(UNTOLD)
        ]
        if lines:
            output.table(f"{title}: figures that change", ("figure", *names), lines)


def _figures(path: str, *values: Any) -> tuple[str, ...]:
    """A figure of either side; of values and weighted ones, money in a currency."""
    head, _, currency = path.rpartition(".")
    if head.endswith((".value", ".weighted")):
        return tuple(output.money({currency: value or 0}) for value in values)
    return tuple(map(_figure, values))


def _figure(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.4g}"
    return value if isinstance(value, str) else output.count(round(value))
