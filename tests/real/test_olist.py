"""Olist: 8,000 leads and 842 deals, the figures of their funnel."""

from pathlib import Path
from typing import Any

import pytest

from tests.real.figures import (
    DAY_US,
    HERE,
    Document,
    Engine,
    Figure,
    at,
    buckets,
    data_set,
    differences,
    expectations,
    figure,
    quoted,
    reached,
    top,
    untold,
)

NUMBERS = expectations("olist_funnel")
NOW = f"--rules {quoted(HERE / 'olist.toml')} --as-of 2018-11-14T18:04:19Z"
CLOSED = f"funnel closed {NOW}"
TO_CLOSE = f"funnel to_close {NOW}"
WITHIN = {days: f"funnel within_{days}d {NOW}" for days in (7, 14, 30, 60, 90, 180)}

NO_COHORT = "a funnel is not cut down to the leads of certain days; its matured rate also counts"
NO_SURVIVAL = "survival curves are no figure of a funnel"
NO_RANGE = "no command prints the first and the last instant of a kind of touchpoint"
UNMATCHED = {
    "date_range": NO_RANGE,
    "mature_180d_cohort": f"{NO_COHORT} young leads that closed",
    "kaplan_meier_conversion_by_day": NO_SURVIVAL,
    "time_to_convert_histogram/edges_days_left_closed": "the edges are the question",
}


def closings(document: Document) -> dict[str, int]:
    """Deals by what only deals say; leads without a deal say nothing."""
    counts = buckets(document, lambda bucket: reached(bucket, 2))
    return {name: count for name, count in counts.items() if count}


def conversion(document: Document) -> dict[str, Any]:
    return {
        "mqls": document["entered"],
        "closed": reached(document, 2),
        "conversion": document["steps"][1]["rate_first"],
    }


def with_missing(found: dict[str, Any]) -> dict[str, Any]:
    return {"(missing)" if name == "(none)" else name: found[name] for name in found}


def by_origin_and_month(document: Document) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for bucket in document["buckets"]:
        origin, month = bucket["by"].values()
        table.setdefault(origin, {})[month] = [bucket["entered"], reached(bucket, 2)]
    return with_missing(table)


def histogram(*documents: Document) -> list[int]:
    """Closings between one limit and the next: none lies on a limit, to the second."""
    counts = [reached(document, 2) for document in documents]
    return [later - earlier for earlier, later in zip([0, *counts], counts, strict=False)]


def days_to_close(document: Document) -> dict[str, Any]:
    took = document["convert"]
    return {
        "n": took["n"],
        "median": took["median_us"] / DAY_US,
        "mean": took["mean_us"] / DAY_US,
        "p90": took["p90_us"] / DAY_US,
        "median_calendar_days": took["median_days"],
    }


def median_days(document: Document) -> dict[str, Any]:
    found = buckets(document, lambda bucket: bucket["convert"]["median_us"])
    return {name: us / DAY_US for name, us in found.items() if us is not None and name != "(none)"}


FIGURES = [
    figure("rows/mqls", CLOSED)(lambda closed: closed["entered"]),
    figure("rows/closed_deals", CLOSED)(lambda closed: reached(closed, 2)),
    figure("rows/closed_without_mql", f"{CLOSED} --by attributes.entry_month")(
        lambda closed: closings(closed).get("(none)", 0)
    ),
    figure("rows/negative_duration", CLOSED, TO_CLOSE)(
        lambda closed, to_close: reached(closed, 2) - reached(to_close, 2)
    ),
    figure("conversion_overall", CLOSED)(lambda closed: closed["steps"][1]["rate_first"]),
    figure("by_origin", f"{CLOSED} --by attributes.origin")(
        lambda closed: with_missing(buckets(closed, conversion))
    ),
    figure("by_entry_month_cohort", f"{CLOSED} --by attributes.entry_month")(
        lambda closed: buckets(closed, conversion)
    ),
    figure(
        "by_origin_and_entry_month",
        f"{CLOSED} --by attributes.origin --by attributes.entry_month",
    )(by_origin_and_month),
    figure("by_won_month_snapshot", f"{CLOSED} --by attributes.won_month")(closings),
    figure("days_to_close", TO_CLOSE)(days_to_close),
    *(
        figure(f"closed_within_days/{days}", WITHIN[days])(lambda within: reached(within, 2))
        for days in (7, 30, 60, 90, 180)
    ),
    figure("closed_within_30d_by_entry_month", f"{WITHIN[30]} --by attributes.entry_month")(
        lambda within: buckets(within, lambda bucket: reached(bucket, 2))
    ),
    figure("time_to_convert_histogram/counts", *WITHIN.values(), TO_CLOSE)(histogram),
    figure("deals_per_sdr_top5", f"{CLOSED} --by attributes.sdr")(
        lambda closed: top(closings(closed))
    ),
    figure("n_sdr", f"{CLOSED} --by attributes.sdr")(lambda closed: len(closings(closed))),
    figure("deals_per_sr_top5", f"{CLOSED} --by owner")(lambda closed: top(closings(closed))),
    figure("n_sr", f"{CLOSED} --by owner")(lambda closed: len(closings(closed))),
    figure("deals_by_segment_top5", f"{CLOSED} --by attributes.business_segment")(
        lambda closed: top(closings(closed))
    ),
    figure("deals_by_lead_type", f"{CLOSED} --by attributes.lead_type")(
        lambda closed: with_missing(closings(closed))
    ),
    figure("median_days_by_lead_type", f"{TO_CLOSE} --by attributes.lead_type")(median_days),
    figure("top_landing_pages", f"{CLOSED} --by attributes.landing_page")(
        lambda closed: top(
            {
                name: entered
                for name, entered in buckets(closed, lambda bucket: bucket["entered"]).items()
                if name != "(other)"
            }
        )
    ),
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder: Path = data_set("olist_funnel")
    engine = Engine(tmp_path_factory.mktemp("olist"))
    leads = folder / "olist_marketing_qualified_leads_dataset.csv"
    engine.run(f"import {quoted(leads)} --mapping olist_leads")
    engine.run(f"import {quoted(folder / 'olist_closed_deals_dataset.csv')} --mapping olist_deals")
    return engine


@pytest.mark.parametrize("one", FIGURES, ids=lambda one: one.expected)
def test_a_figure_is_as_computed_elsewhere(engine: Engine, one: Figure):
    found = one.pick(*(engine.ask(command) for command in one.commands))
    assert differences(at(NUMBERS, one.expected), found) == []


def test_every_expected_number_is_compared_or_listed_as_unmatched():
    assert untold("olist_funnel", FIGURES, UNMATCHED) == []
