"""`lead history`: what happened to a lead, in line, and what it led to."""

from collections.abc import Iterator
from typing import Any

import click

from engine.cli import output
from engine.cli.kinship import doer, shown
from engine.cli.one_lead import asked, named, rules_of, seen_from, timed
from engine.cli.options import as_json, reading
from engine.cli.session import session

Document = dict[str, Any]
DIGITS = 8  # of an announcement's id
COLUMNS = ("happened", "recorded", "at", "what", "channel", "actor", "stream", "touchpoint")


@click.command("history", short_help="Show what happened, and what it led to.")
@click.argument("lead")
@reading
@as_json
def history_of_lead(lead: str, as_json: bool, **where: Any) -> None:
    """Show what happened, in the order in which it happened, and what it led to.

    In line are the stages that were entered and what clocks did, where other rules begin to
    judge, and the identifiers by which the lead is known, each with the touchpoint that made
    it belong, whenever that came: --as-of looks at what happened, --known-at at what is known.
    What counts no more, or never did, says why. `at` is the position at which a touchpoint was
    recorded. Changes nothing.

    \b
        $ leadledger lead history email:an@example.vn
        $ leadledger lead history email:an@example.vn --known-at 2026-03-01 --json
    """
    from engine.errors import NotYet
    from engine.instants import format_instant

    with session(where["db"]) as opened:
        number, view = asked(opened, lead, where)
        from engine import audit

        lines = audit.history(opened.facts, number, view)
    if all(line["what"] != "touchpoint" for line in lines):
        raise NotYet(format_instant(view.as_of), view.known_at)
    if as_json:
        output.emit(lines)
        return
    rows = (_row(line, view.rules.zone) for line in _telling(lines))
    output.table(f"History {seen_from(view)}", COLUMNS, rows, left=len(COLUMNS))


def _telling(lines: list[Document]) -> Iterator[Document]:
    """The lines, with the rules that judged only where other ones do as well."""
    several = any(line["what"] == "boundary" for line in lines)
    for line in lines:
        yield line if several or line["what"] != "stage" else {**line, "rules": None}


def _row(line: Document, zone: str) -> tuple[str, ...]:
    """When it happened, since when that is known, at which position, what, and of what."""
    at = output.clock(line["at"], zone)
    if line["what"] in ("stage", "clock", "boundary"):
        return (at, "", "", _led_to(line, zone), "", "", "", "")
    known = line["announced_at" if line["what"] == "announcement" else "recorded_at"]
    recorded = (at, output.clock(known, zone), str(line["position"]))
    if line["what"] == "announcement":
        return (*recorded, _announced(line), "", "", "", "")
    if line["what"] == "identifier":
        beside = f", joined with {shown(line['to'])}" if line["to"] else ""
        return (*recorded, f"+ {shown(line['identifier'])}{beside}", "", "", "", "")
    kept = line["channel"], doer(line["actor"]), shown(line["stream"]), named(line)
    return (*recorded, _counting(line, zone), *kept)


def _counting(line: Document, zone: str) -> str:
    """The type of a touchpoint; of one that does not count also why."""
    if line["counts"]:
        return str(line["type"])
    if by := line["retracted_by"]:
        known = f"#{by['position']}, {output.clock(by['recorded_at'], zone)}"
        why = f": {by['reason']}" if by["reason"] is not None else ""
        return f"{line['type']} (retracted by {doer(by['actor']) or named(by)} at {known}{why})"
    return f"{line['type']} ({line['void']})"


def _announced(line: Document) -> str:
    of = f" of {line['corrects'][:DIGITS]}" if line["corrects"] else ""
    return f"announced {line['id'][:DIGITS]}: {line['kind']}{of}, {line['name']}"


def _led_to(line: Document, zone: str) -> str:
    """A stage, what a clock did, or from here on other rules."""
    if line["what"] == "clock":
        started = line["happened"] == "started" and line["due"]
        until = f", due {output.clock(line['due'], zone)}" if started else ""
        return f"{line['clock']} {line['happened']}{until}"
    rules = rules_of(line["rules"]) if line["rules"] else ""
    if line["what"] == "boundary":
        return f"rules: {rules}"
    why = ", ".join(filter(None, (timed(line["cause"]), rules and f"by {rules}")))
    return f"→ {line['track']}.{line['stage']}" + (f" ({why})" if why else "")
