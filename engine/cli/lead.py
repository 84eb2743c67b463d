"""`lead show` and `lead history`: one lead, and how it came to be so."""

import getpass
from typing import Any

import click

from engine.cli import output
from engine.cli.options import as_json, reading
from engine.cli.session import Session, session

Document = dict[str, Any]
FEW = 500  # touchpoints that plain Python folds sooner than machine code is loaded


@click.group("lead", short_help="One lead: its state, its history, and who it is.")
def lead_command() -> None:
    """One lead: by its id, or as email:an@example.vn, phone:+84…, crm_id:hubspot:991.

    `leadledger leads` lists the ids. Of several identifiers told together the first in
    the order crm_id, user_id, email, phone, external_id names the lead (docs/formats.md).

    \b
        $ leadledger lead show email:an@example.vn
        $ leadledger lead history 42dfbc852b90f9f98128008a143ba8a6
    """


@lead_command.command("show")
@click.argument("lead")
@reading
@click.option("--reveal", is_flag=True, help="Also who it is, in clear; needs --reason.")
@click.option("--reason", help="Why you look; kept with your name and the time.")
@as_json
def show_lead(lead: str, reveal: bool, reason: str | None, as_json: bool, **where: Any) -> None:
    """Show a lead's state: stages and their causes, scores, clocks. Times are in UTC.

    Changes nothing, but that --reveal keeps who looked, when and why.

    \b
        $ leadledger lead show email:an@example.vn --as-of 2026-03-01T00:00:00+07:00
        $ leadledger lead show email:an@example.vn --reveal --reason "called back"
    """
    if reveal and not (reason and reason.strip()):
        raise click.UsageError("--reveal needs --reason: who looks at personal data says why.")
    from engine.errors import NotYet
    from engine.instants import format_instant

    with session(where["db"]) as opened:
        number, rules, as_of = _asked(opened, lead, where)
        from engine import audit

        document = audit.state(opened.facts, number, rules, as_of)
        if document is None:
            raise NotYet(format_instant(as_of))
        if reveal:
            who = getpass.getuser()
            document["personal"] = audit.reveal(
                opened.facts, number, opened.workspace_key, who, reason or ""
            )
    if as_json:
        output.emit(document)
    else:
        _draw(document, format_instant(as_of))


@lead_command.command("history", short_help="Show what happened, and the stages it led to.")
@click.argument("lead")
@reading
@as_json
def history_of_lead(lead: str, as_json: bool, **where: Any) -> None:
    """Show what happened, in the order in which it happened, and the stages it led to.

    Times are in UTC. `at` is the position at which a touchpoint was recorded.

    \b
        $ leadledger lead history email:an@example.vn
    """
    with session(where["db"]) as opened:
        number, rules, as_of = _asked(opened, lead, where)
        from engine import audit
        from engine.instants import format_instant

        lines = audit.history(opened.facts, number, rules, as_of)
    if as_json:
        output.emit(lines)
        return
    title = f"History as of {output.moment(format_instant(as_of))}"
    columns = ("happened", "recorded", "at", "what", "channel", "source", "event")
    output.table(title, columns, (_row(line) for line in lines), left=len(columns))


def _asked(opened: Session, lead: str, where: Document) -> tuple[int, Any, int]:
    """The lead's number, the rules and the instant; decides how its few touchpoints are folded."""
    from engine.compiled import leave_plain
    from engine.lead_names import find
    from engine.privacy import IdentifierKey

    key = IdentifierKey(opened.settings.identifier_key)
    number = find(opened.facts, lead, key, opened.settings.phone_region)
    if opened.facts.touchpoint_count(number) <= FEW:
        leave_plain()
    as_of = opened.facts.clock() if where["as_of"] is None else where["as_of"]
    return number, opened.rules(where["rules"]), as_of


def _row(line: Document) -> tuple[str, ...]:
    if line["what"] == "stage":
        how = f" ({line['timer']})" if line["timer"] else ""
        return (_short(line["at"]), "", "", f"→ {line['track']}.{line['stage']}{how}", "", "", "")
    what = line["type"] if line["counts"] else f"{line['type']} (does not count)"
    where = (line["channel"], line["source"], line["event_id"])
    recorded = (_short(line["recorded_at"]), str(line["position"]))
    return (_short(line["at"]), *recorded, what, *where)


def _short(instant: str) -> str:
    return instant[:19].replace("T", " ")


def _draw(document: Document, as_of: str) -> None:
    value = document["value"]
    facts = [
        ("lead", document["lead"]),
        ("touchpoints", f"{document['touchpoints']:,}"),
        ("first", f"{_short(document['first_at'])}  {_name(document['first'])}"),
        ("last", f"{_short(document['last_at'])}  {_name(document['last'])}"),
        ("owner", document["owner"] or "–"),
        ("value", output.money({value["currency"]: value["minor"]} if value else None)),
        *((f"score {name}", f"{points / 1e6:.2f}") for name, points in document["scores"].items()),
        *((f"stage {track}", stage or "–") for track, stage in document["stages"].items()),
        ("seen", ", ".join(document["seen"]) or "–"),
        ("segments", ", ".join(document["segments"]) or "–"),
        *((name, "; ".join(found)) for name, found in document.get("personal", {}).items()),
    ]
    output.table(f"Lead as of {output.moment(as_of)}", ("what", "is"), facts, left=2)
    rows = (
        (v["track"], v["stage"], _short(v["entered"]), _short(v["left"] or "–"), _cause(v["cause"]))
        for v in document["visits"]
    )
    output.table("Stages", ("track", "stage", "entered", "left", "cause"), rows, left=5)
    if document["clocks"]:
        clocks = (
            (c["clock"], _short(c["started"]), _short(c["due"] or "–"), c["state"])
            for c in document["clocks"]
        )
        output.table("Clocks", ("clock", "started", "due", "state"), clocks, left=4)


def _cause(cause: Document) -> str:
    return cause["timer"] if "timer" in cause else _name(cause)


def _name(touchpoint: Document) -> str:
    return f"{touchpoint['source']} {touchpoint['event_id']}"
