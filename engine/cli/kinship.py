"""`lead identity`: by which identifiers a lead is known, and what joined them."""

import getpass
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import click

from engine.cli import output
from engine.cli.options import Position, as_json, database, known_at
from engine.cli.session import session

Document = dict[str, Any]
TO_THE_MINUTE = 16  # characters of an instant
CLEAR = "in clear"  # a column


@click.command("identity", short_help="Show by what a lead is known, and what joined it.")
@click.argument("lead")
@click.option("--reveal", is_flag=True, help="Also addresses and numbers in clear; needs --reason.")
@click.option("--reason", help="Why you look; kept with your name and the time.")
@known_at
@database
@as_json
def show_identity(
    lead: str,
    reveal: bool,
    reason: str | None,
    known_at: "Position | int | date | None",
    db: str | None,
    as_json: bool,
) -> None:
    """Show by which identifiers a lead is known, what joined each, and since when.

    Identifiers are kept as digests, of which tables show the first 8 digits. One that
    stands below another was joined with it by the touchpoint beside it: the earliest
    recorded that did, or the link that holds. Changes nothing, but that --reveal keeps who
    looked, when and why: `lead accesses`.

    \b
        $ leadledger lead identity email:an@example.vn
        $ leadledger lead identity email:an@example.vn --known-at 2026-03-01 --json
    """
    if reveal and not (reason and reason.strip()):
        raise click.UsageError("--reveal needs --reason: who looks at personal data says why.")
    from engine.compiled import leave_plain

    leave_plain()  # nothing is folded
    from engine import audit, kinship
    from engine.lead_names import find_identifier
    from engine.privacy import IdentifierKey

    with session(db) as opened:
        facts, key = opened.facts, IdentifierKey(opened.settings.identifier_key)
        number = find_identifier(facts, lead, key, opened.settings.phone_region)
        kin = kinship.look(facts, number, opened.position(known_at))
        clear = None
        if reveal:
            look = (kin.lead, opened.workspace_key, getpass.getuser(), reason or "", kin.known_at)
            clear = kinship.clear_by_digest(audit.reveal(facts, *look), key)
        document = kinship.document(kin, clear)
        zone = opened.rules_in_force.zone
    if as_json:
        output.emit(document)
    else:
        _draw(document, zone)


def shown(identifier: Document) -> str:
    """The kind of an identifier, and as much of its digest as tells it from others."""
    from engine import kinship
    from engine.touchpoint import Identifier

    return kinship.shown(Identifier(identifier["kind"], identifier["digest"]))


def _draw(document: Document, zone: str) -> None:
    """A table for each sort of what there is, the first under the title."""
    count = document["touchpoints"]
    title = (
        f"Lead {document['lead']} · {count:,} touchpoint{'s' * (count != 1)} "
        f"as known at {document['known_at']:,} · times in {zone}"
    )
    when = ("happened", "recorded", "at")
    seen = ("came by", "first", "last", "touchpoints", "other leads")
    for columns, figures, rows in (
        (("identifier", CLEAR, "joined by", *when), 1, _strong(document["strong"], zone)),
        (("seen with", *seen), 2, _weak(document["weak"], zone)),
        (("too common", CLEAR, "stands beside"), 0, _common(document["too_common"])),
        (("by hand", "of", *when, "who", "holds", "reason"), 0, _links(document["links"], zone)),
    ):
        if body := list(rows):
            _table(title, columns, figures, body)
            title = ""


def _table(title: str, columns: Sequence[str], figures: int, rows: Sequence[Sequence[str]]) -> None:
    """A table that ends with so many columns of figures; of values in clear only if some are."""
    kept = [
        index for index, name in enumerate(columns) if name != CLEAR or any(r[index] for r in rows)
    ]
    cells = [[row[index] for index in kept] for row in rows]
    output.table(title, [columns[index] for index in kept], cells, left=len(kept) - figures)


def _strong(strong: Sequence[Document], zone: str) -> Iterator[Sequence[str]]:
    """Each identifier below the one that it was joined with."""
    below: dict[str | None, list[Document]] = {}
    for one in strong:
        below.setdefault(one["joined"] and one["joined"]["to"]["digest"], []).append(one)
    ahead = [(0, one) for one in below.get(None, ())]
    while ahead:
        depth, one = ahead.pop()
        ahead += [(depth + 1, more) for more in reversed(below.get(one["digest"], ()))]
        indent = "  " * (depth - 1) + "└ " if depth else ""
        joined = one["joined"]
        when = _when(joined, zone) if joined else ("", "", "")
        yield indent + shown(one), one.get("value") or "", _by(joined), *when


def _weak(weak: Sequence[Document], zone: str) -> Iterator[Sequence[str]]:
    for one in weak:
        first, last = _minute(one["first_at"], zone), _minute(one["last_at"], zone)
        counts = output.count(one["touchpoints"]), output.count(one["other_leads"])
        yield shown(one), _by(one["came_by"]), first, last, *counts


def _common(common: Sequence[Document]) -> Iterator[Sequence[str]]:
    for one in common:
        beside = one["beside"]
        how_many = f"{beside['identifiers']:,} identifiers of kind {beside['kind']}"
        yield shown(one), one.get("value") or "", how_many


def _links(links: Sequence[Document], zone: str) -> Iterator[Sequence[str]]:
    for link in links:
        yield (
            link["type"].removeprefix("identity_"),
            ", ".join(map(shown, link["identifiers"])),
            *_when(link, zone),
            doer(link["actor"]) or link["source"],
            "retracted" if link["retracted"] else "yes" if link["holds"] else "no",
            str(link["reason"] or "–"),
        )


def doer(actor: Document | None) -> str:
    """Who did it, for people; empty where nobody is named."""
    return str(actor["id"] or actor["kind"]) if actor else ""


def _by(touchpoint: Document | None) -> str:
    if touchpoint is None:
        return "–"
    return f"{touchpoint['type']} {touchpoint['source']} {touchpoint['event_id']}"


def _when(touchpoint: Document, zone: str) -> tuple[str, str, str]:
    happened, recorded = (_minute(touchpoint[at], zone) for at in ("occurred_at", "recorded_at"))
    return happened, recorded, str(touchpoint["position"])


def _minute(instant: str, zone: str) -> str:
    return output.clock(instant, zone)[:TO_THE_MINUTE]
