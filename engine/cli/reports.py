"""`pipeline`, `funnel` and `leads`: the read models as tables, bars and JSON."""

from collections.abc import Iterator
from typing import Any

import click

from engine.cli import output
from engine.cli.options import as_json, breakdown, language, limit, reading
from engine.cli.session import session

Document = dict[str, Any]
SHORT_ID = 8  # characters of a lead's id in a list: nearly always enough to name it by


@click.command("pipeline", short_help="Who stands where, by stage.")
@reading
@breakdown
@language
@as_json
def pipeline_command(by: tuple[str, ...], top: int, lang: str, as_json: bool, **where: Any) -> None:
    """Who stands where: count, value, age, win rate and time to won by stage.

    \b
        $ leadledger pipeline --by owner
        $ leadledger pipeline --rules aida --as-of 2026-03-01
    """
    from engine.reports import pipeline
    from engine.reports.breakdown import By

    by_what = By(by, top)
    with session(where["db"]) as opened:
        frames = opened.frames(where, pipeline.NEEDS)
        document = pipeline.report(frames, by_what)
    if as_json:
        output.emit(document)
    else:
        draw_pipeline(document, by, lang, frames.rules.zone)


def draw_pipeline(document: Document, by: tuple[str, ...], lang: str, zone: str) -> None:
    """A table per track, and one per breakdown."""
    as_of = output.moment(document["as_of"], zone)
    for track in document["tracks"]:
        name = output.words(track["label"], track["track"], lang)
        output.table(
            f"{name} · {document['leads']:,} leads as of {as_of}",
            ("stage", "", "leads", "value", "weighted", "median age", "win rate", "time to won"),
            _stages(track, lang),
            left=2,
        )
        if by:
            output.table(f"{name} by {' and '.join(by)}", *_outcomes(track, by))


def _stages(track: Document, lang: str) -> Iterator[tuple[str, ...]]:
    most = max((stage["count"] for stage in track["stages"]), default=0)
    for stage in track["stages"]:
        yield (
            output.words(stage["label"], stage["stage"], lang),
            output.bar(stage["count"], most),
            output.count(stage["count"]),
            output.money(stage["value"]),
            output.money(stage["weighted"]),
            output.days(stage["age"]["median_us"]),
            output.percent(stage["win_rate"]),
            output.days(stage["time_to_won"]["median_us"]),
        )


def _outcomes(
    track: Document, by: tuple[str, ...]
) -> tuple[tuple[str, ...], list[tuple[str, ...]], int]:
    rows = [
        (
            *(bucket["by"][dimension] for dimension in by),
            output.count(sum(stage["count"] for stage in bucket["stages"])),
            output.count(bucket["won"]),
            output.count(bucket["lost"]),
            output.percent(bucket["win_rate"]),
            output.days(bucket["time_to_won"]["median_us"]),
        )
        for bucket in track["buckets"]
    ]
    return (*by, "leads", "won", "lost", "win rate", "median time to won"), rows, len(by)


@click.command("funnel", short_help="How far leads get, step by step.")
@click.argument("name", required=False)
@reading
@breakdown
@language
@click.option(
    "--leads",
    "step",
    type=click.IntRange(min=1),
    metavar="STEP",
    help="List the leads behind a step, with when they entered.",
)
@click.option(
    "--bar",
    type=click.Choice(("reached", "immature", "dropped", "excluded")),
    help="With --leads: which figure of the step; immature is the column `not yet`.  "
    "[default: reached]",
)
@click.option(
    "--bucket",
    multiple=True,
    metavar="VALUE",
    help="With --leads and --by: only the bucket with this value, one for each --by.",
)
@as_json
def funnel_command(
    name: str | None, step: int | None, lang: str, as_json: bool, **where: Any
) -> None:
    """How far leads get, step by step; without a NAME: which funnels there are.

    \b
        $ leadledger funnel first_touch_to_won --by channel
        $ leadledger funnel first_touch_to_won --leads 2 --bar immature
    """
    if step is None and (where["bar"] or where["bucket"]):
        raise click.UsageError("--bar and --bucket say which leads to list: add --leads STEP.")
    where["bar"] = where["bar"] or "reached"
    with session(where["db"]) as opened:
        if name is None:
            _list_funnels(opened.view(where).rules, lang, as_json)
            return
        frames, document = _funnel(opened, name, step, where)
    zone = frames.rules.zone
    if as_json:
        output.emit(document)
    elif step is not None:
        title = f"{len(document):,} of step {step}: {where['bar']} · times in {zone}"
        rows = ((lead["lead"], output.clock(lead["entered"], zone)) for lead in document)
        output.table(title, ("lead", "entered"), rows, left=2)
    else:
        draw_funnel(document, where["by"], lang, zone)


def _funnel(opened: Any, name: str, step: int | None, where: Document) -> tuple[Any, Any]:
    from engine.reports import funnel
    from engine.reports.breakdown import By

    by_what = By(where["by"], where["top"])
    frames = opened.frames(where, funnel.NEEDS)
    if step is None:
        return frames, funnel.report(frames, name, by_what)
    if where["bucket"] and len(where["bucket"]) != len(where["by"]):
        raise click.UsageError("--bucket wants as many values as there are --by.")
    bucket = dict(zip(where["by"], where["bucket"], strict=True)) if where["bucket"] else None
    return frames, funnel.behind(frames, name, funnel.Bar(where["bar"], step), by_what, bucket)


def _list_funnels(rules: Any, lang: str, as_json: bool) -> None:
    if as_json:
        output.emit([funnel.name for funnel in rules.funnels])
        return
    rows = ((funnel.name, output.words(funnel.label, "", lang)) for funnel in rules.funnels)
    output.table("", ("name", "what"), rows, left=2)


def draw_funnel(document: Document, by: tuple[str, ...], lang: str, zone: str) -> None:
    """A bar per step, and a table per breakdown."""
    name = output.words(document["label"], document["funnel"], lang)
    took = document["convert"]
    output.table(
        f"{name} · {document['entered']:,} {document['counts']} "
        f"as of {output.moment(document['as_of'], zone)}",
        ("step", "", "reached", "of first", "of previous", "not yet", "dropped", "matured"),
        (
            (
                f"{step['step']}. {output.words(step['label'], step['name'], lang)}",
                output.bar(step["reached"], document["entered"]),
                output.count(step["reached"]),
                output.percent(step["rate_first"]),
                output.percent(step["rate_previous"]),
                output.count(step["immature"]),
                output.count(step["dropped"]),
                output.percent(step["matured_rate"]),
            )
            for step in document["steps"]
        ),
        left=2,
    )
    click.echo(
        f"  converted: {output.count(took['n'])}, median {output.days(took['median_us'])}, "
        f"90 % within {output.days(took['p90_us'])} · excluded: {document['excluded']:,}\n"
    )
    if by:
        steps = [f"{step['step']}" for step in document["steps"]]
        rows = (
            (
                *(bucket["by"][dimension] for dimension in by),
                *(output.count(step["reached"]) for step in bucket["steps"]),
                output.percent(bucket["steps"][-1]["rate_first"]),
                output.days(bucket["convert"]["median_us"]),
            )
            for bucket in document["buckets"]
        )
        title = f"{name} by {' and '.join(by)}: how many reached each step"
        output.table(title, (*by, *steps, "rate", "median time"), rows, left=len(by))


@click.command("leads", short_help="List leads, the last heard of first.")
@reading
@click.option(
    "--stage", metavar="TRACK.STAGE", help="Such as sales.quoted: only those in this stage."
)
@click.option("--owner", metavar="NAME", help="Only those of this owner.")
@click.option("--segment", metavar="NAME", help="Only those in this segment of the rules.")
@click.option(
    "--search",
    metavar="ID",
    help="Only those whose id begins so, or whose first or last event id it is.",
)
@limit
@as_json
def leads_command(limit: int, as_json: bool, **where: Any) -> None:
    """List leads, the last heard of first; `lead show` tells more of one.

    Of the id its beginning is shown, which is enough to name the lead by; --json has all of it.

    \b
        $ leadledger leads --stage sales.quoted --segment hot_and_idle
        $ leadledger leads --owner rep-lan --limit 10
    """
    from engine.reports import leads

    names = ("stage", "owner", "segment", "search")
    filters = leads.Filters(**{name: where[name] for name in names})
    with session(where["db"]) as opened:
        frames = opened.frames(where, leads.NEEDS)
        document = leads.report(frames, filters, limit)
    if as_json:
        output.emit(document)
        return
    _draw_leads(document, frames.rules)


def _draw_leads(document: Document, rules: Any) -> None:
    """A row per lead; the title says which stages and scores stand in a cell, in their order."""
    as_of = output.moment(document["as_of"], rules.zone)
    order = " · ".join(
        f"{what}: {', '.join(one.name for one in named)}"
        for what, named in (("stages", rules.tracks), ("scores", rules.scores))
        if named
    )
    output.table(
        f"{document['count']:,} leads as of {as_of}\n{order}".rstrip(),
        ("lead", "stages", "scores", "owner", "last touch", "touches", "value"),
        (_lead_row(lead, rules.zone) for lead in document["leads"]),
        left=5,
    )


def _lead_row(lead: Document, zone: str) -> tuple[str, ...]:
    value = lead["value"]
    return (
        lead["lead"][:SHORT_ID],
        " ".join(stage or "–" for stage in lead["stages"].values()),
        " ".join(f"{points / 1e6:.1f}" for points in lead["scores"].values()),
        lead["owner"] or "–",
        output.clock(lead["last_at"], zone)[:16],
        output.count(lead["touchpoints"]),
        output.money({value["currency"]: value["minor"]} if value else None),
    )
