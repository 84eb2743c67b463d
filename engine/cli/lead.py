"""`lead show` and `lead history`: one lead, and how it came to be so."""

import getpass
from typing import Any

import click

from engine.cli import output
from engine.cli.group import Group
from engine.cli.kinship import show_identity
from engine.cli.merging import merge_leads, unmerge_leads
from engine.cli.options import as_json, database, reading
from engine.cli.session import Session, session
from engine.cli.suggestions import list_suggestions

Document = dict[str, Any]
FEW = 500  # touchpoints that plain Python folds sooner than machine code is loaded


@click.group("lead", cls=Group, short_help="One lead: its state, its history, and who it is.")
def lead_command() -> None:
    """One lead: by its id, or as email:an@example.vn, phone:+84…, crm_id:hubspot:991.

    `leadledger leads` lists the ids; 6 characters or more of one's beginning will do. An
    identifier that was told beside others finds the lead as well (docs/formats.md).

    \b
        $ leadledger lead show email:an@example.vn
        $ leadledger lead history 42dfbc85
    """


for more in (list_suggestions, merge_leads, unmerge_leads, show_identity):
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
        number, view = _asked(opened, lead, where)
        from engine import audit

        as_of = format_instant(view.as_of)
        document = audit.state(opened.facts, number, view)
        if document is None:
            raise NotYet(as_of)
        if reveal:
            who = getpass.getuser()
            document["personal"] = audit.reveal(
                opened.facts, number, opened.workspace_key, who, reason or ""
            )
    if as_json:
        output.emit(document)
    else:
        _draw(document, as_of, view.rules.zone)


@lead_command.command("history", short_help="Show what happened, and the stages it led to.")
@click.argument("lead")
@reading
@as_json
def history_of_lead(lead: str, as_json: bool, **where: Any) -> None:
    """Show what happened, in the order in which it happened, and the stages it led to.

    `at` is the position at which a touchpoint was recorded.

    \b
        $ leadledger lead history email:an@example.vn
    """
    with session(where["db"]) as opened:
        number, view = _asked(opened, lead, where)
        from engine import audit
        from engine.instants import format_instant

        lines = audit.history(opened.facts, number, view)
    if as_json:
        output.emit(lines)
        return
    zone = view.rules.zone
    title = f"History as of {output.moment(format_instant(view.as_of), zone)}"
    columns = ("happened", "recorded", "at", "what", "channel", "touchpoint")
    output.table(title, columns, (_row(line, zone) for line in lines), left=len(columns))


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
        number = None if lead is None else _found(opened, lead)
        looks = audit.accesses(opened.facts, number)
        zone = opened.rules_in_force.zone
    if as_json:
        output.emit(looks)
        return
    rows = ((output.clock(look["at"], zone), *list(look.values())[1:]) for look in looks)
    title = f"Looks at personal data: {len(looks):,} · times in {zone}"
    output.table(title, ("when", "who", "lead", "reason"), rows, left=4)


def _asked(opened: Session, lead: str, where: Document) -> tuple[int, Any]:
    """The lead's number, and from where to look; decides how its few touchpoints are folded."""
    from engine.compiled import leave_plain

    number = _found(opened, lead, opened.position(where["known_at"]))
    if opened.facts.touchpoint_count(number) <= FEW:
        leave_plain()
    return number, opened.view(where)


def _found(opened: Session, lead: str, known_at: int | None = None) -> int:
    from engine.lead_names import find
    from engine.privacy import IdentifierKey

    key = IdentifierKey(opened.settings.identifier_key)
    return find(opened.facts, lead, key, opened.settings.phone_region, known_at)


def _row(line: Document, zone: str) -> tuple[str, ...]:
    at = output.clock(line["at"], zone)
    if line["what"] == "stage":
        how = f" ({line['timer']})" if line["timer"] else ""
        return (at, "", "", f"→ {line['track']}.{line['stage']}{how}", "", "")
    what = line["type"] if line["counts"] else f"{line['type']} (does not count)"
    recorded = (output.clock(line["recorded_at"], zone), str(line["position"]))
    return (at, *recorded, what, line["channel"], _name(line))


def _draw(document: Document, as_of: str, zone: str) -> None:
    def at(instant: str | None) -> str:
        return output.clock(instant, zone) if instant else "–"

    value = document["value"]
    facts = [
        ("lead", document["lead"]),
        ("touchpoints", f"{document['touchpoints']:,}"),
        ("first", f"{at(document['first_at'])}  {_name(document['first'])}"),
        ("last", f"{at(document['last_at'])}  {_name(document['last'])}"),
        ("owner", document["owner"] or "–"),
        ("value", output.money({value["currency"]: value["minor"]} if value else None)),
        *((f"score {name}", f"{points / 1e6:.2f}") for name, points in document["scores"].items()),
        *((f"stage {track}", stage or "–") for track, stage in document["stages"].items()),
        ("seen", ", ".join(document["seen"]) or "–"),
        ("segments", ", ".join(document["segments"]) or "–"),
        *((name, "; ".join(found)) for name, found in document.get("personal", {}).items()),
    ]
    output.table(f"Lead as of {output.moment(as_of, zone)}", ("what", "is"), facts, left=2)
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
    return cause["timer"] if "timer" in cause else _name(cause)


def _name(touchpoint: Document) -> str:
    return f"{touchpoint['source']} {touchpoint['event_id']}"
