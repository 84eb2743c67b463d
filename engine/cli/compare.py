"""`audit compare`: what changed between two states of knowledge, and what did it."""

from typing import Any

import click

from engine.cli import output
from engine.cli.one_lead import named, rules_of
from engine.cli.options import Instant, KnownAt, as_json, database, limit
from engine.cli.progress import progress
from engine.cli.session import session

Document = dict[str, Any]
SHORT_ID = 8  # characters of a lead's id: nearly always enough to name it by
FEW_CAUSES = 6  # named in a line; JSON has all
MANY_LEADS = 500  # take a while


@click.command("compare", short_help="What changed between two states of knowledge, and why.")
@click.argument("then", metavar="K1", type=KnownAt())
@click.argument("now", metavar="K2", type=KnownAt())
@click.option(
    "--as-of",
    type=Instant(),
    help="The instant as of which both are read, past or future; "
    "a date means where that day begins in the rules' time zone.  [default: now]",
)
@limit
@database
@as_json
def compare_command(
    then: Any, now: Any, as_of: Any, limit: int, db: str | None, as_json: bool
) -> None:
    """Say which figures differ between what was known at K1 and at K2, and what did it.

    K1 and K2 are positions, such as '#4711', or instants, which mean the last position
    recorded by then. Without the causes that are named a figure is as it was, and with them
    alone it is as it became; docs/audit.md says how causes are to be read. Changes nothing.

    \b
        $ leadledger audit compare 2026-03-01 2026-03-08
        $ leadledger audit compare '#4711' '#4720' --as-of 2026-03-01
    """
    from engine.compare.compare import Span, compare

    with session(db) as opened:
        before, after = (opened.position(known) or 0 for known in (then, now))
        if before > after:
            raise click.UsageError(
                f"K1, #{before}, comes after K2, #{after}: name the earlier first."
            )
        span = Span(before, after, opened.instant(as_of, opened.rules_in_force))
        zone = opened.rules_in_force.zone
        with progress("Comparing leads", MANY_LEADS) as report:
            document = compare(opened.facts, opened.models, span, limit, report)
    if as_json:
        output.emit(document)
    else:
        _Drawn(document, zone, limit).draw()


class _Drawn:
    """A comparison, for people."""

    def __init__(self, document: Document, zone: str, limit: int) -> None:
        self._document, self._zone, self._limit = document, zone, limit
        self._then, self._now = document["known_at"]
        as_of = output.moment(document["as_of"], zone)
        self._between = f"between #{self._then} and #{self._now}, as of {as_of}"

    def draw(self) -> None:
        """The figures of all leads, those of each that differs, and what did it."""
        if self._then == self._now:
            click.echo(f"K1 and K2 both mean #{self._now}: nothing was recorded in between")
            return
        if not self._document["figures"] and not self._document["leads"]:
            click.echo(f"no figure differs {self._between}")
            return
        self._draw_figures()
        self._draw_leads()
        self._draw_causes()

    def _draw_figures(self) -> None:
        rows = [self._change(one) for one in self._document["figures"]]
        if rows:
            title = f"What differs of all leads {self._between}"
            output.table(title, ("figure", "before", "after", "because of"), rows, left=4)

    def _draw_leads(self) -> None:
        rows = []
        for lead in self._document["leads"]:
            name = lead["lead"][:SHORT_ID]
            for change in lead["changes"]:
                rows.append((name, *self._change(change)))
                name = ""
        listed = self._listed(self._document["changed"], len(self._document["leads"]))
        title = f"Leads that differ {self._between}: {listed}"
        output.table(title, ("lead", "figure", "before", "after", "because of"), rows, left=5)

    def _draw_causes(self) -> None:
        """Where not all are listed, what is no new touchpoint, then what leads above name."""
        causes = self._document["causes"]
        first = sorted(causes, key=lambda one: (one["kind"] == "touchpoint", not one["leads"]))
        listed = sorted(first[: self._limit], key=lambda one: one["position"])
        rows = [self._cause(one) for one in listed]
        title = f"What did it: {self._listed(len(causes), len(rows))} · times in {self._zone}"
        output.table(title, ("at", "what", "which", "happened", "recorded"), rows, left=5)

    def _listed(self, many: int, listed: int) -> str:
        return f"{many:,}" if many == listed else f"{listed:,} of {many:,} (--limit)"

    def _change(self, one: Document) -> tuple[str, str, str, str]:
        before, after = (self._shown(one["figure"], one[side]) for side in ("before", "after"))
        causes = [f"#{position}" for position in one["causes"]]
        more = len(causes) - FEW_CAUSES
        because = ", ".join(causes[:FEW_CAUSES]) + (f" and {more:,} more" if more > 0 else "")
        return one["figure"], before, after, because

    def _cause(self, one: Document) -> tuple[str, ...]:
        if one["kind"] == "rule set":
            which, happened = rules_of(one), one["effective_at"]
        else:
            which, happened = f"{named(one)} {one['type']}", one["occurred_at"]
        if one["kind"] == "retraction":
            which = f"{named(one)} of {named(one['voids'])}"
        since = "for all time" if happened is None else self._clock(happened)
        return f"#{one['position']}", one["kind"], which, since, self._clock(one["recorded_at"])

    def _shown(self, figure: str, value: Any) -> str:
        """A figure: scores in points, money in the major unit, of several each on a line."""
        kind, _, name = figure.partition(".")
        if value is None:
            return "–"
        match kind:
            case "score":
                return f"{value / 1e6:.6f}".rstrip("0").rstrip(".")
            case "value":
                return output.money({value["currency"]: value["minor"]})
            case "pipeline" if ".value." in name:
                return output.money({name.rpartition(".")[2]: value})
            case "made_of":
                lines = [f"{many:,} of {lead[:SHORT_ID]}" for lead, many in value.items()]
            case _ if isinstance(value, list):
                lines = [self._line(kind, one) for one in value]
            case _:
                lines = [output.count(value) if isinstance(value, int) else value]
        return "\n".join(lines)

    def _line(self, kind: str, one: Any) -> str:
        """One of several: a segment, a visit, the run of a clock, an attempt at a funnel."""
        match kind:
            case "visits":
                return f"{one['stage']} {self._clock(one['entered'])}"
            case "clock":
                ended = self._clock(one["ended"]) if one["ended"] else "…"
                due = f", due {self._clock(one['due'])}" if one["due"] else ""
                return f"{one['state']}: {self._clock(one['started'])} – {ended}{due}"
            case "funnel":
                how_far = "excluded" if one["excluded"] else f"to step {one['depth']}"
                is_open = {True: ", open", False: ", dropped", None: ""}[one["open"]]
                return f"{how_far}{is_open}, entered {self._clock(one['entered'])}"
        return str(one)

    def _clock(self, instant: str) -> str:
        return output.clock(instant, self._zone)
