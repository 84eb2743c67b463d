"""`lead suggestions`: likely duplicates, for people to confirm."""

from math import isnan
from typing import TYPE_CHECKING, Any

import click

from engine.cli import output
from engine.cli.options import as_json, database, limit
from engine.cli.progress import progress
from engine.cli.session import session

if TYPE_CHECKING:
    from engine.suggestions import Suggestion

DIGITS = 12  # of an id, in a table: enough to name the lead by
LIKELY = 0.8
WORDS = {
    "address": "same address but for dots and tag",
    "number": "same number",
    "number_swapped": "number with two digits swapped",
    "number_digit": "number with a digit wrong or moved",
    "number_tail": "same last eight digits of the number",
    "name": "same name in one account",
}
AGAINST = {"other_address": "address", "other_number": "number", "other_name": "name or account"}


def _a_number(ctx: click.Context, param: click.Parameter, value: float) -> float:
    if isnan(value):
        raise click.BadParameter("nan is not in the range 0<=x<=1.", ctx, param)
    return value


@click.command("suggestions", short_help="List likely duplicates, for people to confirm.")
@click.option(
    "--min-rank",
    "least",
    type=click.FloatRange(0, 1),
    callback=_a_number,
    default=LIKELY,
    show_default=True,
    metavar="RANK",
    help="How likely two leads must be one person, from 0 to 1.",
)
@limit
@database
@as_json
def list_suggestions(least: float, limit: int, db: str | None, as_json: bool) -> None:
    """List pairs of leads that may be one person, the likeliest first.

    They are found by what is alike in addresses, numbers and names, of which only digests
    are compared: nothing is unsealed, and nothing is merged. Pairs that somebody unlinked
    do not come again.

    \b
        $ leadledger lead suggestions
        $ leadledger lead suggestions --min-rank 0.5 --limit 200 --json
    """
    from engine.compiled import leave_plain

    leave_plain()  # to decode takes much longer than to say whose it is
    import numpy as np

    from engine.suggestions import TOO_MANY, suggest

    with session(db) as opened, progress("Reading leads") as report, opened.facts.snapshot():
        columns = opened.facts.similar(report)
        found, skipped = suggest(columns, least, opened.facts.unlinked())
        numbers = np.array([one.leads for one in found[:limit]], np.int64).ravel()
        ids = opened.facts.lead_ids(numbers)
    rows = list(zip(ids[::2], ids[1::2], found, strict=False))
    if as_json:
        documents = [_document(one, other, suggestion) for one, other, suggestion in rows]
        output.emit({"found": len(found), "skipped": skipped, "suggestions": documents})
        return
    _draw(rows, least, len(found))
    if skipped:
        output.note(f"{skipped:,} forms that more than {TOO_MANY} leads share were passed over")


def _document(one: str, other: str, suggestion: "Suggestion") -> dict[str, Any]:
    return {
        "rank": suggestion.rank,
        "leads": [one, other],
        "evidence": [
            {"what": each.what, "agree": each.agree, "leads": each.leads}
            for each in suggestion.evidence
        ],
    }


def _draw(rows: "list[tuple[str, str, Suggestion]]", least: float, found: int) -> None:
    if not rows:
        click.echo(f"No two leads are likely to be one person (rank {least:g} or more).")
        return
    shown = f"{len(rows):,} of {found:,}" if found > len(rows) else f"{found:,}"
    cells = (
        (f"{suggestion.rank:.4f}", one[:DIGITS], other[:DIGITS], told(suggestion))
        for one, other, suggestion in rows
    )
    title = f"Likely duplicates: {shown} · rank {least:g} or more"
    output.table(title, ("rank", "lead", "and lead", "evidence"), cells, left=4)
    output.note("To confirm one: leadledger lead merge LEAD LEAD --reason …")


def told(suggestion: "Suggestion") -> str:
    """The evidence in words: what speaks for it, then what does not."""
    alike = [
        WORDS[one.what] + (f" ({one.leads} leads)" if one.leads > 2 else "")
        for one in suggestion.evidence
        if one.agree
    ]
    others = [AGAINST[one.what] for one in suggestion.evidence if not one.agree]
    return ", ".join(alike) + (f"; other {', other '.join(others)}" if others else "")
