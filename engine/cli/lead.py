"""`lead`: commands about one lead; `lead show` is its state, and `lead accesses` who looked."""

import getpass
from typing import Any

import click

from engine.cli import output
from engine.cli.group import Group
from engine.cli.history import history_of_lead
from engine.cli.kinship import show_identity
from engine.cli.merging import merge_leads, unmerge_leads
from engine.cli.one_lead import asked, found, named, seen_from, timed
from engine.cli.options import as_json, database, reading
from engine.cli.session import session
from engine.cli.suggestions import list_suggestions
from engine.cli.why import why_of_lead

Document = dict[str, Any]


@click.group("lead", cls=Group, short_help="One lead: its state, its history, and who it is.")
def lead_command() -> None:
    """One lead: by its id, or as email:an@example.vn, phone:+84…, crm_id:hubspot:991.

    `leadledger leads` lists the ids; 6 characters or more of one's beginning will do. An
    identifier that was told beside others finds the lead as well (docs/formats.md).

    \b
        $ leadledger lead show email:an@example.vn
        $ leadledger lead history 42dfbc85
    """


for more in (
    history_of_lead,
    why_of_lead,
    list_suggestions,
    merge_leads,
    unmerge_leads,
    show_identity,
):
    lead_command.add_command(more)


@lead_command.command("show")
@click.argument("lead")
@reading
@click.option("--reveal", is_flag=True, help="Also who it is, in clear; needs --reason.")
@click.option("--reason", help="Why you look; kept with your name and the time.")
@as_json
def show_lead(lead: str, reveal: bool, reason: str | None, as_json: bool, **where: Any) -> None:
    """Show a lead's state: stages and their causes, scores, clocks.

    Changes nothing, but that --reveal keeps who looked, when and why: `lead accesses`.

    \b
        $ leadledger lead show email:an@example.vn --as-of 2026-03-01
        $ leadledger lead show email:an@example.vn --reveal --reason "called back"
    """
    if reveal and not (reason and reason.strip()):
        raise click.UsageError("--reveal needs --reason: who looks at personal data says why.")
    from engine.errors import NotYet
    from engine.instants import format_instant

    with session(where["db"]) as opened:
        number, view = asked(opened, lead, where)
        from engine import audit

        document = audit.state(opened.facts, number, view)
        if document is None:
            raise NotYet(format_instant(view.as_of), view.known_at)
        if reveal:
            who = getpass.getuser()
            document["personal"] = audit.reveal(
                opened.facts, number, opened.workspace_key, who, reason or "", view.known_at
            )
    if as_json:
        output.emit(document)
    else:
        _draw(document, f"Lead {seen_from(view)}", view.rules.zone)


@lead_command.command("accesses", short_help="Show who looked at personal data, and why.")
@click.argument("lead", required=False)
@database
@as_json
def accesses_to_lead(lead: str | None, db: str | None, as_json: bool) -> None:
    """Show who looked at personal data, of one lead or of any, when and why.

    \b
        $ leadledger lead accesses
        $ leadledger lead accesses email:an@example.vn
    """
    from engine.compiled import leave_plain

    leave_plain()  # nothing is folded
    from engine import audit

    with session(db) as opened:
        number = None if lead is None else found(opened, lead)
        looks = audit.accesses(opened.facts, number)
        zone = opened.rules_in_force.zone
    if as_json:
        output.emit(looks)
        return
    rows = ((output.clock(look["at"], zone), *list(look.values())[1:]) for look in looks)
    title = f"Looks at personal data: {len(looks):,} · times in {zone}"
    output.table(title, ("when", "who", "lead", "reason"), rows, left=4)


def _draw(document: Document, title: str, zone: str) -> None:
    def at(instant: str | None) -> str:
        return output.clock(instant, zone) if instant else "–"

    value = document["value"]
    facts = [
        ("lead", document["lead"]),
        ("touchpoints", f"{document['touchpoints']:,}"),
        ("first", f"{at(document['first_at'])}  {named(document['first'])}"),
        ("last", f"{at(document['last_at'])}  {named(document['last'])}"),
        ("owner", document["owner"] or "–"),
        ("value", output.money({value["currency"]: value["minor"]} if value else None)),
        *((f"score {name}", f"{points / 1e6:.2f}") for name, points in document["scores"].items()),
        *((f"stage {track}", stage or "–") for track, stage in document["stages"].items()),
        ("seen", ", ".join(document["seen"]) or "–"),
        ("segments", ", ".join(document["segments"]) or "–"),
        *((name, "; ".join(found)) for name, found in document.get("personal", {}).items()),
    ]
    output.table(title, ("what", "is"), facts, left=2)
    rows = (
        (v["track"], v["stage"], at(v["entered"]), at(v["left"]), _cause(v["cause"]))
        for v in document["visits"]
    )
    output.table("Stages", ("track", "stage", "entered", "left", "cause"), rows, left=5)
    if document["clocks"]:
        clocks = (
            (c["clock"], at(c["started"]), at(c["due"]), c["state"]) for c in document["clocks"]
        )
        output.table("Clocks", ("clock", "started", "due", "state"), clocks, left=4)


def _cause(cause: Document) -> str:
    return timed(cause) or named(cause)
